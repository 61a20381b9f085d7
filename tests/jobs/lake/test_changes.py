"""What a table gained and lost: files by hand, and where the log cannot say."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakesift.jobs.lake.changes import FEED, FILES, Change, Unknown, change, net_files
from lakesift.jobs.lake.tables import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def commit(add: str = "", remove: str = "", moves: bool = False, **also: Any) -> list[dict[str, Any]]:
    files = [("add", path) for path in add.split()] + [("remove", path) for path in remove.split()]
    return [{kind: {"path": path, "size": 1, "dataChange": not moves, **also}} for kind, path in files]


@pytest.mark.parametrize(
    ("commits", "gained", "lost"),
    [
        ([commit("a"), commit("b")], "a b", ""),
        ([commit("b", "a")], "b", "a"),
        ([commit("b"), commit("c", "b")], "c", ""),  # came and went
        ([commit("", "a"), commit("a")], "", ""),  # restored
        ([commit("z", "a b", moves=True)], "", ""),  # compacted: no row changed
        ([commit("b"), commit("z", "a b", moves=True)], "b", ""),  # the file gained holds the rows still
        ([commit("z", "a b", moves=True), commit("c", "z")], "c", "a b"),  # what was compacted was edited
        ([commit("b"), commit("z", "a b", moves=True), commit("c", "z")], "c", "a"),
        ([commit("y", "a", moves=True), commit("z", "y", moves=True), commit("", "z")], "", "a"),
        ([commit("y z", "a b", moves=True), commit("c", "y")], "z c", "a b"),
    ],
)
def test_files_of_commits(commits: list[list[dict[str, Any]]], gained: str, lost: str) -> None:
    came, went = net_files(commits)
    assert ({f["path"] for f in came}, {f["path"] for f in went}) == (set(gained.split()), set(lost.split()))


def test_deletion_vectors_are_unknown() -> None:
    with pytest.raises(Unknown, match="deletion vectors"):
        net_files([commit("a", deletionVector={"storageType": "u"})])


class Table:
    """A table of a lake whose path needs care, and the state from which changes are asked for."""

    def __init__(self, spark: SparkSession, root: Path, properties: str = "'a' = 'b'", parts: str = "") -> None:
        self.lake = Lake(spark, str(root / "la ke%41 [x]"))
        self.sql(f"CREATE TABLE {{t}} (id BIGINT, part STRING) USING delta {parts} TBLPROPERTIES ({properties})")
        self.sql("INSERT INTO {t} SELECT id, concat('p ', pmod(id, 2)) FROM range(10)")
        self.then = self.lake.state("t")

    def sql(self, text: str) -> None:
        self.lake.spark.sql(text.format(t=self.lake.ref("t"))).collect()

    def change(self) -> Change:
        assert self.then.version is not None
        assert self.then.data_version is not None
        return change(self.lake, "t", self.then.version, self.then.data_version, self.lake.version("t") or 0)

    def net(self) -> tuple[list[Any], list[Any]]:
        """Rows gained and lost but for those that only moved."""
        found = self.change()
        came, went = ([] if f is None else [tuple(r) for r in f.collect()] for f in (found.gained, found.lost))
        for row in list(came):
            if row in went:
                came.remove(row)
                went.remove(row)
        return sorted(came), sorted(went)


@pytest.mark.parametrize("parts", ["", "PARTITIONED BY (part)"])
@pytest.mark.parametrize("properties", ["'a' = 'b'", "'delta.enableChangeDataFeed' = 'true'"])
def test_rows_of_changes(spark: SparkSession, tmp_path: Path, parts: str, properties: str) -> None:
    table = Table(spark, tmp_path, properties, parts)
    assert table.net() == ([], [])
    table.sql("INSERT INTO {t} VALUES (10, 'p 0'), (11, NULL)")
    table.sql("DELETE FROM {t} WHERE id = 3")
    table.sql("OPTIMIZE {t}")
    table.sql("UPDATE {t} SET part = 'x/y=%' WHERE id = 4")
    assert table.net() == ([(4, "x/y=%"), (10, "p 0"), (11, None)], [(3, "p 1"), (4, "p 0")])
    assert table.change().how == (FEED if "Feed" in properties else FILES)


def test_where_the_log_cannot_say(spark: SparkSession, tmp_path: Path) -> None:
    table = Table(spark, tmp_path)
    table.sql("INSERT INTO {t} VALUES (10, 'p 0')")
    log = Path(table.lake.root) / "t" / "_delta_log"
    moved = log / "00000000000000000002.json"
    moved.rename(moved.with_suffix(".gone"))
    with pytest.raises(Unknown, match="log cannot be read from version 2"):
        change(table.lake, "t", 1, str(table.then.data_version), 2)
    moved.with_suffix(".gone").rename(moved)
    with pytest.raises(Unknown, match="made anew"):
        change(table.lake, "t", 1, "another state", 2)
    for name in ("00000000000000000000.json", "00000000000000000001.json"):
        (log / name).unlink()
    with pytest.raises(Unknown, match="does not go back to version 1"):
        change(table.lake, "t", 1, str(table.then.data_version), 2)
    shutil.rmtree(table.lake.root)


def test_mapped_columns_need_a_feed(spark: SparkSession, tmp_path: Path) -> None:
    table = Table(spark, tmp_path, "'delta.columnMapping.mode' = 'name'")
    table.sql("INSERT INTO {t} VALUES (10, 'p 0')")
    with pytest.raises(Unknown, match="mapped"):
        table.change()
