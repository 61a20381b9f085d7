"""The tables `rounds` and `feedback`: what is known of a refinement's rounds, and what is added to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.kernels.refinement import next_weights
from ..lake import refinement_tables
from ..lake.tables import Lake, retry_on_conflict
from ..recipe.blocks import Refine

#: Ids that a note names.
_SHOWN = 5


@dataclass(frozen=True)
class Refinement:
    """A refinement by its name: the recipe's, and the hash of everything that decides its rounds."""

    recipe: str
    key: str

    def of(self, frame: DataFrame) -> DataFrame:
        """Return its rows of `rounds` or `feedback`."""
        return frame.where((F.col("recipe") == self.recipe) & (F.col("refinement") == self.key))

    @property
    def names(self) -> dict[str, str]:
        """The columns that name it."""
        return {"recipe": self.recipe, "refinement": self.key}

    @property
    def model_key(self) -> str:
        """What the models that it trains are kept under: the column `fit_key` of `models`."""
        return f"refinement {self.key}"


def finished_rounds(lake: Lake, refinement: Refinement) -> pd.DataFrame:
    """Return the rows of `rounds`, in order of round; clusters that are numbers are in their order."""
    if lake.last_write("rounds") is None:
        return pd.DataFrame({c.name: [] for c in refinement_tables.rounds().columns})
    number = F.expr("try_cast(cluster AS BIGINT)")
    return refinement.of(lake.read("rounds")).orderBy("round", number.asc_nulls_last(), "cluster").toPandas()


def all_finished(known: pd.DataFrame, rounds: int) -> bool:
    """Tell whether the rows of `rounds` are of every round, 1 to `rounds`."""
    return set(range(1, rounds + 1)) <= set(known["round"])


def add_round(lake: Lake, refinement: Refinement, number: int, lines: pd.DataFrame, said: dict[str, Any]) -> bool:
    """Add the clusters of a finished round, unless it is there; returns whether it was added."""
    frame = lake.spark.createDataFrame(lines.assign(**refinement.names, round=number))

    def attempt() -> bool:
        # Read in the append's own plan: of two that finish a round, one commits and the other finds it there.
        there = refinement.of(lake.read("rounds")).where(F.col("round") == number).select("cluster")
        new = frame.join(there, "cluster", "left_anti")
        return lake.append(refinement_tables.rounds(), new, {**refinement.names, "round": number, **said}) is not None

    return retry_on_conflict("rounds", attempt)


@dataclass(frozen=True)
class Feedback:
    """Rewards of the rows that a round asks about.

    `rewards` has `id` and `reward` of the rows that have a row in `feedback`, NaN where the reward is undefined;
    `absent` are the ids asked about that have none; `notes` name what was not read; `rows` is how many rows of the
    round the writer has written.
    """

    rewards: pd.DataFrame
    absent: list[str]
    notes: list[str]
    rows: int


def read_feedback(lake: Lake, refinement: Refinement, number: int, writer: str, chosen: pd.DataFrame) -> Feedback:
    """Return the newest reward of each row that a round asks about; `chosen` has `id` and `asked`."""
    read = _rows_read(lake, refinement)
    rows = refinement.of(lake.read("feedback")).where(F.col("source") == writer)
    newest = F.max_by("reward", F.struct("at", "reward")).alias("reward")
    mine = rows.where(F.col("round") == number).groupBy("id").agg(newest).toPandas()
    found = mine.merge(chosen[["id", "asked"]], on="id", how="left")
    reward = found["reward"].astype(float)
    found["reward"] = reward.where(np.isfinite(reward))
    asked = found[found["asked"].eq(True)]
    absent = sorted(set(chosen["id"][chosen["asked"]]) - set(asked["id"]))
    notes = [
        *_counted(found["id"][found["asked"].isna()], f"round {number}", "of rows that were not chosen"),
        *_counted(found["id"][found["asked"].eq(False)], f"round {number}", "of rows that it does not ask about"),
        *_counted(asked["id"][asked["reward"].isna()], f"round {number}", "null, NaN or infinite"),
    ]
    counts = {r["round"]: r["count"] for r in rows.groupBy("round").count().orderBy("round").collect()}
    for other, count in counts.items():
        late = count - read.get(other, 0)
        if other < 1 or other > number:
            notes.append(f"feedback of round {other}: {late:,} rewards of a round that is not there yet are not read")
        elif other in read and late:
            notes.append(f"feedback of round {other}: {late:,} rewards that came after it was finished are not read")
    return Feedback(asked[["id", "reward"]].reset_index(drop=True), absent, notes, counts.get(number, 0))


