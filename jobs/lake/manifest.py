"""A run's account of itself: steps, inputs with versions and digests, fingerprints, packages; JSON in `runs`."""

from __future__ import annotations

import getpass
import json
import logging
import os
import platform
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

from .commits import TableState
from .progress import shown
from .text_table import Rows, printable, rows_of

log = logging.getLogger("lakesift")

#: Fields of a step that the closing table shows, where any step has them.
SHOWN = ("rows", "computed", "undefined", "not_asked", "ineligible", "rejected", "kernel", "seconds")

#: Packages whose versions a manifest names, where they are installed.
PACKAGES = (
    "lakesift", "pyspark", "delta-spark", "numpy", "scipy", "pyarrow", "pandas", "PyYAML", "wordllama", "onnxruntime",
    "tokenizers", "torch", "transformers", "scikit-learn",
)  # fmt: skip
#: Where schedulers name the job: variables of the environment, then properties of Spark.
JOB_VARIABLES = ("LAKESIFT_JOB", "AIRFLOW_CTX_DAG_RUN_ID", "SLURM_JOB_ID", "GITHUB_RUN_ID", "BUILD_TAG", "EMR_STEP_ID")
JOB_PROPERTIES = ("spark.databricks.job.runId", "spark.databricks.job.id", "spark.app.id")


@dataclass
class Step:
    """One line of the closing table.

    `rows` came in; `computed` were computed or written; `undefined` have no score; `not_asked` are outside of a score's
    own `where:`. `kernel` is the CPU-seconds that a score's own code took, added up over the workers. `read_rows` and
    `read_bytes` are what was read of the step's input, `how` tells by what it was known that this is enough.
    """

    step: str
    table: str
    rows: int | None = None
    computed: int | None = None
    undefined: int | None = None
    not_asked: int | None = None
    ineligible: int | None = None
    rejected: int | None = None
    kernel: float | None = None
    seconds: float | None = None
    read_rows: int | None = None
    read_bytes: int | None = None
    how: str = ""
    version: int | None = None
    written: bool = False

    def ends(self, version: int | None, written: bool = False) -> None:
        """Record at which version the step leaves its table, and whether it wrote that version."""
        self.version, self.written = version, written

    @property
    def outcome(self) -> str:
        """The outcome in words."""
        said = "wrote" if self.written else "unchanged,"
        return "" if self.version is None else f"{said} version {self.version}"

    @property
    def told(self) -> str:
        """What came of it, in words: "40,000 rows, 1,200 computed, 3.1 s, wrote version 2"."""
        parts = [f"{self.rows:,} rows"] if self.rows is not None else []
        parts += [f"{self.computed:,} computed"] if self.computed not in (None, self.rows) else []
        return ", ".join([*parts, f"{self.seconds} s", *filter(None, [self.outcome])])

    @property
    def read(self) -> str:
        """What was read, in words: "40,000 rows, 12.1 MB (files of the log)"."""
        parts = [f"{self.read_rows:,} rows"] if self.read_rows is not None else []
        parts += [f"{self.read_bytes / 1e6:,.1f} MB"] if self.read_bytes is not None else []
        return f"{', '.join(parts)} ({self.how})" if parts and self.how else ", ".join(parts)


@dataclass
class Manifest:
    """A run: what it was, what it read, what it made.

    `resolved` is the recipe with every default, `made_by` says who ran it where; both are known when it is recorded.
    """

    recipe: str
    recipe_hash: str
    run_id: str = ""
    selection_version: int | None = None
    rows: int = 0
    noop: bool = False
    inputs: dict[str, Any] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    data_versions: dict[str, str | None] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    #: What inputs were when they were read: they may have changed while the run worked.
    read_at: dict[str, str | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    resolved: dict[str, Any] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)

    def note(self, sentence: str) -> None:
        """Add a sentence, once; names in it that come from data are escaped to one line."""
        sentence = printable(sentence)
        if sentence not in self.notes:
            self.notes.append(sentence)

    def line(self, name: str, table: str) -> Step:
        """Add a line for a part of a step, which has no time of its own."""
        self.steps.append(Step(name, table))
        return self.steps[-1]

    def add_stages(self, step: Step) -> None:
        """Add a line for each stage of a chain that `counts` has, of the table and version of a step."""
        for number, stage in enumerate(self.counts.get("stages", ()), 1):
            line = self.line(f"{step.step}, stage {number}: {stage['kind']}", step.table)
            line.rows, line.computed, line.undefined = stage["rows"], stage["kept"], stage["undefined"]
            line.ends(step.version, step.written)

    @contextmanager
    def step(self, name: str, table: str) -> Iterator[Step]:
        """Time a step and add it to the table, also when it fails."""
        step, start = self.line(name, table), time.monotonic()
        with shown(f"{name} {table}" if name == "ingest" else name, stage_of(name)) as seen:
            try:
                yield step
            finally:
                step.seconds = round(time.monotonic() - start, 1)
        log.info("%s: %s", seen.title, step.told)

    def to_json(self) -> str:
        """Return the manifest as JSON, with the outcome of each step in words and the versions of code and packages."""
        steps = [asdict(step) | {"outcome": step.outcome} for step in self.steps]
        return json.dumps(asdict(self) | {"steps": steps, "versions": versions()}, sort_keys=True, default=str)

    def table(self) -> Rows:
        """Return the steps: name, table, the counts that any of them has, outcome."""
        shown = [n for n in SHOWN if any(getattr(s, n) is not None for s in self.steps)]
        shown += ["read"] if any(s.read for s in self.steps) else []
        rows = [(s.step, s.table, *(getattr(s, n) for n in shown), s.outcome) for s in self.steps]
        return rows_of(("step", "table", *(n.replace("_", " ") for n in shown), "outcome"), rows)


def stage_of(step: str) -> str:
    """Return the stage of a run that a step is of: what a run counts is stages, as passes over the data vary.

    Examples
    --------
    >>> stage_of("fit cells"), stage_of("round 2"), stage_of("hashes")
    ('scores', 'rounds', 'hashes')
    """
    first = step.split(" ")[0]
    return {"fit": "scores", "compute": "scores", "publish": "scores", "round": "rounds"}.get(first, first)


def told(state: TableState) -> str | None:
    """Return what identifies the data of a table among those that a run read or wrote; None without versions."""
    return f"{state.ref}: {state.data_version}" if state.data_version else None


def files_of(table: str) -> str:
    """Return what the source files of a table are called among what a run read."""
    return f"files of {table}"


def versions() -> dict[str, str]:
    """Return versions of the code, Python, packages and the zlib that was used."""
    by_name = {"python": platform.python_version(), "zlib": zlib.ZLIB_RUNTIME_VERSION}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):  # a cluster may carry them without metadata
            by_name[package] = metadata.version(package)
    return by_name


def made_by(property_of: Callable[[str], str]) -> dict[str, str]:
    """Return user, host, and the job where one is known, by the name of what names it.

    Parameters
    ----------
    property_of : callable
        Returns a property of the session, "" for one that it does not have.
    """
    by = {"host": platform.node()}
    with suppress(Exception):  # a container may give its user no name
        by["user"] = getpass.getuser()
    found = {name: os.environ.get(name, "") for name in JOB_VARIABLES}
    found |= {name: property_of(name) for name in JOB_PROPERTIES}
    return by | {name: value for name, value in found.items() if value}
