"""The rules of the house as a reader of syntax trees: who imports whom, who touches Spark, Delta and the terminal.

Nothing is imported from the code except to compare what is discovered with the files that are there.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakesift.jobs.rewards import rewards
from lakesift.jobs.selectors import selectors
from lakesift.udfs.discovery import scorers

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(p.relative_to(ROOT).as_posix() for top in ("udfs", "jobs") for p in (ROOT / top).rglob("*.py"))
FILE_LINES, FUNCTION_LINES = 250, 60
#: Files above the limit that wait to be split, with the lines they have at most: a list to be shortened.
LONG: dict[str, int] = {}
#: Spark's classic-only and unreproducible parts, and the Python API of Delta (it fails on Spark Connect).
FORBIDDEN = {
    *("rdd", "sparkContext", "_jvm", "_jsc", "_jdf", "cache", "persist", "insertInto", "DeltaTable"),
    *("rand", "randn", "monotonically_increasing_id", "sample", "randomSplit"),
}
FORBIDDEN_SQL = re.compile(r"\b(rand|randn|uuid|monotonically_increasing_id)\(", re.I)
WRITING_SQL = re.compile(
    r"^\s*(INSERT |MERGE INTO|DELETE FROM|UPDATE \S+ SET|CREATE (OR REPLACE )?TABLE|RESTORE |OPTIMIZE |VACUUM )", re.I
)
#: Rooms of jobs/ (its folders, and the files beside them) by floor, highest first. A room may import what lies on lower
#: floors and is listed for it; `udfs` and `jobs/lake` may be imported by all. Floor 0 holds rooms that know no other.
FLOORS: list[dict[str, str]] = [
    {"cli": "api run commands recipe"},
    {"api": "run tune score hashes runs commands inputs recipe scoring selectors"},
    {"run": "refine score fit select tune hashes runs ingest inputs recipe"},
    {"score": "fit scoring inputs recipe", "refine": "select scoring inputs recipe rewards selectors ranking"},
    {
        "fit": "scoring inputs recipe ranking",
        "select": "scoring runs inputs recipe selectors ranking",
        "tune": "scoring inputs recipe selectors",
        "commands": "scoring hashes runs inputs recipe rewards selectors ranking sources",
    },
    {"scoring": "inputs recipe ranking", "hashes": "inputs recipe", "runs": "inputs recipe sources"},
    {"inputs": "recipe selectors ranking sources", "ingest": "recipe sources"},
    {"recipe": "rewards selectors sources"},
    {"selectors": "ranking", "rewards": ""},
    {"ranking": "", "sources": "", "lake": ""},
]
#: What only these files may do.
ONLY = {
    "edge": {"udfs/spark.py", "udfs/arrow.py", "udfs/encoding.py"},
    "session": {"jobs/lake/session.py"},
    "delta": {"jobs/lake/tables.py", "jobs/lake/changes.py"},  # changes.py reads the feed
    "files": {"jobs/lake/tables.py", "jobs/commands/export.py"},  # export.py writes JSON and Parquet
    # DDL; names of operations; DELETE, OPTIMIZE, VACUUM
    "statements": {"jobs/lake/tables.py", "jobs/lake/commits.py", "jobs/lake/schemas.py", "jobs/commands/maintain.py"},
    "print": {"jobs/cli.py"},
    "properties": {"jobs/lake/tuning.py"},  # managed runtimes refuse some
}


def _imports(file: str, tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Yield the dotted name of what is imported, relative imports resolved, and whether it was relative."""
    # jobs/api is the package lakesift itself.
    folder = Path(file).parent.parts
    package = ("lakesift", *(folder[2:] if folder[:2] == ("jobs", "api") else folder))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            yield from ((f"{module}.{alias.name}", bool(node.level)) for alias in node.names)


def _import_faults(file: str, tree: ast.AST) -> Iterator[str]:
    for name, relative in _imports(file, tree):
        top = name.split(".")[0]
        if top in ("udfs", "jobs", "conf", "lakesift") and not relative:
            yield f"imports {name} by an absolute name"
        if top in ("pyspark", "delta") and name.rsplit(".", 1)[-1] in FORBIDDEN:
            yield f"imports {name}"
        if file.startswith("udfs/"):
            if name.startswith("lakesift.jobs"):
                yield f"udfs imports jobs: {name}"
            if top in ("pyspark", "pandas", "pyarrow", "delta") and file not in ONLY["edge"]:
                yield f"imports {name} outside the Spark edge"


def room_of(module: str) -> str:
    """Return the room of jobs/ that a dotted name lies in, "" for anything else; jobs/api is the package itself."""
    parts = module.split(".")
    if parts[:2] == ["lakesift", "jobs"]:
        return parts[2] if len(parts) > 2 else ""
    return "api" if parts[0] == "lakesift" and parts[1:2] not in (["udfs"], ["conf"]) else ""


