"""The state of a table changes whenever its rows may have, also where its log no longer says how it came about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakesift.jobs.lake.schemas import Col, Table, scores
from lakesift.jobs.lake.tables import Lake
from tests.jobs.lake.conftest import folder_first, log_of, put, wear_out

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def data_version(lake: Lake, name: str = "t") -> str:
    found = lake.state(name).data_version
    assert found
    return found


@folder_first
def test_a_state_names_the_newest_commit_that_changed_data(lake: Lake) -> None:
    assert lake.data_versions("t", ["f"]) == {"f": None}
    assert (lake.state("t").version, lake.state("t").data_version) == (None, None)
    for start in range(0, 12, 4):
        put(lake, "t", lake.spark.range(start, start + 4))
    states = [lake.state("t")]
    for sql in ("ALTER TABLE {} SET TBLPROPERTIES ('a' = 'b')", "OPTIMIZE {}", "VACUUM {}"):
        lake.spark.sql(sql.format(lake.ref("t"))).collect()
        states.append(lake.state("t"))
    assert {s.data_version for s in states} == {states[0].data_version}
    assert {s.last_write.version for s in states if s.last_write} == {2}
    assert [s.version for s in states] == [2, 3, 4, 6]
    seen = {states[0].data_version}
    for sql in ("DELETE FROM {} WHERE id = 3", "UPDATE {} SET id = 40 WHERE id = 4", "RESTORE {} TO VERSION AS OF 2"):
        lake.spark.sql(sql.format(lake.ref("t"))).collect()
        seen.add(data_version(lake))
    assert len(seen) == 4


def test_tables_that_never_held_a_row_differ_by_name(lake: Lake) -> None:
    for name in ("a", "b"):
        lake.create(scores(name, [], 30))
    assert (data_version(lake, "scores_a"), data_version(lake, "scores_b")) == ("empty:scores_a", "empty:scores_b")
    assert lake.last_write("scores_a") is None


def worn(lake: Lake, name: str, **wear: int) -> str:
    """The state of a table whose log no longer holds a data-changing commit."""
    wear_out(lake, name, **wear)
    assert int(log_of(lake, name)[0].stem) > 0, "Delta has deleted nothing"
    assert lake.last_write(name) is None
    return data_version(lake, name)


@folder_first
def test_a_log_without_data_commits_still_shows_changed_rows(lake: Lake) -> None:
    """The case of A1: the stamp was the constant "empty" whatever the table held."""
    for name in ("t", "other"):
        put(lake, name, lake.spark.range(20).repartition(2))
    first, other = worn(lake, "t"), worn(lake, "other")
    assert len({first, other, "empty:t", "empty:other"}) == 4
    assert data_version(lake) == first
    lake.spark.sql(f"DELETE FROM {lake.ref('t')} WHERE id = 3")
    second = worn(lake, "t")
    put(lake, "t", lake.spark.range(3, 4))
    third = worn(lake, "t")
    lake.spark.sql(f"ALTER TABLE {lake.ref('t')} ADD COLUMNS (more STRING)")
    assert len({first, second, third, worn(lake, "t")}) == 4
    assert data_version(lake, "other") == other


@pytest.mark.long
def test_forty_days_of_maintenance(spark: SparkSession, tmp_path: Path) -> None:
    """With Delta's own intervals, step by step as in A1."""
    lake = Lake(spark, str(tmp_path))
    put(lake, "t", spark.range(20))
    first = worn(lake, "t", interval=10, turns=2)
    assert int(log_of(lake, "t")[0].stem) == 20
    put(lake, "t", spark.range(20, 21))
    spark.sql(f"DELETE FROM {lake.ref('t')} WHERE id = 0")
    assert data_version(lake) != first
    assert worn(lake, "t", interval=10, turns=2) != first


MEMOS = Table(
    "memos", "x", (Col("id", "STRING", "x", True), Col("fingerprint", "STRING", "x", True)), partition=("fingerprint",)
)


def add(lake: Lake, *fingerprints: str, **metadata: Any) -> None:
    rows = lake.spark.createDataFrame([("a", f) for f in fingerprints], "id string, fingerprint string")
    assert lake.append(MEMOS, rows, {"fingerprints": list(fingerprints), **metadata})


def test_a_state_of_fingerprints_is_changed_by_their_commits_alone(lake: Lake) -> None:
    lake.create(MEMOS)

    def states() -> tuple[str | None, str | None]:
        found = lake.data_versions("memos", ["f", "h"])
        assert found == {f: lake.data_versions("memos", [f])[f] for f in found}
        return found["f"], found["h"]

    nothing = states()
    assert nothing == ("empty:memos", "empty:memos")
    add(lake, "f")
    assert states()[0] != "empty:memos"
    assert states()[1] == "empty:memos"
    f = states()[0]
    add(lake, "h", "i")
    assert (states()[0], states()[1] == "empty:memos") == (f, False)
    h = states()[1]
    for _ in range(8):  # more than a catalog is asked for at first
        add(lake, "i")
    assert states() == (f, h)
    assert f == lake.history("memos")[-2].data_version, "the first commit behind the creation"

    lake.delete("memos", "fingerprint = 'i'", {"fingerprints": ["i"]})
    lake.spark.sql(f"ALTER TABLE {lake.ref('memos')} SET TBLPROPERTIES ('a' = 'b')")
    assert states() == (f, h)
    assert lake.read("memos").count() == 2
    assert lake.history("memos", 2)[1].metadata["fingerprints"] == ["i"]
    lake.delete("memos", "fingerprint = 'h'", {"fingerprints": ["h"]})
    assert states()[0] == f
    assert states()[1] not in (h, "empty:memos")

    lake.spark.sql(f"DELETE FROM {lake.ref('memos')} WHERE id = 'nobody'")  # by hand, and changes nothing: no commit
    assert states()[0] == f
    lake.spark.sql(f"DELETE FROM {lake.ref('memos')} WHERE id = 'a'")
    assert f not in states()
    assert len(set(states())) == 1, "a commit that names nothing concerns every fingerprint"


@folder_first
def test_a_worn_out_log_of_memos_counts_every_row(lake: Lake) -> None:
    lake.create(MEMOS)
    lake.spark.sql(f"ALTER TABLE {lake.ref('memos')} UNSET TBLPROPERTIES ('delta.logRetentionDuration')")
    add(lake, "f")
    wear_out(lake, "memos")
    before = lake.data_versions("memos", ["f"])["f"]
    assert lake.state("memos").last_write is None
    assert before not in (None, "empty:memos")
    assert before == lake.state("memos").data_version
    add(lake, "f")
    assert lake.data_versions("memos", ["f"])["f"] != before


@folder_first
def test_the_log_of_a_table_of_lakesift_does_not_wear_out(lake: Lake) -> None:
    lake.create(MEMOS)
    add(lake, "f")
    state = lake.state("memos")
    wear_out(lake, "memos")
    assert log_of(lake, "memos")[0].stem.strip("0") == ""
    assert lake.state("memos").data_version == state.data_version
