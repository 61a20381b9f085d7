"""Texts with a task each, and held-out rows of every task: what pools are made of and judged on.

Two corpora. `packages`: functions of the standard library by its packages and modules, its reference topics, HumanEval,
and documentation strings of packages that LakeSift needs; it is there wherever the tests run. `instructions`: sets of
instructions, reviews, mathematics and code in ../shared/data beside the checkout, only where they are there. No
selector is shown a task. Texts are cut at 2 000 characters; a text that stands twice is one row.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lakesift.jobs.sources.samples import SAMPLES
from tests.texts import INSTRUCTED, SHARED, human_eval, shared_rows

Array = np.ndarray[Any, np.dtype[Any]]
#: Characters of a text, at least and at most.
SHORTEST, LONGEST = 20, 2_000
#: Held-out rows of a task: at most, and at most this share of it.
HELD_OUT, HELD_SHARE = 16, 0.2
#: Rows from which a package or module of the standard library is a task.
TASK_ROWS = 110
#: Packages of which the documentation strings are tasks, and the most of each.
DOCUMENTED, MOST_DOCUMENTED = ("numpy", "pandas", "pyspark", "scipy", "sklearn"), 2_000


class Corpus(NamedTuple):
    """Texts and the task of each, (n,) str; by task the texts that are held out, none of them among the others."""

    name: str
    texts: list[str]
    tasks: Array
    held_out: dict[str, list[str]]


def hashed(text: str) -> int:
    """Return 64 bits that depend on the text alone: the order in which rows are held out."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def split(name: str, rows: Iterable[tuple[str, str]]) -> Corpus:
    """Return the corpus of (task, text): every text once, by the first task that has it."""
    by_task: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    for task, text in rows:
        first.setdefault(text.strip()[:LONGEST], task)
    for text, task in first.items():
        if len(text) >= SHORTEST:
            by_task.setdefault(task, []).append(text)
    texts, tasks, held_out = list[str](), list[str](), dict[str, list[str]]()
    for task in sorted(by_task):
        order = sorted(by_task[task], key=hashed)
        count = min(HELD_OUT, int(len(order) * HELD_SHARE))
        held_out[task] = order[:count]
        texts += order[count:]
        tasks += [task] * (len(order) - count)
    return Corpus(name, texts, np.array(tasks), held_out)


def _docstrings(package: str) -> Iterator[str]:
    """Yield documentation strings of a package's files, which are read and not imported."""
    spec = util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    for path in sorted(Path(spec.submodule_search_locations[0]).rglob("*.py")):
        if "tests" in path.parts:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes
            try:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            except (SyntaxError, ValueError):
                continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                yield ast.get_docstring(node) or ""


def _packages() -> Iterator[tuple[str, str]]:
    rows = list(SAMPLES["python_stdlib"].rows())
    module = [str(row["module"]).partition(".")[0] for row in rows]
    many = {name for name, count in Counter(module).items() if count >= TASK_ROWS}
    for name, row in zip(module, rows, strict=True):
        if row["kind"] == "topic" or name in many:
            yield ("topics" if row["kind"] == "topic" else f"library {name}"), str(row["text"])
    yield from (("human_eval", text) for text in human_eval(164))
    for package in DOCUMENTED:
        long = [text for text in dict.fromkeys(_docstrings(package)) if len(text) >= 100]
        yield from ((f"docs {package}", text) for text in sorted(long, key=hashed)[:MOST_DOCUMENTED])


def _joined(row: dict[str, Any], *columns: str) -> str:
    return "\n".join(filter(None, (row.get(column) or "" for column in columns)))


def _instructions() -> Iterator[tuple[str, str]]:
    asked = ("instruction", "input", "output")
    for name in INSTRUCTED:
        for row in shared_rows(name):
            yield (row["task"] if "flan" in name else name.rpartition("/")[2]), _joined(row, *asked)
    yield from ((f"dolly {row['category']}", _joined(row, *asked)) for row in shared_rows("dolly_3k/dolly_3k"))
    yield from ((row["genre"], row["text"]) for row in shared_rows("vader_groundtruth/all"))
    yield from (("mbpp", _joined(row, "text", "code")) for row in shared_rows("mbpp/mbpp"))
    yield from (("human_eval", text) for text in human_eval(164))
    yield from (("speeches", row["text"]) for row in shared_rows("pool_speech/paragraphs"))
    yield from (("xquad", _joined(row, "context", "question")) for row in shared_rows("xquad_en/xquad_en"))
    for row in shared_rows("proofnet/mathlib_docgen_nl_pairs"):
        yield "mathlib", _joined(row, "formal_statement", "nl_statement_of_codex")
    for row in shared_rows("proofnet/lean4"):
        yield "proofnet", _joined(row, "informal_stmt", "formal_statement")
    for part in ("test", "valid"):
        for row in shared_rows(f"minif2f/lean4_{part}"):
            yield "minif2f", row["text"].rpartition("Nat Topology Rat")[2]
    for part in ("seed_tasks", "user_oriented"):
        yield from (("self_instruct", _joined(row, *asked)) for row in shared_rows(f"self_instruct/{part}"))
    functions = [row for row in SAMPLES["python_stdlib"].rows() if row["kind"] != "topic"]
    yield from (("library", str(row["text"])) for row in functions[::3])


@cache
def corpus(name: str) -> Corpus:
    """Return a corpus by its name, "packages" or "instructions"."""
    return split(name, {"packages": _packages, "instructions": _instructions}[name]())


def at_hand() -> list[str]:
    """Return the names of the corpora that are there."""
    return ["packages", "instructions"] if SHARED.is_dir() else ["packages"]