def _rows_read(lake: Lake, refinement: Refinement) -> dict[int, int]:
    """Return by finished round how many rows `feedback` had for it when it was finished."""
    said = (c.metadata for c in lake.history("rounds") if c.says(refinement.names))
    return {m["round"]: m["feedback_rows"] for m in said}


def _counted(ids: pd.Series[str], where: str, what: str) -> list[str]:
    if ids.empty:
        return []
    some = ", ".join(map(repr, sorted(ids)[:_SHOWN]))
    return [f"feedback of {where}: {len(ids):,} rewards {what}, such as {some}, are not read"]


def add_feedback(lake: Lake, refinement: Refinement, number: int, writer: str, rewards: pd.DataFrame) -> None:
    """Add rewards (`id`, `reward`, NaN where undefined) of rows that have none yet."""
    frame = lake.spark.createDataFrame(rewards[["id", "reward"]].astype({"reward": float}), "id string, reward double")
    names = {**refinement.names, "round": number, "source": writer}
    frame = frame.select(
        "id", F.when(~F.isnan("reward"), F.col("reward")).alias("reward"),
        *(F.lit(value).alias(name) for name, value in names.items()), F.current_timestamp().alias("at"),
    )  # fmt: skip
    retry_on_conflict("feedback", lambda: lake.append(refinement_tables.feedback(), frame, names))


def weights_after(rounds: pd.DataFrame, number: int) -> dict[str, float]:
    """Return the weights by cluster that follow from a round."""
    lines = rounds[rounds["round"] == number]
    return dict(zip(lines["cluster"], lines["weight_next"].astype(float), strict=True))


def round_lines(
    clusters: Mapping[str, int],
    weights: Mapping[str, float],
    picked: pd.DataFrame,
    cluster_of: pd.Series[str],
    rewards: pd.DataFrame,
    settings: Refine,
) -> tuple[pd.DataFrame, list[str]]:
    """Return the clusters of a finished round, as `rounds` has them, and those with few scored rows.

    Parameters
    ----------
    clusters, weights : mapping
        Rows that can be chosen, and weight of the round, by cluster.
    picked : pandas.DataFrame
        `cluster` of the rows that the round chose.
    cluster_of : pandas.Series
        Cluster of all rows chosen so far, by id.
    rewards : pandas.DataFrame
        `id` and finite `reward` of the scored rows.
    """
    names = list(clusters)
    codes = pd.Categorical(rewards["id"].map(cluster_of), categories=names).codes.astype(np.int64)
    found = next_weights(
        [weights[name] for name in names], codes, rewards["reward"].to_numpy(float), rule=settings.rule,
        step=settings.step, floor=settings.floor, shrink=settings.shrink, ids=rewards["id"].tolist(), names=names,
    )  # fmt: skip
    now = picked["cluster"].value_counts()
    lines = pd.DataFrame({
        "cluster": names, "weight": found.weight, "rule": settings.rule, "rows": list(clusters.values()),
        "chosen": [int(now.get(name, 0)) for name in names], "scored": found.scored,
        "reward_mean": found.reward_mean, "reward_shrunk": found.reward_shrunk,
        "reward_deviation": found.deviation, "weight_next": found.weight_next,
    })  # fmt: skip
    return lines, [names[i] for i in found.few]
