"""Ingest by file: only new and changed files are parsed, and the table equals one that is made of all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakesift.jobs.ingest import ingest_table
from lakesift.jobs.ingest.writes import write_rows
from lakesift.jobs.lake.ingest_tables import FILE_COLUMN
from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.sources.source import Source
from lakesift.udfs.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakesift.jobs.lake.manifest import Step


class Folder:
    """A folder of source files, and a lake that follows it."""

    def __init__(self, spark: SparkSession, root: Path, form: str) -> None:
        self.spark, self.root, self.form = spark, root, form
        (root / "in").mkdir()

    def put(self, name: str, rows: list[dict[str, Any]], *raw: str) -> None:
        path = self.root / "in" / f"{name}.{self.form}"
        if self.form == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        else:
            path.write_text("\n".join([*map(json.dumps, rows), *raw]) + "\n", encoding="utf-8")

    def drop(self, name: str) -> None:
        (self.root / "in" / f"{name}.{self.form}").unlink()

    def ingest(self, lake: str = "lake") -> Step:
        manifest = Manifest("test", "hash")
        source = Source((str(self.root / "in"),), self.form)
        ingest_table(Lake(self.spark, str(self.root / lake)), "docs", source, "id", manifest)
        return manifest.steps[0]

    def contents(self, lake: str = "lake") -> list[list[str]]:
        made = Lake(self.spark, str(self.root / lake))
        tables = [made.read(n) for n in ("docs", "docs_rejected") if made.version(n) is not None]
        return [[t.schema.simpleString(), *sorted(repr(r) for r in t.collect())] for t in tables]

    def holds_what_is_there(self, name: str) -> bool:
        """Whether the lake equals one that is made of the files now."""
        self.ingest(name)
        made, new = self.contents(), self.contents(name)
        return made == new or (len(made) > len(new) and made[0] == new[0] and len(made[1]) == 1)


def rows(first: int, count: int, **also: Any) -> list[dict[str, Any]]:
    return [{"id": f"r{i}", "text": f"text {i}", "n": i, **also} for i in range(first, first + count)]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_new_changed_and_removed_files(form: str, spark: SparkSession, tmp_path: Path) -> None:
    folder = Folder(spark, tmp_path, form)
    folder.put("a", rows(0, 5), "not JSON")
    folder.put("b", rows(5, 5), '{"id": null, "text": "x", "n": 1}')
    assert folder.ingest().how == "all: first time"

    folder.put("c", rows(10, 3), "[1]")
    grown = folder.ingest()
    lines = 4 if form == "jsonl" else 3
    assert (grown.how, grown.read_rows, grown.computed) == ("new and changed files", lines, 13)
    assert grown.read_bytes == (tmp_path / "in" / f"c.{form}").stat().st_size
    assert not folder.ingest().written

    folder.put("b", rows(20, 2), "still no JSON")  # other rows, and another rejected line
    folder.drop("a")
    changed = folder.ingest()
    assert (changed.how, changed.computed) == ("new and changed files", 5)
    assert folder.holds_what_is_there("again")

    folder.drop("c")
    assert folder.ingest().read_rows == 0
    folder.put("d", rows(30, 1, more=1.5))  # another column: all are parsed
    assert folder.ingest().how == "all: other columns"
    assert folder.holds_what_is_there("once more")
    lake = Lake(spark, str(tmp_path / "lake"))
    assert {Path(r[FILE_COLUMN]).stem for r in lake.read("docs").collect()} == {"b", "d"}


def test_what_is_not_known_is_parsed(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is stopped before it lists its files, somebody else's DELETE, a file of the same size and time."""
    folder, lake = Folder(spark, tmp_path, "jsonl"), Lake(spark, str(tmp_path / "lake"))
    folder.put("a", rows(0, 5))
    folder.ingest()
    folder.put("b", rows(5, 1))
    with monkeypatch.context() as patched:
        patched.setattr("lakesift.jobs.ingest.write_files", stopped)
        with pytest.raises(KeyboardInterrupt):
            folder.ingest()
    assert not folder.ingest().written
    folder.put("c", rows(6, 1))
    assert folder.ingest().how.startswith("all: many files changed, or")

    before = (tmp_path / "in" / "c.jsonl").stat()
    folder.put("c", rows(7, 1))
    assert (tmp_path / "in" / "c.jsonl").stat().st_size == before.st_size
    assert folder.ingest().how == "new and changed files"
    spark.sql(f"DELETE FROM {lake.ref('docs')} WHERE id = 'r0'")
    assert folder.ingest().how.startswith("all: many files changed, or")
    assert folder.holds_what_is_there("again")


def stopped(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_file_that_changes_while_it_is_read(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(spark, tmp_path, "jsonl")
    folder.put("a", rows(0, 2))
    from lakesift.jobs import ingest

    times, limit = iter(range(1, 100)), 2

    def changing(*args: Any) -> Any:
        done = write_rows(*args)
        if (time := next(times)) < limit:
            folder.put("a", rows(100 * time, 2))
        return done

    monkeypatch.setattr(ingest, "write_rows", changing)
    folder.ingest()
    assert sorted(r["id"] for r in Lake(spark, str(tmp_path / "lake")).read("docs").collect()) == ["r100", "r101"]
    limit = 100
    folder.put("a", rows(7, 2))
    with pytest.raises(InputError, match=r"a\.jsonl changes while it is read; run again when it is complete"):
        folder.ingest()
