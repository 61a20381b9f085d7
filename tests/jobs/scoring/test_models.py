"""Stored models: the newest by number, whatever the clocks said; none that is not what its fingerprint names."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lakesift.jobs.cli import user_message
from lakesift.jobs.run import run
from lakesift.jobs.scoring import models
from lakesift.udfs import discovery
from lakesift.udfs.arrow import SHOWN
from lakesift.udfs.scorer import Estimator, fingerprint
from tests.jobs.conftest import World, recipe
from tests.udfs.scores.conftest import declared, made

SCORES: dict[str, Any] = {
    "vector": {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 16},
    "cells": {"kind": "kmeans", "k": 4},
}


def mine(**changes: Any) -> Any:
    select = {"kind": "kmeans_random", "cluster": "cells"}
    base = {"scores": SCORES, "targets": {}, "where": "", "select": select, "controls": [], "report": {}}
    return recipe("modelled", **{**base, "budget": {"rows": 20}, **changes})


def shift(world: World, sql: str) -> None:
    """Change rows of a table by hand."""
    world.sql(sql)


@pytest.mark.long
def test_a_refit_stays_the_newest_after_a_fast_clock(world: World) -> None:
    first = run(world.lake, mine())
    shift(world, "UPDATE {models} SET fitted_at = fitted_at + INTERVAL 3 DAYS")
    shift(world, "UPDATE {runs} SET finished_at = finished_at + INTERVAL 3 DAYS WHERE recipe = 'modelled'")
    world.sql("DELETE FROM {docs} WHERE id = 'doc-00000'")
    refitted = run(world.lake, mine(), refit=True)
    assert refitted.fingerprints["cells"] != first.fingerprints["cells"]
    again = run(world.lake, mine())
    assert again.noop
    assert again.run_id == refitted.run_id
    numbers = world.sql("SELECT sequence FROM {runs} WHERE recipe = 'modelled' ORDER BY sequence")
    assert [r["sequence"] for r in numbers] == [1, 2]
    fitted = world.sql("SELECT sequence FROM {models} WHERE kind = 'kmeans' ORDER BY sequence")
    assert [r["sequence"] for r in fitted] == [1, 2]
    later = run(world.lake, mine(budget={"rows": 5}))
    assert later.fingerprints == refitted.fingerprints


ESTIMATORS = {kind: cls for kind, cls in discovery.scorers().items() if issubclass(cls, Estimator)}


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_every_fitted_scorer_survives_the_table(kind: str) -> None:
    scorer, estimator = made(ESTIMATORS[kind]), declared(ESTIMATORS[kind])
    assert isinstance(estimator, Estimator)
    row = models._row(models.Model(fingerprint(scorer), scorer, {}, "key"), 1)
    again = models._restored({"params": row[4], "state": row[5]}, estimator)
    assert again == scorer
    assert fingerprint(again) == fingerprint(scorer)


NPY = "{models} SET state = map_from_entries(transform(map_entries(state), e -> IF(e.key = 'centroids', {new}, e)))"
TAMPERED = {
    "another centroid": "named_struct('key', 'centroids', 'value', "
    "unhex(concat(substr(hex(e.value), 1, 256), '0000803F', "
    "substr(hex(e.value), 265))))",
    "garbage": "named_struct('key', 'centroids', 'value', CAST('no array' AS BINARY))",
    "an empty array": "named_struct('key', 'centroids', 'value', unhex('{empty}'))",
    "a wrong field": "named_struct('key', 'centroid', 'value', e.value)",
}


@pytest.mark.parametrize("case", [*TAMPERED, "broken parameters"])
def test_a_model_that_was_changed_is_refused(world: World, case: str) -> None:
    run(world.lake, mine())
    version = world.lake.version("models")
    body = io.BytesIO()
    np.save(body, np.empty((0, 16), np.float32))
    if case == "broken parameters":
        shift(world, "UPDATE {models} SET params = '{{\"k\": '")
    else:
        new = TAMPERED[case].replace("{empty}", body.getvalue().hex())
        shift(world, "UPDATE " + NPY.replace("{new}", new))
    changed = mine(
        budget={"rows": 7},
        seed=len(case),
    )
    try:
        with pytest.raises(
            Exception, match=r"the newest model of kind kmeans in .* is not \w{16}, as its row says"
        ) as e:
            run(world.lake, changed)
        assert "\n" not in str(e.value)
        assert "--refit" in str(e.value)
        if case == "another centroid":
            assert run(world.lake, changed, refit=True).rows == 7
    finally:
        shift(world, f"RESTORE TABLE {{models}} TO VERSION AS OF {version}")


def test_a_score_may_be_asked_of_some_rows_only(world: World) -> None:
    """Rows outside of its own `where:` are null, not computed and counted; another recipe's values do not show."""
    scores = {
        "tokens": {"kind": "length_tokens"},
        "ratio": {"kind": "compression_ratio", "where": "tokens BETWEEN 20 AND 60 AND module <> 'm1'"},
    }
    some = mine(scores=scores, select={"kind": "top_k", "by": "ratio"})
    some = replace(some, name="some")
    made = run(world.lake, some)
    step = next(s for s in made.steps if s.step == "score ratio")
    rows = world.sql("SELECT s.id, s.tokens, s.ratio, d.module FROM {scores_some} s JOIN {docs} d ON s.id = d.id")
    inside = {r["id"] for r in rows if 20 <= r["tokens"] <= 60 and r["module"] != "m1"}
    assert {r["id"] for r in rows if r["ratio"] is not None} == inside
    assert (step.computed, step.not_asked, step.undefined) == (len(inside), len(rows) - len(inside), 0)
    assert run(world.lake, some).noop
    everything = replace(mine(scores={**scores, "ratio": "compression_ratio"}), name="all_of_them")
    whole = run(world.lake, replace(everything, selector=some.selector))
    assert next(s for s in whole.steps if s.step == "score ratio").computed == len(rows) - len(inside)
    again = run(world.lake, replace(some, seed=5))
    assert next(s for s in again.steps if s.step == "score ratio").computed == 0
    still = world.sql("SELECT count(ratio) AS n FROM {scores_some}")[0]["n"]
    assert still == len(inside), "values that another recipe computed stay out"


def test_a_score_that_fails_names_itself_its_id_and_value(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(discovery._registered, "lakesift.scores", ["tests.odd_scores"])
        scores = {"bad": {"kind": "picky"}, "tokens": "length_tokens"}
        broken = replace(mine(scores=scores, select={"kind": "random"}), name="broken")
        with pytest.raises(Exception, match="ScoreError") as error:
            run(world.lake, broken)
    said = user_message(error.value) or ""
    named = re.match(r"score 'bad' \(picky\) of id '(doc-\d{5})' fails on the value ", said)
    assert named, said
    text = repr(world.sql(f"SELECT text FROM {{docs}} WHERE id = '{named[1]}'")[0]["text"])
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    assert said[named.end() :].startswith(f"{shown}: ValueError: no backslashes"), said
