"""Ingest by file: only new and changed files are parsed, and the table equals one that is made of all."""

from __future__ import annotations

import json
import os
import random
from contextlib import suppress
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
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
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


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_replaced_file_touches_its_own_part_of_the_table(
    form: str, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(spark, tmp_path, form)
    for i in range(4):
        folder.put(f"large {i}", rows(1000 * i, 900))
    for i in range(4, 7):
        folder.put(f"little {i}", rows(1000 * i, 3))
    sizes = {f.stem: f.stat().st_size for f in (tmp_path / "in").iterdir()}
    monkeypatch.setattr("lakesift.jobs.ingest.writes.SMALL_ROWS", 1)
    monkeypatch.setattr("lakesift.jobs.ingest.layout.LEAST_BYTES", min(sizes.values()) * 3)
    monkeypatch.setattr("lakesift.jobs.ingest.layout.FILE_BYTES", sizes["large 0"] // 2)

    def parts() -> dict[str, set[str]]:
        held = Lake(spark, str(tmp_path / "lake")).read("docs").select("_metadata.file_name", FILE_COLUMN)
        found: dict[str, set[str]] = {}
        for part, file in held.distinct().collect():
            found.setdefault(part, set()).add(Path(file).stem)
        return found

    folder.ingest()
    before = parts()
    of_large = {name: {p for p, held in before.items() if name in held} for name in sizes if "large" in name}
    assert all(before[part] == {name} for name, its in of_large.items() for part in its)
    assert all(len(its) >= 2 for its in of_large.values())
    folder.put("large 1", rows(9000, 800))
    assert folder.ingest().how == "new and changed files"
    assert {*before} - {*parts()} == of_large["large 1"]
    assert folder.holds_what_is_there("again")


class Files:
    """A folder to which anything happens, and a table that somebody else writes to as well."""

    def __init__(self, folder: Folder, seed: int) -> None:
        self.folder, self.at, self.made = folder, random.Random(seed), 0
        self.place, self.table = folder.root / "in", f"delta.`{folder.root / 'lake' / 'docs'}`"
        self.new_file()

    def sql(self, text: str) -> None:
        self.folder.spark.sql(text.format(t=self.table)).collect()

    def filled(self) -> list[Path]:
        return [file for file in sorted(self.place.iterdir()) if file.stat().st_size]

    def one(self) -> Path:
        return self.at.choice(self.filled())

    def put(self, name: str) -> None:
        self.made += 1
        first, odd = 10 * self.made, ["[1]", '{"id": null, "text": "x", "n": 1}'][: self.at.randrange(3)]
        self.folder.put(name, rows(first, self.at.randrange(1, 6)), *odd)

    def new_file(self) -> None:
        self.put(f"f{self.made}")

    def replaced(self) -> None:
        self.put(self.one().stem)

    def replaced_with_an_older_time(self) -> None:
        """As by a clock that runs backwards."""
        file = self.one()
        self.put(file.stem)
        os.utime(file, (0, 0))

    def written_again(self) -> None:
        file = self.one()
        file.write_bytes(file.read_bytes())

    def same_size_and_time(self) -> None:
        file = self.one()
        before, content = file.stat(), file.read_text()
        file.write_text(content.replace('"text ', '"TEXT ', 1))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    def copied(self) -> None:
        """The ids of one file stand in another, too; with other text half of the time."""
        content = self.one().read_text()
        other = content.replace("text ", "other ") if self.at.random() < 0.5 else content
        (self.place / f"c{self.at.randrange(3)}.jsonl").write_text(other)

    def removed(self) -> None:
        if len(self.filled()) > 1:
            self.one().unlink()

    def empty_file(self) -> None:
        (self.place / "e.jsonl").write_text("")

    def another_column(self) -> None:
        self.made += 1
        self.folder.put(f"w{self.at.randrange(2)}", rows(10 * self.made, 2, more=self.at.random()))

    def deleted_by_somebody(self) -> None:
        self.sql(f"DELETE FROM {{t}} WHERE n % 3 = {self.at.randrange(3)}")

    def restored_by_somebody(self) -> None:
        self.sql("RESTORE TABLE {t} TO VERSION AS OF 1")

    def optimized(self) -> None:
        self.sql("OPTIMIZE {t}")


FILE_KINDS = [
    Files.new_file, Files.replaced, Files.replaced_with_an_older_time, Files.written_again, Files.same_size_and_time,
    Files.copied, Files.removed, Files.empty_file, Files.another_column, Files.deleted_by_somebody,
    Files.restored_by_somebody, Files.optimized,
]  # fmt: skip
#: Where a run is stopped: after the rows, before the list of files, after hashing, after publishing.
FILE_STOPS = ("ingest.write_rejected", "ingest.write_files", "run.score", "run.select")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(30))
def test_any_sequence_of_files(seed: int, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 events, a run after about every third, one run in three stopped on its way: the lake equals one made anew."""
    folder = Folder(spark, tmp_path, "jsonl")
    files, at = Files(folder, seed), random.Random(seed)
    made = parse({
        "name": "files",
        "documents": {"table": "docs", "from": {"files": [str(files.place)]}, "duplicates": "first_by_hash"},
        "scores": {"bytes": "length_bytes"},
        "select": {"kind": "top_k", "by": "bytes"},
        "budget": {"rows": 5},
        "controls": ["random"],
        "keep": ["text", "n"],
    })  # fmt: skip
    lake, anew = Lake(spark, str(tmp_path / "lake")), Lake(spark, str(tmp_path / "anew"))
    run(lake, made)
    for happens in [at.choice(FILE_KINDS) for _ in range(20)]:
        happens(files)
        if at.random() < 0.3:
            with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
                if at.random() < 0.3:
                    patched.setattr(f"lakesift.jobs.{at.choice(FILE_STOPS)}", stopped)
                run(lake, made)
    run(lake, made)
    run(anew, made)
    derived = [f"{kind}_files" for kind in ("hashes", "scores", "selection", "controls", "rejected")]
    for table in ("docs", "docs_rejected", *derived):
        old, new = (one.read(table) if one.version(table) is not None else None for one in (lake, anew))
        if new is None:
            assert old is None or old.count() == 0, table
            continue
        assert old is not None
        columns = sorted(new.columns)
        assert sorted(old.columns) == columns, table
        contents = (sorted(map(repr, frame.select(columns).collect())) for frame in (old, new))
        assert next(contents) == next(contents), table
