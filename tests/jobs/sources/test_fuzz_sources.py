"""500 made sources through the real ingest: what is in the files is in the tables, or refused in one sentence.

Cases 0 to 399 are ingested by ten, each accounted for by its own files; 400 to 499 must be refused, each alone. A case
is a function of its number: LAKESIFT_CASE=137 runs test_one_case on that one alone and leaves its files in tmp_path.
"""

from __future__ import annotations

import os
import random
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

from .accounting import Cases, check
from .odd_parquet import parquet_file
from .odd_text import csv_file, json_file, text_file
from .oddities import Kind, MadeFile, Row, made_case, put
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
    if what == "remove" and len(cases[number]) == 1:  # a folder that `entries` may name is left without a file
        what = "replace"
    if what in ("replace", "remove"):
        gone = cases[number].pop()
        (root / f"case-{number}" / gone.name).unlink()
        new = [] if what == "remove" else [MadeFile(gone.name, new[0].content, new[0].records)]
    elif what == "respell":
        entries, new = [os.path.relpath(root)], []
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