def arrows(file: str, tree: ast.AST) -> set[tuple[str, str]]:
    """Return (room, room imported) of one file in jobs/, the room itself and `lake` left out."""
    room = Path(file).parts[1].removesuffix(".py")
    found = {room_of(name) for name, relative in _imports(file, tree) if relative}
    return {(room, other) for other in found - {room, "", "lake"}}


def _room_faults(file: str, tree: ast.AST) -> Iterator[str]:
    allowed = {room: names.split() for floor in FLOORS for room, names in floor.items()}
    room = Path(file).parts[1].removesuffix(".py") if file.startswith("jobs/") else ""
    if not room or room == "__init__":
        return
    if room not in allowed:
        yield f"is in the room {room}, which stands on no floor"
        return
    imported = {other for _, other in arrows(file, tree)}
    if room in ("ranking", "sources", "selectors") and any(room_of(n) == "lake" for n, _ in _imports(file, tree)):
        imported.add("lake")
    yield from (f"in {room} imports {other}" for other in sorted(imported - set(allowed[room])))


def _docstrings(tree: ast.AST) -> set[int]:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [n.body for n in ast.walk(tree) if isinstance(n, owners) and n.body]
    return {id(b[0].value) for b in bodies if isinstance(b[0], ast.Expr)}


def _use_faults(file: str, tree: ast.AST) -> Iterator[str]:
    docstrings = _docstrings(tree)
    for node in ast.walk(tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        of = node.value.id if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) else ""
        if name in FORBIDDEN and isinstance(node, ast.Attribute) and of != "source":  # a recipe's Source has a sample
            yield f"uses {name}"
        if name == "builder" and of == "SparkSession" and file not in ONLY["session"]:
            yield "builds a session"
        if name in ("saveAsTable", "writeTo") and file not in ONLY["delta"]:
            yield f"writes a table by {name}"
        if name == "write" and of not in ("file", "sys") and _is_frame_write(tree, node) and file not in ONLY["files"]:
            yield "writes a frame"
        if _is_property(node) and file not in ONLY["properties"]:
            yield "reads or sets a property of Spark"
        if name == "print" and file not in ONLY["print"]:
            yield "prints"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from _text_faults(file, node.value)


def _is_property(node: ast.AST) -> bool:
    """Tell `spark.conf.get(...)` and its like."""
    inner = node.value if isinstance(node, ast.Attribute) and node.attr in ("get", "set", "unset") else None
    return isinstance(inner, ast.Attribute) and inner.attr == "conf"


def _is_frame_write(tree: ast.AST, node: ast.AST) -> bool:
    """Tell `frame.write.mode(...)` from `file.write(text)`: the latter is called."""
    return not any(isinstance(n, ast.Call) and n.func is node for n in ast.walk(tree))


def _text_faults(file: str, text: str) -> Iterator[str]:
    if FORBIDDEN_SQL.search(text):
        yield f"has unreproducible SQL: {text!r}"
    if WRITING_SQL.search(text) and file not in ONLY["statements"]:
        yield f"has a writing statement: {text!r}"
    if text == "delta" and file not in ONLY["delta"]:
        yield "names the format delta"


