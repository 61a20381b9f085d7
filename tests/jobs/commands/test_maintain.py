"""maintain: few files, dead memos gone, every kept version readable, and nothing to compute afterwards."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakesift.jobs.commands.maintain import maintain
from lakesift.jobs.lake.history import COLUMNS, commit_of
from lakesift.jobs.lake.schemas import LOG_DAYS, RETENTION, memos, scores
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from lakesift.udfs.errors import InputError
from lakesift.udfs.scorer import fingerprint

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RAW: dict[str, Any] = {
    "name": "kept",
    "documents": {"table": "docs"},
    "scores": {"bytes": {"kind": "length_bytes"}},
    "select": {"kind": "top_k", "by": "bytes"},
    "budget": {"rows": 5},
}


def row_of(text: str, table: str) -> list[str]:
    """Return the words of a table's line."""
    return next(line.split() for line in text.splitlines() if line.startswith(table))


def test_maintain_compacts_drops_vacuums_and_changes_no_result(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, recipe = Lake(spark, str(tmp_path / "lake")), parse(RAW)
    memo = memos()
    live = fingerprint(recipe.scores["bytes"])  # type: ignore[arg-type]
    texts = spark.range(40).selectExpr("concat('d', id) AS id", "repeat('a', CAST(id AS INT)) AS text")
    texts.write.format("delta").save(lake.path("docs"))
    first = run(lake, recipe)
    rows = lake.read("selection_kept").collect()
    spark.sql(f"INSERT INTO {lake.ref('docs')} VALUES ('new', repeat('a', 100))")
    run(lake, recipe)
    # What an old scorer left, and what a run that was cut short has just made.
    for name in ("dead", "fresh"):
        none = "CAST(NULL AS ARRAY<DOUBLE>) AS numbers, CAST(NULL AS ARRAY<FLOAT>) AS vector"
        row = f"SELECT 'x' AS id, 'h' AS content_hash, '{name}' AS fingerprint, 2D AS number, {none}"
        lake.append(memo, spark.sql(row), {"fingerprints": [name] if name == "fresh" else []})
    orphan = tmp_path / "lake" / memo.name / f"fingerprint={live}" / "part-orphan.parquet"
    orphan.write_bytes(b"left by a crash")
    os.utime(orphan, (time.time() - 30 * 86_400,) * 2)
    versions = {name: lake.version(name) for name in lake.tables()}

    dry = str(maintain(lake, dry_run=True))
    assert row_of(dry, memo.name)[2:] == ["1", "drop", "rows,", "compact,", "remove", "1", "files"]
    assert row_of(dry, "selection_kept")[2:] == ["0", "nothing"]
    assert {name: lake.version(name) for name in lake.tables()} == versions
    assert orphan.exists()
    with monkeypatch.context() as later:
        later.setattr("lakesift.jobs.commands.maintain.RECENT_DAYS", 0)
        assert row_of(str(maintain(lake, dry_run=True)), memo.name)[2] == "2", "recent memos stay, old ones do not"

    done = row_of(str(maintain(lake)), memo.name)
    assert int(done[1]) > 8
    assert done[2:] == ["2", "1"], "one file for the live fingerprint, one for the fresh; one row dropped"
    assert not orphan.exists()
    counts = {r["fingerprint"]: r["count"] for r in lake.read(memo.name).groupBy("fingerprint").count().collect()}
    assert counts == {live: 41, "fresh": 1}
    assert lake.version("docs") == versions["docs"], "the user's table is left alone"
    assert lake.read("selection_kept", first.selection_version).collect() == rows

    again = run(lake, recipe)
    assert [s.step for s in again.steps if s.outcome.startswith("wrote")] in ([], ["record"])
    assert sum(s.computed or 0 for s in again.steps if s.step.startswith("score")) == 0
    assert run(lake, recipe).noop

    # The log, read here, tells what DESCRIBE HISTORY tells: of creation, writes, DELETE, OPTIMIZE and VACUUM.
    for name in lake.tables():
        told = spark.sql(f"DESCRIBE HISTORY {lake.ref(name)}").selectExpr(*COLUMNS).collect()
        read, commits = lake.history(name), [commit_of(r.asDict()) for r in told]
        if name == memo.name:
            assert {c.operation for c in read} >= {"CREATE TABLE", "WRITE", "DELETE", "OPTIMIZE", "VACUUM END"}
        assert [replace(c, timestamp=0) for c in read] == [replace(c, timestamp=0) for c in commits]
        assert all(abs(a.timestamp - b.timestamp) < 10_000 for a, b in zip(read, commits, strict=True))
        assert lake.history(name, 2) == read[:2]


def test_an_edited_keep_versions_reaches_a_table_that_stands(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, str(tmp_path))
    stamps = set()
    for days, version in ((365, 0), (365, 0), (30, 1), (30, 1)):
        table = scores("kept", [], days)
        lake.create(table)
        kept = {r["key"]: r["value"] for r in spark.sql(f"SHOW TBLPROPERTIES {lake.ref(table.name)}").collect()}
        assert [kept[name] for name in RETENTION] == [f"interval {days} days", f"interval {LOG_DAYS} days"]
        assert lake.version(table.name) == version
        stamps.add(lake.state(table.name).data_version)
    assert len(stamps) == 1, "no row changed"


def test_a_table_of_ours_that_only_its_user_wrote_to_is_maintained(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, str(tmp_path / "lake"))
    lake.create(memos())
    spark.range(1).write.format("delta").save(lake.path("theirs"))
    none = "CAST(NULL AS ARRAY<DOUBLE>), CAST(NULL AS ARRAY<FLOAT>)"
    for i in range(2):
        spark.sql(f"INSERT INTO {lake.ref('memos')} VALUES ('d{i}', 'h', 'gone', 1D, {none})")
    assert maintain(lake).rows == (("memos", 2, 0, 2),)


def test_a_mistyped_lake_is_not_made(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no table in .*/lakke; give the --lake of your runs"):
        maintain(Lake(spark, str(tmp_path / "lakke")))
    assert not (tmp_path / "lakke").exists()
