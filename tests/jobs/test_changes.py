"""The law of change: a lake that follows its documents equals one made anew over them, in every column."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.run import run
from lakesift.jobs.scoring import rows
from lakesift.jobs.select import select
from lakesift.udfs.errors import InputError
from tests.jobs.conftest import recipe
from tests.texts import functions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakesift.jobs.lake.manifest import Manifest
    from lakesift.jobs.recipe import Recipe

TEXTS = functions()[:200]
TABLES = ("hashes", "scores", "selection", "controls", "rejected")


class Life:
    """A table of documents outside of any lake, what happens to it, and a lake that follows it."""

    def __init__(self, spark: SparkSession, root: Path, seed: int, properties: str = "", partitioned: bool = False):
        self.spark, self.root, self.at, self.next = spark, root, random.Random(seed), 0
        self.place, self.made, self.properties = root / "documents", 0, properties
        columns = "id STRING, text STRING, lang STRING, n BIGINT, note STRING"
        parts = " PARTITIONED BY (lang)" if partitioned else ""
        spark.sql(f"CREATE TABLE {self.ref} ({columns}) USING delta{parts} TBLPROPERTIES ({properties or PLAIN})")
        self.append(60)

    @property
    def ref(self) -> str:
        return f"delta.`{self.place}`"

    def rows(self, count: int) -> pd.DataFrame:
        first, self.next = self.next, self.next + count
        made = [(f"d{i}", self.at.choice(TEXTS), self.at.choice("abc"), i % 7, "-") for i in range(first, self.next)]
        return pd.DataFrame(made, columns=["id", "text", "lang", "n", "note"])

    def write(self, rows: pd.DataFrame, mode: str = "append") -> None:
        note = next(c for c in self.spark.sql(f"SELECT * FROM {self.ref}").columns if c.startswith("note"))
        frame = self.spark.createDataFrame(rows.rename(columns={"note": note}))
        frame.coalesce(1).write.format("delta").mode(mode).save(str(self.place))

    def sql(self, text: str) -> None:
        self.spark.sql(text.format(t=self.ref)).collect()

    # -- what happens to documents ---------------------------------------------------------------------------------

    def append(self, count: int = 6) -> None:
        self.write(self.rows(count))

    def append_null_id(self) -> None:
        self.sql("INSERT INTO {t} BY NAME SELECT CAST(NULL AS STRING) AS id, 'of nobody' AS text, 'a' AS lang, 1L AS n")

    def again(self) -> None:
        """A row stands twice, with the same content; the next time, three times."""
        self.sql("INSERT INTO {t} SELECT * FROM {t} WHERE id = 'd3' LIMIT 1")

    def edit(self) -> None:
        self.sql(f"UPDATE {{t}} SET text = concat(text, ' # {self.at.random():.3f}') WHERE n = {self.at.randrange(7)}")

    def edit_kept(self) -> None:
        self.sql(f"UPDATE {{t}} SET n = n + 7 WHERE n = {self.at.randrange(7)}")

    def nothing_edited(self) -> None:
        self.sql("UPDATE {t} SET text = text WHERE n < 3")

    def there_and_back(self) -> None:
        self.sql("UPDATE {t} SET lang = 'z' WHERE id = 'd5'")
        self.sql("UPDATE {t} SET lang = 'b' WHERE id = 'd5'")

    def delete(self) -> None:
        self.sql(f"DELETE FROM {{t}} WHERE pmod(hash(id), 11) = {self.at.randrange(11)}")

    def optimize(self) -> None:
        self.sql("OPTIMIZE {t}")

    def optimize_and_edit(self) -> None:
        self.append(3)
        self.optimize()
        self.edit()

    def restore(self) -> None:
        last = self.spark.sql(f"DESCRIBE HISTORY {self.ref}").selectExpr("max(version)").collect()[0][0]
        try:
            self.sql(f"RESTORE TABLE {{t}} TO VERSION AS OF {max(1, last - self.at.randrange(1, 4))}")
        except Exception as error:  # after a VACUUM the files of that version may be gone
            if "Not all files from version" not in str(error):
                raise

    def vacuum(self) -> None:
        """Delta refuses less than a week."""
        self.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
        self.sql("VACUUM {t} RETAIN 0 HOURS")
        self.spark.conf.unset("spark.databricks.delta.retentionDurationCheck.enabled")

    def column_added(self) -> None:
        self.made += 1
        self.sql(f"ALTER TABLE {{t}} ADD COLUMN (more{self.made} STRING)")

    def column_renamed(self) -> None:
        """Only tables with mapped columns can."""
        if "columnMapping" in self.properties:
            self.made += 1
            old = next(c for c in self.spark.sql(f"SELECT * FROM {self.ref}").columns if c.startswith("note"))
            self.sql(f"ALTER TABLE {{t}} RENAME COLUMN {old} TO note{self.made}")

    def rewritten(self) -> None:
        self.sql("DELETE FROM {t}")
        self.append(40)

    def property_set(self) -> None:
        self.sql("ALTER TABLE {t} SET TBLPROPERTIES ('some.thing' = 'else')")

    def files(self) -> list[Path]:
        return sorted(self.place.rglob("*.parquet"))

    @contextmanager
    def only_new_files(self) -> Iterator[None]:
        """No file that was there before can be opened inside."""
        hidden = {file: file.with_suffix(".hidden") for file in self.files()}
        for file, away in hidden.items():
            file.rename(away)
        yield
        for file, away in hidden.items():
            away.rename(file)

    def compare(self, made: Recipe) -> None:
        """Assert that the lake that followed equals one that is made now."""
        old, new = (
            Lake(self.spark, str(self.root / name)) for name in ("lake", f"fresh{self.next}_{self.at.random()}")
        )
        run(new, made)
        for table in (f"{kind}_{made.name}" for kind in TABLES):
            if new.version(table) is None and not contents(old, table):
                continue
            assert contents(old, table) == contents(new, table), table

    def follow(self, made: Recipe, **how: Any) -> Manifest:
        return run(Lake(self.spark, str(self.root / "lake")), made, **how)

    def follow_any(self, made: Recipe, **how: Any) -> Manifest:
        """Run; where RESTORE went back to a table without rows, that is refused, and some come."""
        if self.spark.sql(f"SELECT id FROM {self.ref} WHERE id IS NOT NULL LIMIT 1").isEmpty():
            with pytest.raises(InputError, match="has no row with an id"):
                self.follow(made, **how)
            self.append()
        return self.follow(made, **how)


PLAIN = "'delta.enableDeletionVectors' = 'false'"
FEED = "'delta.enableChangeDataFeed' = 'true'"
KINDS = [
    Life.append, Life.append_null_id, Life.again, Life.edit, Life.edit_kept, Life.nothing_edited, Life.there_and_back,
    Life.delete, Life.optimize, Life.optimize_and_edit, Life.restore, Life.vacuum, Life.column_added, Life.rewritten,
    Life.property_set, Life.column_renamed,
]  # fmt: skip
#: Where a run is stopped: after hashing, after computing, after publishing.
STOPS = ("lakesift.jobs.run.score", "lakesift.jobs.score.publish", "lakesift.jobs.run.select")


def contents(lake: Lake, table: str) -> list[tuple[Any, ...]]:
    """The rows of a table, ordered; [] if there is none."""
    if lake.version(table) is None:
        return []
    frame = lake.read(table)
    return sorted((tuple(r) for r in frame.select(*sorted(frame.columns)).collect()), key=repr)


def followed(life: Life, **changes: Any) -> Recipe:
    """A recipe whose scores cost little and do not learn, over the documents of a life."""
    raw: dict[str, Any] = {
        "documents": {"table": life.ref, "duplicates": "first_by_hash"},
        "targets": {},
        "scores": {"ratio": "compression_ratio", "entropy": "information_entropy", "bytes": "length_bytes"},
        "where": "",
        "select": {"kind": "top_k", "by": "entropy"},
        "budget": {"rows": 15},
        "controls": ["random"],
        "report": {},
    }
    return recipe("followed", **{**raw, **changes})


def step(made: Manifest, name: str) -> Any:
    return next(s for s in made.steps if s.step == name)


def test_a_lake_that_follows_equals_one_made_anew(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "COUNT_FROM", 0)
    life = Life(spark, tmp_path, seed=1)
    made = followed(life)
    first = life.follow(made)
    assert step(first, "hashes").how == "all: first run"

    with life.only_new_files():
        life.append(5)
        grown = life.follow(made, until="score")
    assert (step(grown, "hashes").read_rows, step(grown, "hashes").how) == (5, "files of the log")
    assert step(grown, "hashes").read_bytes == max(life.files(), key=lambda f: f.stat().st_mtime_ns).stat().st_size
    assert step(grown, "publish").computed == 5
    assert step(grown, "score ratio").computed == 5

    for happens in (life.edit, life.optimize, life.again, life.delete, life.nothing_edited, life.append_null_id):
        happens()
    changed = life.follow(made)
    assert step(changed, "hashes").how == "files of the log"
    life.compare(made)

    life.nothing_edited()
    assert not step(life.follow(made), "hashes").written
    life.restore()
    life.rewritten()
    life.vacuum()
    healed = life.follow(made)
    assert step(healed, "hashes").how.startswith("all: files of an earlier version")
    life.compare(made)


def test_a_feed_that_ends_at_a_column_that_came_and_went_is_not_read(spark: SparkSession, tmp_path: Path) -> None:
    """Delta refuses the rows, not the frame, so that a run finds out when it counts them."""
    life = Life(spark, tmp_path, seed=4, properties=FEED)
    made = followed(life, scores={"ratio": "compression_ratio"}, select={"kind": "top_k", "by": "ratio"}, controls=[])
    life.follow(made)
    life.column_added()
    life.append(5)
    life.sql("RESTORE TABLE {t} TO VERSION AS OF 1")
    life.append(3)
    after = life.follow(made)
    assert step(after, "hashes").how == "all: its change data feed does not reach over a change of its columns"
    assert (step(after, "hashes").rows, step(after, "publish").computed) == (63, 3)


@pytest.mark.long
def test_a_table_with_a_feed_is_followed_by_it(spark: SparkSession, tmp_path: Path) -> None:
    life = Life(spark, tmp_path, seed=2, properties=f"{FEED}, 'delta.enableDeletionVectors' = 'true'", partitioned=True)
    made = followed(life, scores={"ratio": "compression_ratio"}, select={"kind": "top_k", "by": "ratio"}, controls=[])
    life.follow(made)
    for happens in (life.edit, life.there_and_back, life.edit, life.delete, life.append, life.optimize, life.again):
        happens()
    assert step(life.follow(made), "hashes").how == "change data feed"
    life.compare(made)


class Stopped(BaseException):
    """What ends a run as a kill does: nothing of it is caught."""


def stop(*_: Any, **__: Any) -> None:
    raise Stopped


def test_what_is_added_while_a_run_works_is_seen_by_the_next(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(spark, tmp_path, seed=4)
    made = followed(life, scores={"bytes": "length_bytes"}, select={"kind": "top_k", "by": "bytes"}, controls=[])

    def late(*args: Any) -> int:
        life.append(3)
        return select(*args)

    with monkeypatch.context() as patched:
        patched.setattr("lakesift.jobs.run.score", stop)
        with pytest.raises(Stopped):  # the first run, when it has hashed; then there are more rows
            life.follow(made)
        patched.undo()
        life.append(2)
        patched.setattr("lakesift.jobs.run.select", late)
        assert step(life.follow(made), "hashes").how == "files of the log"
    again = life.follow(made)
    assert not again.noop
    assert again.counts["documents"] == 65
    assert life.follow(made).noop


#: Properties of the documents table.
DELETION_VECTORS, MAPPED = "'delta.enableDeletionVectors' = 'true'", "'delta.columnMapping.mode' = 'name'"
LIVES = (PLAIN, PLAIN, FEED, f"{FEED}, {DELETION_VECTORS}", DELETION_VECTORS, MAPPED, f"{FEED}, {MAPPED}")
#: Clusters that are fitted by every run, so that they are those of a lake made anew.
FITTED: dict[str, Any] = {
    "scores": {
        "vector": {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 32},
        "cells": {"kind": "kmeans", "of": "vector", "k": 3, "refit": "always"},
        "entropy": "information_entropy",
    },
    "select": {"kind": "kmq", "cluster": "cells", "quality": "entropy"},
}

FITTED_ONCE = FITTED | {"scores": FITTED["scores"] | {"cells": {"kind": "kmeans", "of": "vector", "k": 3}}}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100))
def test_any_sequence(seed: int, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 statements, a run after about every third, one run in four stopped on its way."""
    at = random.Random(seed)
    life = Life(spark, tmp_path, seed, at.choice(LIVES), partitioned=at.random() < 0.3)
    fitted = at.choice([{}, {}, FITTED, FITTED_ONCE])
    refit = fitted is FITTED_ONCE  # the last run has to fit anew, and any other may
    made = followed(life, **fitted)
    life.follow_any(made)
    kinds: list[Callable[[Life], None]] = [at.choice(KINDS) for _ in range(20)]
    for happens in kinds:
        happens(life)
        if at.random() < 0.3:
            with monkeypatch.context() as patched, suppress(Stopped):
                if at.random() < 0.25:
                    patched.setattr(at.choice(STOPS), stop)
                life.follow_any(made, refit=refit and at.random() < 0.5)
    life.follow_any(made, refit=refit)
    life.compare(made)
