"""What LakeSift did not make it never writes; what it made stays its own, whatever its user does with the rows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lakesift.jobs.ingest import ingest_table
from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.lake.schemas import Col, Table
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import Source
from lakesift.udfs.errors import InputError
from tests.jobs.lake.conftest import folder_first, put

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TABLE = Table("mine", "numbers", (Col("id", "BIGINT", "a number"),))


def numbers(lake: Lake, count: int) -> DataFrame:
    return lake.spark.range(count).repartition(1)


def refused(lake: Lake, name: str = "mine") -> None:
    """Every way of writing a table is refused, in one sentence, and leaves it as it is."""
    before = lake.history(name)
    for write in (
        lambda: lake.create(TABLE),
        lambda: lake.overwrite(TABLE, numbers(lake, 1), {}, lake.version(name) or 0),
        lambda: lake.append(TABLE, numbers(lake, 1), {}),
    ):
        with pytest.raises(InputError) as caught:
            write()
        said = str(caught.value)
        assert said == (
            f"{name} in {lake.root} was not made by LakeSift, which writes only to its own tables: give another name "
            f"to the recipe or to its table, or drop {name}"
        )
    assert lake.history(name) == before


def test_a_users_table_is_never_written(lake: Lake) -> None:
    put(lake, "mine", numbers(lake, 3))
    refused(lake)
    lake.spark.sql(f"OPTIMIZE {lake.ref('mine')}").collect()
    refused(lake)


def test_a_table_that_a_user_made_in_the_place_of_ours_is_a_users(lake: Lake) -> None:
    lake.create(TABLE)
    assert lake.append(TABLE, numbers(lake, 2), {})
    if lake.schema:
        lake.spark.sql(f"DROP TABLE {lake.ref('mine')}")
    else:
        shutil.rmtree(Path(lake.root) / "mine")
    put(lake, "mine", numbers(lake, 3))
    refused(lake)


@folder_first
def test_what_a_user_does_with_the_rows_of_our_table_is_written_over(lake: Lake) -> None:
    lake.create(TABLE)
    assert lake.overwrite(TABLE, numbers(lake, 4), {"say": 1}, 0).version == 1
    for sql in (
        "DELETE FROM {} WHERE id = 0",
        "RESTORE TABLE {} TO VERSION AS OF 0",
        "OPTIMIZE {}",
        "ALTER TABLE {} SET TBLPROPERTIES ('a' = 'b')",
        "VACUUM {}",
    ):
        lake.spark.sql(sql.format(lake.ref("mine"))).collect()
        version = lake.version("mine")
        assert version is not None
        lake.create(TABLE)
        assert lake.version("mine") == version, "nothing to create"
        assert lake.overwrite(TABLE, numbers(lake, 4), {}, version).version == version + 1
        assert lake.read("mine").count() == 4
    put(lake, "mine", numbers(lake, 9), mode="overwrite")
    assert lake.append(TABLE, numbers(lake, 1), {})
    assert lake.read("mine").count() == 10


def test_tables_made_by_the_ddl_of_a_plan_are_ours(lake: Lake) -> None:
    lake.spark.sql(TABLE.ddl(lake.ref("mine")))
    lake.create(TABLE)
    assert lake.append(TABLE, numbers(lake, 2), {})
    lake.spark.sql(f"DELETE FROM {lake.ref('mine')} WHERE id = 1")
    assert lake.append(TABLE, numbers(lake, 2), {})


def test_a_folder_of_other_files_is_not_taken(lake: Lake) -> None:
    if lake.schema:
        lake.spark.sql(f"CREATE TABLE {lake.ref('mine')} (id BIGINT) USING parquet")
    else:
        (Path(lake.root) / "mine").mkdir(parents=True)
        (Path(lake.root) / "mine" / "notes.txt").write_text("kept")
    with pytest.raises(InputError, match=r"^mine in .* was not made by LakeSift"):
        lake.create(TABLE)
    if not lake.schema:
        assert (Path(lake.root) / "mine" / "notes.txt").read_text() == "kept"


def test_ingest_over_a_users_table_is_refused_before_a_file_is_parsed(lake: Lake, tmp_path: Path) -> None:
    put(lake, "mine", numbers(lake, 1))
    (tmp_path / "rows.jsonl").write_text("not even JSON\n")  # would be refused in another sentence
    source = Source((str(tmp_path / "rows.jsonl"),), "jsonl")
    for side in (False, True):
        if side:  # the table of rejected lines is a user's
            put(lake, "other_rejected", numbers(lake, 1))
            (tmp_path / "rows.jsonl").write_text('{"id": 1}\nnot JSON\n')
        name = "other" if side else "mine"
        with pytest.raises(InputError, match=rf"^{name}{'_rejected' if side else ''} in .* was not made by LakeSift"):
            ingest_table(lake, name, source, "id", Manifest("x", "h"))
    assert lake.read("mine").count() == 1
    assert lake.version("mine") == 0
    assert lake.version("other") is None, "both tables are looked at before one is written"
