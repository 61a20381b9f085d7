"""500 made sources through the real ingest: what is in the files is in the tables, or refused in one sentence.

Cases 0 to 399 are ingested by ten, each accounted for by its own files; 400 to 499 must be refused, each alone. A case
is a function of its number: LAKESIFT_CASE=137 runs test_one_case on that one alone and leaves its files in tmp_path.
"""

from __future__ import annotations

import base64
import json
import math
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deltalake
import pytest

from lakesift.jobs.ingest import ingest_table
from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.sources.source import Dialect, Source
from lakesift.udfs.errors import LakeSiftError

from .odd_parquet import parquet_file
from .odd_text import csv_file, json_file, text_file
from .oddities import Kind, MadeFile, Row, folder_columns, made_case, put
from .refusals import REFUSALS
from .without_spark import ingested

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

INGESTED, REFUSED, GROUP = range(400), range(400, 500), 10
KINDS = [
    *(Kind("jsonl"), Kind("jsonl", None), Kind("jsonl", "lower(id)"), Kind("jsonl", "`a.b`", "a.b"), Kind("jsonl")),
    *(Kind("jsonl", "ID"), Kind("csv"), Kind("csv", delimiter=";", quote="'"), Kind("csv", delimiter="\t", quote="")),
    Kind("csv", "column_2", "column_2", "|", header=False),
    Kind("csv", "lower(id)", delimiter=",", header=("mark", "id", "text", "-- x".replace(" ", ""))),
    *(Kind("text", "path"), Kind("text", None), Kind("parquet"), Kind("parquet", "hex(uid)", "uid"), Kind("parquet")),
    Kind("parquet", "lower(id)"),
]
Cases = dict[int, list[MadeFile]]
MAKERS: dict[str, Callable[[random.Random, int, int, Kind], MadeFile]] = {
    "jsonl": json_file, "csv": csv_file, "text": text_file, "parquet": parquet_file,
}  # fmt: skip


