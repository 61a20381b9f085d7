"""What a run says of itself: steps, inputs with versions and digests, fingerprints, packages; JSON in `runs`."""

from __future__ import annotations

import json
import platform
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

#: Fields of a step that count rows, in the order in which they are shown.
COUNTS = ("rows", "computed", "undefined", "ineligible", "rejected")


@dataclass
class Step:
    """One line of the closing table. `rows` = rows in; `outcome` = "wrote version N" or "unchanged, version N"."""

    step: str
    table: str
    rows: int | None = None
    computed: int | None = None
    undefined: int | None = None
    ineligible: int | None = None
    rejected: int | None = None
    seconds: float = 0.0
    outcome: str = ""

    def wrote(self, version: int) -> None:
        """Say that this step made a version."""
        self.outcome = f"wrote version {version}"

    def unchanged(self, version: int | None) -> None:
        """Say that there was nothing to do."""
        self.outcome = f"unchanged, version {version}"


@dataclass
class Manifest:
    """A run: what it was, what it read, what it made."""

    recipe: str
    recipe_hash: str
    run_id: str = ""
    selection_version: int | None = None
    rows: int = 0
    noop: bool = False
    inputs: dict[str, Any] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    stamps: dict[str, str | None] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, table: str) -> Iterator[Step]:
        """Time a step and add it to the table, also when it fails."""
        made, start = Step(name, table), time.monotonic()
        self.steps.append(made)
        try:
            yield made
        finally:
            made.seconds = round(time.monotonic() - start, 1)

    def to_json(self) -> str:
        """Return the manifest as JSON with code, package and library versions."""
        body = asdict(self)
        body["versions"] = versions()
        return json.dumps(body, sort_keys=True, default=str)

    def table(self) -> str:
        """Return the steps as a text table."""
        head = ("step", "table", *COUNTS, "seconds", "outcome")
        lines = [head] + [tuple(_cell(getattr(s, h)) for h in head) for s in self.steps]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        number = {h for h in head if h not in ("step", "table", "outcome")}
        rows = [
            "  ".join(c.rjust(w) if h in number else c.ljust(w) for c, w, h in zip(line, widths, head, strict=True))
            for line in lines
        ]
        return "\n".join(r.rstrip() for r in [rows[0], "-" * len(rows[0]), *rows[1:]])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def versions() -> dict[str, str]:
    """Return versions of the code, Python, packages and the zlib that was used."""
    made = {"python": platform.python_version(), "zlib": zlib.ZLIB_RUNTIME_VERSION}
    for package in ("lakesift", "pyspark", "delta-spark", "numpy", "pyarrow", "pandas"):
        try:
            made[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # a cluster may carry them without metadata
            continue
    return made
