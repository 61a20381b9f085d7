"""Writers at the same time lose nothing and write nothing twice: in a folder lake (lock), in a catalog (conflicts)."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lakesift.jobs.lake import commits
from lakesift.jobs.lake.commits import Conflict
from lakesift.jobs.lake.lock import hold
from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.lake.schemas import Col, memos, scores
from lakesift.jobs.lake.tables import Lake, retry_on_conflict
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from lakesift.jobs.scoring import rows as scoring_rows
from lakesift.udfs.errors import ConflictError
from tests.jobs.conftest import pool
from tests.texts import human_eval

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 200


def both(work: Callable[[str], Any]) -> dict[str, Any]:
    """Call `work` with "left" and "right" in threads of these names; return results or exceptions by name."""
    made: dict[str, Any] = {}

    def call(name: str) -> None:
        try:
            made[name] = work(name)
        except Exception as error:
            made[name] = error

    threads = [threading.Thread(target=call, args=(name,), name=name) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=1_200)
    assert not any(thread.is_alive() for thread in threads), made
    return made


def meeting(frame: DataFrame, folder: Path, names: int = 2) -> DataFrame:
    """Return the frame; its rows come only once `names` threads compute theirs: their transactions overlap."""
    folder.mkdir(exist_ok=True)
    mark = folder / threading.current_thread().name

    def wait(batches: Iterable[Any]) -> Iterator[Any]:
        mark.touch()
        end = time.monotonic() + 60
        while len(list(folder.iterdir())) < names and time.monotonic() < end:
            time.sleep(0.01)
        yield from batches

    return frame.coalesce(1).mapInArrow(wait, frame.schema)


def other(lake: Lake) -> Lake:
    """The same lake in a session of its own."""
    return Lake(lake.spark.newSession(), lake.root)


# -- one table --------------------------------------------------------------------------------------------------


def numbers(spark: SparkSession, start: int, end: int, label: str = "a") -> DataFrame:
    return spark.range(start, end).selectExpr(
        "CAST(id AS STRING) AS id", "CAST(id AS STRING) AS content_hash", f"id AS {label}"
    )


def properties(lake: Lake, name: str) -> dict[str, str]:
    rows = lake.spark.sql(f"SHOW TBLPROPERTIES {lake.ref(name)}").collect()
    return {r["key"]: r["value"] for r in rows}


def test_overwrite_keeps_all_but_the_rows_and_columns(lake: Lake) -> None:
    table, wider = scores("x", [Col("a", "BIGINT", "an a")], 30), scores("x", [Col("b", "DOUBLE", "a b")], 30)
    lake.create(table)
    declared = properties(lake, table.name)
    assert declared["delta.constraints.id_is_there"] == "id IS NOT NULL"
    assert lake.overwrite(table, numbers(lake.spark, 0, 3), {"say": 1}, 0).version == 1
    made = lake.overwrite(wider, numbers(lake.spark, 0, 5, "b"), {"say": 2}, 1)
    assert (made.version, made.rows, made.metadata["say"]) == (2, 5, 2)
    assert properties(lake, table.name) == declared
    columns = lake.spark.sql(f"DESCRIBE {lake.ref(table.name)}").collect()
    assert {r["col_name"]: (r["data_type"], r["comment"]) for r in columns} == {
        c.name: (c.type.lower(), c.comment) for c in wider.columns
    }
    nobody = numbers(lake.spark, 0, 1, "b").selectExpr("CAST(NULL AS STRING) AS id", "content_hash", "b")
    with pytest.raises(Exception, match="id_is_there"):
        lake.overwrite(wider, nobody, {}, 2)
    assert [c.metadata.get("say") for c in lake.history(table.name)] == [2, 1, None]
    assert (lake.read(table.name, 1).columns[2], lake.read(table.name).columns[2]) == ("a", "b")
    assert lake.read(table.name, 1).count() == 3
    assert lake.tables() == [table.name]


def test_one_of_two_writers_with_the_same_base_wins(lake: Lake, tmp_path: Path) -> None:
    table = scores("x", [Col("a", "BIGINT", "an a")], 30)
    lake.create(table)
    span = {"left": (0, 3), "right": (10, 15)}

    def write(name: str) -> int:
        mine = other(lake)
        return mine.overwrite(table, meeting(numbers(mine.spark, *span[name]), tmp_path / "meet"), {}, 0).version

    made = both(write)
    winner = next(name for name, done in made.items() if done == 1)
    loser = {"left": "right", "right": "left"}[winner]
    assert isinstance(made[loser], Conflict), made
    assert sorted(r["a"] for r in lake.read(table.name).collect()) == list(range(*span[winner]))
    with pytest.raises(Conflict):  # also long after the other has committed
        lake.overwrite(table, numbers(lake.spark, 0, 1), {}, 0)
    assert lake.version(table.name) == 1


def test_no_update_is_lost(lake: Lake) -> None:
    """Two threads each add 2 rows to what they read: 4 rows, whoever came first."""
    table = scores("x", [Col("a", "BIGINT", "an a")], 30)
    lake.create(table)
    start = threading.Barrier(2)

    def grow(mine: Lake) -> None:
        base = mine.version(table.name) or 0
        size = mine.read(table.name, base).count()
        if base == 0:
            start.wait(60)
        mine.overwrite(table, numbers(mine.spark, 0, size + 1), {}, base)

    def twice(_: str) -> None:
        mine = other(lake)
        for _ in range(2):
            retry_on_conflict("grow", partial(grow, mine))

    assert both(twice) == {"left": None, "right": None}
    assert lake.read(table.name).count() == 4
    assert lake.version(table.name) == 4


def test_two_creators_make_one_table(lake: Lake) -> None:
    many, start = [replace(memos(), name=f"x{i}") for i in range(4)], threading.Barrier(2)

    def create(_: str) -> None:
        mine = other(lake)
        for table in many:
            start.wait(60)
            mine.create(table)

    assert both(create) == {"left": None, "right": None}
    assert [lake.version(table.name) for table in many] == [0, 0, 0, 0]
    assert properties(lake, many[0].name)["delta.isolationLevel"] == "Serializable"


def test_a_table_that_a_crash_left_half_made_is_made(spark: SparkSession, tmp_path: Path) -> None:
    lake, table = Lake(spark, str(tmp_path)), memos()
    log = tmp_path / table.name / "_delta_log"
    log.mkdir(parents=True)
    (log / ".00000000000000000000.json.tmp").write_text("{")
    lake.create(table)
    assert lake.version(table.name) == 0


@pytest.mark.parametrize("protected", [True, False])
def test_what_keeps_memo_rows_unique(lake: Lake, tmp_path: Path, protected: bool) -> None:
    """An append whose plan reads the live memo conflicts; one that reads a pinned version doubles rows."""
    table = memos()
    lake.create(table)

    def add(mine: Lake, met: bool) -> Any:
        have = mine.read(table.name, None if protected else 0).where("fingerprint = 'f'").select("id", "content_hash")
        new = numbers(mine.spark, 0, 9, "number").join(have, ["id", "content_hash"], "left_anti")
        none = "CAST(NULL AS ARRAY<DOUBLE>) AS numbers", "CAST(NULL AS ARRAY<FLOAT>) AS vector"
        rows = new.selectExpr("id", "content_hash", "'f' AS fingerprint", "CAST(number AS DOUBLE) AS number", *none)
        return mine.append(table, meeting(rows, tmp_path / "meet") if met else rows, {})

    made = both(lambda _: add(other(lake), True))
    assert sum(isinstance(done, Conflict) for done in made.values()) == protected, made
    assert lake.read(table.name).count() == (9 if protected else 18)
    if protected:
        assert add(lake, False) is None, "nothing left to add: no commit, and no conflict either"
        assert lake.version(table.name) == 1


def test_deciding_goes_on_for_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits.time, "sleep", lambda _: None)
    calls: list[int] = []

    def third() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise Conflict("t")
        return "done"

    assert (retry_on_conflict("it", third), len(calls)) == ("done", 3)

    def never() -> None:
        calls.append(1)
        raise Conflict("t")

    with pytest.raises(ConflictError, match="it: other runs committed first 4 times; run again"):
        retry_on_conflict("it", never, tries=4)
    assert len(calls) == 7


# -- whole runs -------------------------------------------------------------------------------------------------

GOALS = [{"text": t} for t in human_eval()[:8]]
BASE = {"documents": {"table": "docs"}, "targets": {"goals": {"table": "goals"}}, "seed": 42}
RAW: dict[str, dict[str, Any]] = {
    "left": {
        **BASE,
        "name": "left",
        "scores": {"alignment": {"kind": "zipfit", "target": "goals"}, "tokens": "length_tokens"},
        "where": "tokens >= 20",
        "select": {"kind": "top_k", "by": "alignment"},
        "budget": {"rows": 20},
    },
    "right": {
        **BASE,
        "name": "right",
        "scores": {"near": {"kind": "zipfit", "target": "goals"}, "bytes": "length_bytes"},
        "where": "bytes < 4000",
        "select": {"kind": "interval", "bounds": {"near": ["q0.2", "q0.9"]}, "within": "random"},
        "budget": {"rows": 30},
        "controls": ["random"],
    },
}
RECIPES = {name: parse(raw) for name, raw in RAW.items()}


def fill(lake: Lake) -> None:
    import pandas as pd

    for name, rows in (("docs", pool(ROWS)), ("goals", GOALS)):
        writer = lake.spark.createDataFrame(pd.DataFrame(rows)).coalesce(1).write.format("delta")
        writer.save(lake.path(name)) if lake.local else writer.saveAsTable(lake.ref(name))


def results(lake: Lake) -> dict[str, list[Any]]:
    """Every row of what both recipes made."""
    made = {}
    for name in ("scores_left", "scores_right", "selection_left", "selection_right", "controls_right"):
        frame = lake.read(name)
        made[name] = sorted((tuple(r) for r in frame.select(*sorted(frame.columns)).collect()), key=repr)
    return made


@pytest.fixture(scope="module")
def undisturbed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    alone = Lake(spark, str(tmp_path_factory.mktemp("alone")))
    fill(alone)
    for r in RECIPES.values():
        run(alone, r)
    return results(alone)


def test_the_second_waits_and_says_for_whom(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lakesift")
    inside: list[str] = []

    def work(name: str) -> None:
        with hold(tmp_path, f"run of {name}"):
            inside.append(name)
            time.sleep(0.5)
            assert inside[-1] == name, "two hold the lock"

    assert both(work) == {"left": None, "right": None}
    assert [r.getMessage().split(" (process")[0] for r in caplog.records] == [f"waiting for run of {inside[0]}"]


def test_two_recipes_at_once_share_a_score(
    lake: Lake,
    tmp_path: Path,
    undisturbed: dict[str, list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In the folder the second waits for the first; in the catalog both compute the same unit, and one loses it."""
    caplog.set_level(logging.INFO, "lakesift")
    fill(lake)
    if not lake.local:
        real = scoring_rows.apply
        monkeypatch.setattr(
            scoring_rows, "apply", lambda frame, fitted: meeting(real(frame, fitted), tmp_path / "meet")
        )

    def work(name: str) -> Manifest:
        mine = other(lake)
        mine.spark.conf.set("spark.lakesift.unitRows", str(ROWS // 2))
        return run(mine, RECIPES[name])

    made = both(work)
    assert all(isinstance(m, Manifest) for m in made.values()), made
    assert results(lake) == undisturbed
    shared = [s.computed for m in made.values() for s in m.steps if s.step in ("score alignment", "score near")]
    assert sum(shared) == ROWS
    rows = lake.read("memos").groupBy("id", "content_hash", "fingerprint").count().collect()
    assert {r["count"] for r in rows} == {1}
    fingerprints = {f for m in made.values() for f in m.fingerprints.values()}
    assert {f: sum(r["fingerprint"] == f for r in rows) for f in fingerprints} == dict.fromkeys(fingerprints, ROWS)
    assert lake.read("models").count() == 1
    assert sorted(r["recipe"] for r in lake.read("runs").collect()) == ["left", "right"]
    said = [r.getMessage() for r in caplog.records]
    if lake.local:
        assert sum("waiting for run of" in s for s in said) == 1
        assert sorted(shared) == [0, ROWS]
    else:
        assert any(s.startswith("score ") and "deciding again" in s for s in said), "the race was not forced"


@pytest.mark.long
def test_one_ingests_while_the_other_scores(lake: Lake, tmp_path: Path) -> None:
    """Files come one by one; at the end the lake equals one that is made of all of them at once."""
    places, texts = tmp_path / "in", pool(ROWS)
    places.mkdir()
    made = parse({
        "name": "grown",
        "documents": {"table": "grown_docs", "from": {"files": [str(places)]}},
        "scores": {"bytes": "length_bytes", "entropy": "information_entropy"},
        "select": {"kind": "top_k", "by": "entropy"},
        "budget": {"fraction": 0.1},
        "controls": ["random"],
    })  # fmt: skip

    def put(number: int) -> None:
        rows = texts[number * 20 : number * 20 + 20]
        (tmp_path / "new").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
        (tmp_path / "new").rename(places / f"{number}.jsonl")

    def work(name: str) -> list[int | None]:
        mine, found = other(lake), []
        for number in range(1, 5):
            if name == "left":
                put(number)
                run(mine, made, until="ingest")
            else:
                found.append(run(mine, made).rows)
        return found

    put(0)
    run(lake, made)
    done = both(work)
    assert done["left"] == [], done
    assert done["right"] == sorted(done["right"]), done
    for number in (5, 6):
        put(number)
        run(lake, made)
    anew = Lake(lake.spark, str(tmp_path / "anew"))
    run(anew, made)
    for table in ("grown_docs", "hashes_grown", "scores_grown", "selection_grown", "controls_grown"):
        old, new = (sorted(map(repr, one.read(table).collect())) for one in (lake, anew))
        assert old == new, table
    kept = lake.read("memos").groupBy("fingerprint", "id", "content_hash").count().collect()
    assert ({r["count"] for r in kept}, len(kept)) == ({1}, 2 * 140)
    assert lake.read("grown_docs").count() == lake.read("selection_grown").count() * 10 == 140


@pytest.mark.long
def test_two_processes_in_one_folder(spark: SparkSession, spark_conf: Path, undisturbed: Any, tmp_path: Path) -> None:
    lake = Lake(spark, str(tmp_path / "lake"))
    fill(lake)
    running = []
    for name, raw in RAW.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
        words = ["run", f"{name}.yaml", "--lake", "lake", "--spark", str(spark_conf)]
        command = [sys.executable, "-m", "lakesift.jobs.cli", *words]
        running.append(
            subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
    said = [process.communicate(timeout=1_200)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert sum("waiting for run of" in text for text in said) == 1, said
    assert results(lake) == undisturbed
    kept = lake.read("memos").groupBy("fingerprint", "id", "content_hash").count().collect()
    assert {r["count"] for r in kept} == {1}
    assert len(kept) == len({r["fingerprint"] for r in kept}) * ROWS