def kind_of(number: int) -> Kind:
    return KINDS[number // GROUP % len(KINDS)]


def maker(kind: Kind) -> Callable[[random.Random, int, int, Kind], MadeFile]:
    return MAKERS[kind.form]


def ingest(lake: Lake, kind: Kind, entries: list[str], table: str = "docs") -> Any:
    manifest = Manifest("fuzz", "hash")
    dialect = Dialect(kind.delimiter, kind.quote, kind.header)
    ingest_table(lake, table, Source(tuple(entries), kind.form, dialect=dialect), kind.id_sql, manifest)
    return manifest.steps[0]


def held(lake: Lake, table: str) -> list[Row]:
    folder = f"{lake.root}/{table}"
    return deltalake.DeltaTable(folder).to_pyarrow_table().to_pylist() if Path(folder).exists() else []


# -- the law ---------------------------------------------------------------------------------------------------------


def agrees(has: Any, said: Any) -> bool:
    """Tell whether a value of a table is that of the record: as JSON where the column is text, null if absent."""
    if isinstance(has, str) and not isinstance(said, str):
        return has == json.dumps(said, ensure_ascii=False)
    if isinstance(has, dict) and isinstance(said, dict):
        return set(said) <= set(has) and all(agrees(value, said.get(key)) for key, value in has.items())
    if isinstance(has, list) and isinstance(said, list):
        return len(has) == len(said) and all(map(agrees, has, said))
    if isinstance(has, float) and isinstance(said, float):
        return has == said or (math.isnan(has) and math.isnan(said)) or math.isclose(has, said, rel_tol=1e-7)
    return bool(has == said and isinstance(has, bool) == isinstance(said, bool))


def check_file(path: str, made: MadeFile, kind: Kind, rows: list[Row], rejected: list[Row]) -> None:
    """Rows and rejected lines of one file are its records, and rows say what the records say."""
    assert len(rows) + len(rejected) == len(made.records), (len(rows), len(rejected), len(made.records), rejected[:3])
    assert all(line["reason"] and line["raw"] is not None for line in rejected)
    good = {said_mark(record.said, kind): record for record in made.records if record.said is not None}
    given = folder_columns(made.name)
    for row in rows:
        record = good.pop(said_mark(row, kind))
        said = {**given, **(record.said or {})} | ({"path": path} if kind.form == "text" else {})
        wrong = [n for n, v in row.items() if n != "lakesift_file" and not agrees(v, said.get(n))]
        assert not wrong, [(n, row[n], said.get(n)) for n in wrong]
        assert set(said) <= set(row), set(said) - set(row)
    bad = Counter(shown(r.raw) for r in made.records if r.said is None and r.raw is not None)
    assert not bad - Counter(line["raw"] for line in rejected), (bad, rejected)
    # Records that say a row are rejected for the id they lack, or for a value of another type than most.
    for record in good.values():
        assert record.said is not None
        reasons = [line["reason"] for line in rejected if "most values are" in line["reason"]]
        assert (kind.id_sql and record.said.get(kind.id_column) is None) or reasons, record
    for row in rows:
        assert kind.id_sql is None or kind.form == "text" or row[kind.id_column] is not None
    assert len(good) <= sum("most values are" in r["reason"] or r["reason"] == "id is null" for r in rejected)


def said_mark(said: Row | None, kind: Kind) -> Any:
    return (
        None
        if said is None
        else said.get({"text": "text"}.get(kind.form, "mark" if kind.header is not False else "column_1"))
    )


def shown(raw: bytes | None) -> str:
    try:
        return (raw or b"").decode() or ""
    except UnicodeDecodeError:
        return base64.b64encode(raw or b"").decode()


def check(rows: list[Row], rejected: list[Row], lines: int, root: Path, cases: Cases, kind: Kind) -> None:
    records = sum(len(made.records) for files in cases.values() for made in files)
    for number, files in cases.items():
        for made in files:
            path = str(root / f"case-{number}" / made.name)
            mine = [r for r in rows if r["lakesift_file"] == path], [r for r in rejected if r["file"] == path]
            try:
                check_file(path, made, kind, *mine)
            except (AssertionError, KeyError) as error:
                raise AssertionError(f"case {number}, file {made.name!r}: {error!r}"[:3000]) from error
    assert len(rows) + len(rejected) == records == lines, (len(rows), len(rejected), records, lines)


def check_tables(lake: Lake, step: Any, root: Path, cases: Cases, kind: Kind) -> None:
    rows, rejected = held(lake, "docs"), held(lake, "docs_rejected")
    check(rows, rejected, step.rows, root, cases, kind)
    assert step.rejected == len(rejected)


@pytest.mark.parametrize(
    "count", [pytest.param(100, id="100 cases"), pytest.param(4000, id="4000 cases", marks=pytest.mark.long)]
)
def test_the_parsers_account_for_made_sources(tmp_path: Path, count: int) -> None:
    """The same law without Spark and Delta, and ids that are columns."""
    groups = [first for first in range(1000, 9000, GROUP) if kind_of(first).form != "parquet"]
    for first in groups[: count // GROUP]:
        kind = kind_of(first)
        kind = replace(kind, id_sql=kind.id_sql and f"`{kind.id_column}`" if kind.form != "text" else "path")
        cases = {n: made_case(n, kind, maker(kind)) for n in range(first, first + GROUP)}
        root = tmp_path / str(first) / "in"
        for number, files in cases.items():
            put(root / f"case-{number}", files, kind, junk=True)
        dialect = Dialect(kind.delimiter, kind.quote, kind.header)
        check(*ingested(Source((str(root),), kind.form, dialect=dialect), kind.id_sql), root, cases, kind)


# -- the runs --------------------------------------------------------------------------------------------------------


def contents(lake: Lake, table: str) -> list[list[str]]:
    made = [lake.read(name) for name in (table, f"{table}_rejected") if lake.version(name) is not None]
    return [[t.schema.simpleString(), *sorted(repr(r) for r in t.collect())] for t in made]


def run_group(spark: SparkSession, base: Path, numbers: list[int], change: bool) -> None:
    kind, draw = kind_of(numbers[0]), random.Random(f"group {numbers}")
    cases = {n: made_case(n, kind, maker(kind)) for n in numbers}
    root = base / "in"
    for number, files in cases.items():
        put(root / f"case-{number}", files, kind, junk=True)
    lake = Lake(spark, str(base / "lake"))
    entries = draw.choice([[str(root)], [f"{root}/*"], [f"file:{root}"], [f"{root}/case-{n}" for n in numbers]])
    check_tables(lake, ingest(lake, kind, entries), root, cases, kind)
    if not change:
        return
    number = draw.choice(numbers)
    new = made_case(1000 + number, kind, maker(kind))
    what = draw.choice(["append", "replace", "remove", "respell"])
    if what in ("replace", "remove"):
        gone = cases[number].pop()
        (root / f"case-{number}" / gone.name).unlink()
        new = [] if what == "remove" else [MadeFile(gone.name, new[0].content, new[0].records)]
    elif what == "respell":
        entries, new = [str(root / "." / ".." / root.name)], []
    if what == "replace" and Path(new[0].name).suffix != Path(gone.name).suffix:
        what = "append"
    cases[number] += new
    put(root / f"case-{number}", new, kind)
    check_tables(lake, ingest(lake, kind, entries), root, cases, kind)
    fresh = Lake(spark, str(base / "fresh"))
    check_tables(fresh, ingest(fresh, kind, entries), root, cases, kind)
    again, anew = contents(lake, "docs"), contents(fresh, "docs")
    assert again[0] == anew[0], what
    assert again[1:] == anew[1:] or not (anew[1:] or again[1][1:]), what


@pytest.mark.long
@pytest.mark.parametrize("first", INGESTED[::GROUP])
def test_made_sources_are_accounted_for(spark: SparkSession, tmp_path: Path, first: int) -> None:
    numbers = list(range(first, first + GROUP))
    try:
        run_group(spark, tmp_path / "all", numbers, change=True)
    except Exception as error:
        if isinstance(error, AssertionError):
            raise
        for number in numbers:  # which of them it is
            try:
                run_group(spark, tmp_path / str(number), [number], change=False)
            except LakeSiftError as alone:
                assert "hold no row" in str(alone) or "is a row" in str(alone), f"case {number}: {alone}"  # noqa: PT017
            except Exception as alone:
                raise AssertionError(f"case {number}: {type(alone).__name__}: {alone}"[:3000]) from alone
        raise


@pytest.mark.long
@pytest.mark.parametrize("number", REFUSED)
def test_made_sources_are_refused_in_one_sentence(spark: SparkSession, tmp_path: Path, number: int) -> None:
    refused(spark, tmp_path, number)


def refused(spark: SparkSession, base: Path, number: int) -> None:
    draw = random.Random(f"case {number}")
    (base / "in").mkdir()
    make = REFUSALS[number % len(REFUSALS)]
    kind, entries, sentence = make(draw, base / "in")
    lake = Lake(spark, str(base / "lake"))
    try:
        step = ingest(lake, kind, [str(base / "in" / entry) for entry in entries])
    except LakeSiftError as error:
        assert sentence, f"{make.__name__}: {error}"  # noqa: PT017
        with pytest.raises(LakeSiftError, match=sentence):
            raise
        assert "\n" not in str(error)  # noqa: PT017
        assert len(str(error)) < 900  # noqa: PT017
        return
    assert not sentence, f"{make.__name__}: read as {held(lake, 'docs')[:3]}"
    assert step.rows == len(held(lake, "docs")) + len(held(lake, "docs_rejected")) > 0


@pytest.mark.skipif("LAKESIFT_CASE" not in os.environ, reason="LAKESIFT_CASE=137 runs that case alone")
def test_one_case(spark: SparkSession, tmp_path: Path) -> None:
    number = int(os.environ["LAKESIFT_CASE"])
    if number in REFUSED:
        refused(spark, tmp_path, number)
    else:
        run_group(spark, tmp_path, [number], change=True)
