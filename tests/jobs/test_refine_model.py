"""refine with a language model that is trained each round: the random tiny Llama here, SmolLM2 in the long run."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import lakesift as ls
from lakesift.jobs.recipe import Recipe
from lakesift.jobs.run import refine
from lakesift.udfs.errors import LakeSiftError
from lakesift.udfs.models import files
from tests import tiny_llama
from tests.fetched import fetched
from tests.jobs.conftest import World
from tests.jobs.test_refine import BUDGET, feedback, mine, rounds, rows, selected

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'lakesift[torch]'")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "gsm8k"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of the random Llama."""
    from lakesift.udfs.models import answer_folders

    cache, out = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("tiny") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "cache_folder", lambda: cache)
        patch.setitem(files.MODELS, "smollm2", tiny_llama.install(cache))
        answer_folders.save_model("smollm2", {}, out)
    return str(out)


def by_model(model: str, **changes: Any) -> Recipe:
    reward = {"kind": "language_model", "model": model, "layers": 1, "tokens": 12, "most": 96, "device": "cpu"}
    return mine(reward, **{"refine_": {"rounds": 2, "scored": 12}, **changes})


@pytest.fixture
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(spark, tmp_path_factory.mktemp("refine_model"))
    made.put("docs", rows())
    return made


def test_two_rounds_by_a_model(world: World, tiny: str, tmp_path: Path) -> None:
    from lakesift.udfs.models.answer_task import Row, Task, Training
    from lakesift.udfs.models.answer_training import train

    docs = [{**row, "completion": "" if i % 7 == 6 else row["completion"]} for i, row in enumerate(rows())]
    world.put("docs", docs)
    recipe = by_model(tiny)
    made = refine(world.lake, recipe)
    found, said = selected(world), feedback(world)
    assert len(found) == BUDGET
    empty = {row["id"] for row in docs if not row["completion"]}
    assert {i for i, r in zip(said["id"], said["reward"], strict=True) if math.isnan(r)} == set(said["id"]) & empty
    assert any("have no completion within 96 tokens: not trained on, no reward" in note for note in made.notes)
    texts = {row["id"]: Row(row["id"], row["prompt"], row["completion"]) for row in docs}
    first = selected(world, version=1)
    from lakesift.udfs.digests import digest

    training = Training(int(digest([42, 1, "reward"])[:15], 16), layers=1, tokens=12, most=96)
    asked = first.query("asked")["id"].tolist()
    alone = train(Task(tiny, training, [texts[i] for i in first["id"]], asked))
    wanted = dict(zip(asked, alone.rewards.tolist(), strict=True))
    got = said.query("round == 1").set_index("id")["reward"].to_dict()
    assert got == pytest.approx(wanted, nan_ok=True, abs=0), "the tables change no bit"
    kept = world.lake.read("hidden_fine").toPandas()
    assert set(kept["id"]) == set(found["id"]) - empty
    assert not kept["id"].duplicated().any(), "states are made once"
    lake = ls.Lake(str(world.root), world.spark)
    out = lake.export_model(recipe, str(tmp_path / "model"))
    assert "round 2" in str(out)
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model").state_dict()
    base = AutoModelForCausalLM.from_pretrained(tiny).state_dict()
    moved = {name for name in base if not torch.equal(base[name], loaded[name])}
    assert moved
    assert all(name.startswith("model.layers.1.") for name in moved)
    lake.maintain()
    assert world.lake.read("hidden_fine").count() == 0, "the refinement is finished"
    models = world.lake.read("models").where("kind = 'language_model'").toPandas()
    assert models["sequence"].tolist() == [2], "the newest round's layers stay"
    assert refine(world.lake, recipe).noop


def test_a_folder_that_is_no_model(world: World, tmp_path: Path) -> None:
    with pytest.raises(LakeSiftError, match="is no folder of a language model"):
        refine(world.lake, by_model(str(tmp_path)))


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_smollm2_learns_from_three_rounds(world: World, seed: int) -> None:
    """The whole loop on gsm8k: the loss of held-out answers falls from round to round."""
    fetched("smollm2")
    if not DATA.is_dir():
        pytest.skip(f"there is no {DATA}")
    from lakesift.jobs.scoring.models import arrays_of
    from tests.held_out import mean_nll

    def questions(name: str, count: int) -> list[dict[str, str]]:
        with gzip.open(DATA / f"{name}.jsonl.gz", "rt") as lines:
            raw = [json.loads(line) for _, line in zip(range(count), lines, strict=False)]
        return [
            {"id": f"{name}-{i}", "prompt": f"Question: {r['question']}\nAnswer:", "completion": f" {r['answer']}"}
            for i, r in enumerate(raw)
        ]

    world.put("docs", [{**r, "text": r["prompt"] + r["completion"], "quality": 1.0} for r in questions("train", 1500)])
    scores = {"vector": {"kind": "embedding"}, "cells": {"kind": "kmeans", "of": "vector", "k": 6}}
    select = {"kind": "kmq", "cluster": "cells", "quality": "quality"}
    recipe = mine(
        {"kind": "language_model", "device": "cpu"}, scores=scores, select=select, budget={"rows": 150}, seed=seed,
        refine_={"rounds": 3, "scored": 30}, keep=[],
    )  # fmt: skip
    refine(world.lake, recipe)
    held_out = [(r["prompt"], r["completion"]) for r in questions("test", 32)]
    losses = [mean_nll("smollm2", {}, held_out)]
    for row in world.lake.read("models").where("kind = 'language_model'").orderBy("sequence").collect():
        losses.append(mean_nll("smollm2", arrays_of(row), held_out))
    assert len(losses) == 4
    assert losses[3] < losses[1] < losses[0]
    assert np.isfinite(rounds(world)["weight_next"]).all()
