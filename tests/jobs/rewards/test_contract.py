"""Laws of every reward that is discovered, our own and a stranger's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import FrozenInstanceError, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from lakesift.jobs.commands.catalog import catalog
from lakesift.jobs.recipe import parse
from lakesift.jobs.rewards import rewards
from lakesift.jobs.rewards.reward import Reward, Round
from lakesift.jobs.run import refine
from lakesift.udfs.discovery import register
from lakesift.udfs.errors import RecipeError
from tests.jobs.conftest import World
from tests.jobs.test_refine import mine
from tests.jobs.test_refine import rows as documents

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

register("tests.extra_rewards", "lakesift.rewards")
KINDS: dict[str, Any] = rewards()
#: What each needs beyond its defaults.
GIVEN: dict[str, dict[str, Any]] = {
    "column": {"column": "value"},
    "table": {"source": "trainer"},
    "classifier": {"embedding": "vector", "target": "rated"},
}
IDS = [f"d{i}" for i in range(12)]


class Inputs:
    """Values, answers and examples from memory; nothing is kept."""

    def values(self, name: str, ids: Sequence[str]) -> pd.DataFrame:
        value: Any = [[float(i[1:]), 1.0] if name == "vector" else float(i[1:]) for i in ids]
        return pd.DataFrame({"id": list(ids), "value": value})

    def answers(self, ids: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame({"id": list(ids), "prompt": "Say it:", "completion": [f" {i}" * int(i[1:]) for i in ids]})

    def examples(self, target: str, rating: str, embedding: str) -> tuple[np.ndarray, np.ndarray]:
        assert (target, rating, embedding) == ("rated", "rating", "vector")
        x = np.array([[float(i), 1.0] for i in range(12)])
        return x, (x[:, 0] > 5).astype(float)


def built(kind: str) -> Reward:
    made: Reward = KINDS[kind](**GIVEN.get(kind, {}))
    return made


def asked(reward: Reward, order: Sequence[str]) -> dict[str, float] | None:
    chosen = pd.DataFrame({"id": list(order), "rank": range(1, 13), "round": 1, "cluster": "a"})
    chosen["asked"] = [int(i[1:]) % 2 == 0 for i in order]
    notes: list[str] = []
    found = reward.rewards(Round(1, 7, chosen, Inputs(), notes.append, lambda *_: None))
    return None if found is None else dict(zip(found["id"], found["reward"].astype(float), strict=True))


def test_all_of_them_are_here() -> None:
    assert set(KINDS) == {"classifier", "column", "language_model", "length_of_answer", "table"}
    assert {row[0] for row in catalog("rewards").rows} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_frozen_block_of_a_recipe(kind: str) -> None:
    reward = built(kind)
    assert KINDS[kind].__doc__.strip()
    first = fields(reward)
    if first:
        with pytest.raises(FrozenInstanceError):
            setattr(reward, first[0].name, 1)
    raw = {
        "name": "x", "documents": {"table": "docs", "prompt": "p", "completion": "c"},
        "scores": {"vector": {"kind": "embedding"}}, "targets": {"rated": {"table": "rated"}},
        "select": {"kind": "kmeans_random", "cluster": "m"}, "budget": {"rows": 9},
        "refine": {"reward": {"kind": kind, **GIVEN.get(kind, {})}},
    }  # fmt: skip
    recipe = parse(raw)
    assert recipe.refine is not None
    assert recipe.refine.reward == reward
    assert recipe.digest() == parse(raw).digest()
    raw["refine"]["reward"]["nonsense"] = 1
    with pytest.raises(RecipeError, match="unknown key 'nonsense'"):
        parse(raw)
    for name in GIVEN.get(kind, {}):
        raw["refine"]["reward"] = {"kind": kind, **{k: v for k, v in GIVEN[kind].items() if k != name}}
        with pytest.raises(RecipeError, match=name):
            parse(raw)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"language_model"}))
def test_a_reward_is_of_the_row_whatever_the_order(kind: str) -> None:
    pytest.importorskip("sklearn")
    reward = built(kind)
    json.dumps(reward.identity())
    found, turned = asked(reward, IDS), asked(reward, IDS[::-1])
    assert found == turned
    assert (found is None) == (kind == "table")
    if found is not None:
        assert set(found) == {i for i in IDS if int(i[1:]) % 2 == 0}
        assert found["d10"] > found["d2"], "each of these grows with the number"


def test_a_strangers_reward_runs(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> None:
    world = World(spark, tmp_path_factory.mktemp("stranger"))
    world.put("docs", documents())
    refine(world.lake, mine({"kind": "length_of_answer"}, refine_={"rounds": 1}))
    said = world.lake.read("feedback").toPandas()
    lengths = {row["id"]: len(row["completion"]) for row in documents()}
    assert said["reward"].tolist() == [lengths[i] for i in said["id"]]
    assert set(said["source"]) == {"length_of_answer"}