def _size_faults(file: str, source: str, tree: ast.AST) -> Iterator[str]:
    lines, limit = len(source.splitlines()), LONG.get(file, FILE_LINES)
    if lines > limit:
        yield f"has {lines} lines; at most {limit}"
    if file in LONG and lines <= FILE_LINES:
        yield "is short by now: take it off the list LONG"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (long := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES:
            yield f"{node.name} has {long} lines; at most {FUNCTION_LINES}"


def faults(file: str, source: str) -> list[str]:
    """Return everything that is wrong with one source file."""
    tree = ast.parse(source)
    named = (
        [f"is called {Path(file).name}"] if Path(file).stem in ("utils", "util", "helpers", "base", "common") else []
    )
    faults_found = (*_import_faults(file, tree), *_room_faults(file, tree), *_use_faults(file, tree))
    return [*named, *faults_found, *_size_faults(file, source, tree)]


def test_tests_mirror_the_code() -> None:
    folders = [p for top in ("udfs", "jobs") for p in (ROOT / "tests" / top).iterdir() if (p / "__init__.py").exists()]
    assert len(folders) > 8
    for folder in folders:
        code = ROOT / folder.relative_to(ROOT / "tests")
        assert code.is_dir() or code.with_suffix(".py").is_file(), f"{folder} tests nothing of that name"


@pytest.mark.parametrize("file", FILES)
def test_the_rules_hold(file: str) -> None:
    assert faults(file, (ROOT / file).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("udfs/scores/x.py", "from ...jobs.recipe import load"),
        ("udfs/x.py", "from ..jobs import recipe"),
        ("udfs/x.py", "import pandas as pd"),
        ("udfs/kernels/x.py", "def f():\n    from pyarrow import array"),
        ("jobs/x.py", "from lakesift.udfs.scorer import Scorer"),
        ("jobs/x.py", "def f(df): return df.rdd"),
        ("jobs/x.py", "def f(spark): return spark.sparkContext"),
        ("jobs/x.py", "def f(df): return df.cache()"),
        ("jobs/x.py", "def f(F): return F.rand(1)"),
        ("jobs/x.py", "Q = 'SELECT monotonically_increasing_id()'"),
        ("jobs/x.py", "from delta.tables import DeltaTable"),
        ("jobs/x.py", "from pyspark.sql.functions import rand"),
        ("jobs/x.py", "def f(df): df.write.format('delta').save('p')"),
        ("jobs/x.py", "def f(df): df.write.mode('error').json('p')"),
        ("jobs/x.py", "def f(spark, t): spark.sql(f'DELETE FROM {t}')"),
        ("jobs/x.py", "S = SparkSession.builder.getOrCreate()"),
        ("jobs/x.py", "print(1)"),
        ("jobs/x.py", "def f(spark): return spark.conf.get('a')"),
        ("jobs/ranking/x.py", "from ..lake.tables import Lake"),
        ("jobs/selectors/x.py", "from ..recipe import Recipe"),
        ("jobs/selectors/x.py", "from ..lake.tables import Lake"),
        ("jobs/sources/x.py", "from ..ranking.top import top"),
        ("jobs/scoring/x.py", "from ..selectors.selector import Pool"),
        ("jobs/inputs/x.py", "from ..scoring.memos import values"),
        ("jobs/commands/x.py", "def f():\n    from ..score import score"),
        ("jobs/fit.py", "from .select import select"),
        ("jobs/select.py", "from .run import run"),
        ("jobs/new_room.py", ""),
        ("udfs/helpers.py", ""),
        ("jobs/x.py", "\n" * 251),
        ("jobs/x.py", "def f():\n" + "    a = 1\n" * 60),
    ],
)
def test_each_rule_can_fail(file: str, source: str) -> None:
    assert faults(file, source) != []


@pytest.mark.parametrize(
    ("folder", "found", "frame"),
    # zipfit_pairs is no score of a recipe: zipfit_race asks for it.
    [
        ("udfs/scores", scorers(), {"zipfit_pairs"}),
        ("jobs/selectors", selectors(), {"selector", "budget", "needs", "stages", "chain"}),
        ("jobs/rewards", rewards(), {"reward"}),
    ],
)
def test_every_scorer_selector_and_reward_file_is_found(folder: str, found: dict[str, type], frame: set[str]) -> None:
    files = {p.stem for p in (ROOT / folder).glob("*.py") if not p.stem.startswith("_")} - frame
    package = f"lakesift.{folder.replace('/', '.')}"
    homes = [c.__module__ for c in found.values() if c.__module__.startswith(package)]
    assert {home.rsplit(".", 1)[1] for home in homes} == files


def test_the_floors_are_in_order_and_every_room_stands_on_one() -> None:
    rooms = [room for floor in FLOORS for room in floor]
    below = {room: {r for lower in FLOORS[i + 1 :] for r in lower} for i, floor in enumerate(FLOORS) for room in floor}
    for floor in FLOORS:
        for room, names in floor.items():
            assert set(names.split()) <= below[room], f"{room} would import upward or sideways"
    there = {p.stem for p in (ROOT / "jobs").iterdir() if p.suffix == ".py" or (p.is_dir() and any(p.glob("*.py")))}
    assert there - {"__init__"} == set(rooms), "each room stands on a floor, and no floor holds a room that is gone"
    assert len(rooms) <= 20
    assert len(FLOORS) <= 10


def test_the_house_is_told_in_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints rooms, floors, arrows, the longest file and function: what a review asks for."""
    found: set[tuple[str, str]] = set()
    functions: list[tuple[int, str]] = []
    for file in FILES:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        if file.startswith("jobs/") and file != "jobs/__init__.py":
            found |= arrows(file, tree)
        nodes = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        functions += [((n.end_lineno or 0) - n.lineno + 1, f"{file}: {n.name}") for n in nodes]
    lines = {file: len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in FILES}
    longest = max(FILES, key=lambda f: lines[f])
    rooms = sum(map(len, FLOORS))
    with capsys.disabled():
        sys.stdout.write(
            f"\njobs/: {rooms} rooms on {len(FLOORS)} floors, {len(found)} arrows but those to lake; udfs and jobs: "
            f"{sum(lines.values()):,} lines, longest file {longest} ({lines[longest]}), longest function "
            f"{max(functions)[1]} ({max(functions)[0]})\n"
        )
    assert len(found) <= 63
