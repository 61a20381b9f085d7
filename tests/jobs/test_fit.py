"""Models that learn from documents: fitted once, reused, told how much is newer, refitted on demand; asked scores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lakesift.jobs.commands.maintain import _needed
from lakesift.jobs.commands.plan import plan
from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.recipe import Budget, Recipe
from lakesift.jobs.run import run
from lakesift.jobs.scoring.models import recall
from tests.jobs.conftest import World, pool, recipe
from tests.texts import human_eval

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCORES: dict[str, Any] = {
    "vector": {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 32},
    "cells": {"kind": "kmeans", "k": 6, "centres": "points"},
    "logw": {"kind": "dsir", "target": "goals"},
    "ratio": {"kind": "compression_ratio"},
    "tokens": {"kind": "length_tokens"},
}


def mine(name: str = "models", **changes: Any) -> Recipe:
    made = {"scores": SCORES, "select": {"kind": "kmq", "cluster": "cells", "quality": "tokens"}, "controls": []}
    return recipe(name, **{**made, "where": "", "budget": {"rows": 30}, "report": {}, **changes})


@pytest.fixture(scope="module")
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    """200 documents, one without text, and 8 target texts."""
    made = World(spark, tmp_path_factory.mktemp("models"))
    rows = pool(200)
    rows[7]["text"] = ""
    made.put("docs", rows)
    made.put("goals", [{"n": i, "text": t} for i, t in enumerate(human_eval()[:8])], files=1)
    return made


def steps(manifest: Manifest) -> dict[str, tuple[int | None, str]]:
    return {s.step: (s.computed, s.outcome.split(",")[0].split(" version")[0]) for s in manifest.steps}


@pytest.fixture(scope="module")
def first(world: World) -> Manifest:
    return run(world.lake, mine())


def test_the_first_run_fits_and_scores_all(world: World, first: Manifest) -> None:
    made = steps(first)
    assert {k: made[k] for k in ("fit cells", "fit logw")} == {"fit cells": (1, "wrote"), "fit logw": (1, "wrote")}
    assert [made[f"score {k}"][0] for k in ("vector", "cells", "logw")] == [200, 200, 200]
    assert first.counts["undefined"] == {"vector": 1, "cells": 1, "logw": 1, "ratio": 1, "tokens": 0}
    columns = world.lake.read("scores_models").dtypes
    assert dict(columns)["cells"] == "struct<cluster:int,distance_sq:double>"
    assert "vector" not in dict(columns), "arrays stay in the memo"
    chosen = world.sql("SELECT cells.cluster AS c, count(*) AS n FROM {selection_models} GROUP BY 1 ORDER BY 1")
    sizes = world.sql(
        "SELECT cells.cluster AS c, count(*) AS n FROM {scores_models} WHERE cells IS NOT NULL GROUP BY 1"
    )
    share = {r["c"]: 30 * r["n"] / 199 for r in sizes}
    assert all(abs(r["n"] - share[r["c"]]) <= 1 for r in chosen)


def test_what_was_learnt_is_a_table(world: World, first: Manifest) -> None:
    row = world.sql("SELECT * FROM {models} WHERE kind = 'kmeans'")[0]
    assert row["fit_key"]
    model = recall(world.lake, row["fit_key"], mine().scores["cells"], first.fingerprints)
    assert model is not None
    assert model.fingerprint == first.fingerprints["cells"] == row["fingerprint"]
    assert model.scorer.centroids.shape == (6, 32)
    shape = (
        "curve ARRAY<STRUCT<rows: BIGINT, value: DOUBLE>>, "
        "clusters ARRAY<STRUCT<cluster: INT, rows: BIGINT, centre: ARRAY<FLOAT>>>"
    )
    shown = f"(SELECT from_json(summary, '{shape}') AS s FROM {{models}} WHERE kind = 'kmeans')"
    curve = world.sql(f"SELECT step.value AS v FROM {shown} LATERAL VIEW posexplode(s.curve) AS i, step ORDER BY i")
    np.testing.assert_array_equal([r["v"] for r in curve], model.scorer.inertia)
    parts = world.sql(f"SELECT part.* FROM {shown} LATERAL VIEW explode(s.clusters) AS part")
    assert sum(p["rows"] for p in parts) == 199
    np.testing.assert_array_equal(np.array([p["centre"] for p in parts], np.float32), model.scorer.centroids)


@pytest.mark.usefixtures("first")
def test_points_are_members(world: World) -> None:
    found = world.sql("SELECT cells.cluster AS c, min(cells.distance_sq) AS d FROM {scores_models} GROUP BY 1")
    assert [r["d"] for r in found if r["c"] is not None] == [0.0] * 6


@pytest.mark.usefixtures("first")
def test_nothing_new_fits_nothing(world: World) -> None:
    assert run(world.lake, mine()).noop
    other = steps(run(world.lake, mine(budget={"rows": 10})))
    assert "fit cells" not in other
    assert other["score cells"] == (0, "unchanged")


def test_scores_under_other_names_take_the_same_models(world: World, first: Manifest) -> None:
    """What k-means and DSIR read, and they themselves, are renamed: nothing is fitted, nothing is computed."""
    other = {"my_vectors": SCORES["vector"], "Cells": {**SCORES["cells"], "of": "my_vectors"}}
    scores = {**other, "w": SCORES["logw"], "tokens": SCORES["tokens"]}
    select = {"kind": "kmq", "cluster": "Cells", "quality": "tokens"}
    found = run(world.lake, mine("renamed", scores=scores, select=select))
    assert not [step for step in steps(found) if step.startswith("fit")]
    assert found.fingerprints["Cells"] == first.fingerprints["cells"]
    assert not any(step.computed for step in found.steps if step.step.startswith("score "))


def test_an_increment_reuses_the_models_and_says_how_much_is_newer(world: World, first: Manifest) -> None:
    more = [{**r, "id": f"new-{r['id']}", "text": r["text"] + "\n# new"} for r in pool(2)]
    world.put("docs", more, mode="append", files=1)
    second = run(world.lake, mine())
    made = steps(second)
    assert "fit cells" not in made
    assert [made[f"score {k}"][0] for k in ("vector", "cells", "logw")] == [2, 2, 2]
    assert second.fingerprints == first.fingerprints
    said = "cells: 2 of 202 rows (0.99 %) are newer than the model, fitted on version 0 of docs; lakesift run --refit"
    assert [n for n in second.notes if n.startswith(said)]
    assert [n for n in second.notes if n.startswith("logw: 2 of 202 rows")]
    again = run(world.lake, mine(), refit=True)
    made = steps(again)
    assert made["fit cells"] == (1, "wrote")
    assert made["score vector"] == (0, "unchanged")
    assert made["score cells"][0] == 202
    assert again.fingerprints["cells"] != first.fingerprints["cells"]
    assert not [n for n in again.notes if "newer" in n]
    assert run(world.lake, mine()).noop


def test_a_score_that_is_asked_for_is_computed_where_it_is(world: World, first: Manifest) -> None:
    ours = mine("asked", select={"kind": "sensitivity", "cluster": "cells", "loss": "ratio", "probes": 2, "pay": False})
    assert "computed for rows that select asks for" in str(plan(world.lake, ours))
    rows_of_ratio = f"FROM {{memos}} WHERE fingerprint = '{first.fingerprints['ratio']}'"
    before = world.sql(f"SELECT count(*) AS n {rows_of_ratio}")[0]["n"]
    world.sql(f"DELETE {rows_of_ratio}")
    made = run(world.lake, ours)
    asked = [s for s in made.steps if s.step == "on demand: ratio"]
    computed = world.sql(f"SELECT count(*) AS n {rows_of_ratio}")[0]["n"]
    assert computed == sum(s.computed or 0 for s in asked)
    assert 6 < computed <= 6 * 3 < before
    assert "ratio" not in world.lake.read("scores_asked").columns
    rows = world.sql("SELECT ratio, copies, weight FROM {selection_asked}")
    assert sum(r["copies"] for r in rows) == 30
    assert any(r["ratio"] is None for r in rows)
    assert [n for n in made.notes if "read the loss of 6 centres" in n]
    assert run(world.lake, ours).noop
    fewer = run(world.lake, replace(ours, budget=Budget(rows=20)))
    assert [(s.computed, s.outcome) for s in fewer.steps if s.step == "on demand: ratio"] == [
        (0, f"unchanged, version {world.lake.version('memos')}")
    ] * 2, "what was computed is read"


@pytest.mark.long
@pytest.mark.usefixtures("first")
def test_a_race_equals_the_whole_where_it_is_exact(world: World) -> None:
    scores = {"alignment": {"kind": "zipfit", "target": "goals"}}
    whole = mine("whole", scores=scores, select={"kind": "top_k", "by": "alignment"})
    race = mine("race", scores=scores, select={"kind": "zipfit_race", "by": "alignment"})
    run(world.lake, whole)
    made = run(world.lake, race)
    rows = world.sql("SELECT id, gain, score_exact, score_sd FROM {selection_race} ORDER BY rank")
    expected = world.sql("SELECT id, gain FROM {selection_whole} ORDER BY rank")
    assert [(r["id"], r["gain"]) for r in rows] == [(r["id"], r["gain"]) for r in expected]
    assert {(r["score_exact"], r["score_sd"]) for r in rows} == {(True, 0.0)}
    assert [n for n in made.notes if "pairs were compressed" in n]
    # Pairs have fingerprints that no recipe names; the selection does, so that maintain keeps them.
    named = set(world.lake.history("selection_race")[0].metadata["on_demand"])
    stored = {r["fingerprint"] for r in world.sql("SELECT DISTINCT fingerprint FROM {memos}")}
    assert named
    assert named <= stored - set(made.fingerprints.values())
    assert named <= _needed(world.lake, {"selection_race": world.lake.history("selection_race")})


def test_vectors_of_the_users_own(world: World) -> None:
    rows = [{"id": f"v{i}", "text": f"t{i}", "v": [float(i % 3), 1.0, i / 50]} for i in range(50)]
    rows[3]["v"], rows[4]["v"], rows[5]["v"], rows[6]["v"] = [1.0], [0.0, 0.0, 0.0], [float("nan"), 1.0, 1.0], None
    world.put("arrays", rows)
    ours = mine(
        "own",
        documents={"table": "arrays"},
        targets={},
        scores={
            "vector": {"kind": "embedding", "encoder": "column", "of": "v", "dimensions": 3},
            "cells": {"kind": "kmeans", "k": 3},
        },
        select={"kind": "kmeans_closest", "cluster": "cells"},
        keep=["text"],
        budget={"rows": 9},
    )
    made = run(world.lake, ours)
    assert made.counts["undefined"]["vector"] == made.counts["undefined"]["cells"] == 4
    assert made.rows == 9
