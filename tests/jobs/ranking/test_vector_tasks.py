"""What tasks compute of their rows, put together as Spark does, against one matrix. No JVM."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lakesift.jobs.ranking.centres_in_rounds import EVERY_ROW, Rows, _far, _Sample
from lakesift.jobs.ranking.cover_by_task import Mixture, _first_picks, _further_picks
from lakesift.jobs.ranking.duplicates_by_task import _dropped
from lakesift.jobs.ranking.walk_in_slices import _kept_before
from lakesift.udfs.kernels.facility_location import facility_location
from lakesift.udfs.kernels.k_center import NO_LIMIT, k_center
from lakesift.udfs.kernels.near_duplicates import semdedup
from tests.udfs.kernels.test_k_center import kinds, plain, unit


def rows_of(n: int) -> pd.DataFrame:
    """Rows in order of their hash, ranked by a key with ties."""
    draw = np.random.default_rng(5)
    h = np.sort(draw.integers(-(2**62), 2**62, n))
    key = draw.normal(size=n).round(0) + 0.0
    return pd.DataFrame({"id": [f"r{i}" for i in range(n)], "h": h, "key": key, "started": False})


def test_parts_of_a_cluster_that_meet_two_by_two_are_the_whole_cluster() -> None:
    rows, X = rows_of(120), unit(120, 5, 2)
    part = rows["h"].to_numpy() % 4
    found = []
    for pair in combinations(range(4), 2):
        here = np.flatnonzero(np.isin(part, pair))
        found.append(_dropped(0.8, rows.iloc[here].reset_index(drop=True), X[here]))
    first = pd.concat(found).sort_values(["by_key", "by_h", "duplicate_of"]).groupby("id").first()
    ranked = np.argsort(rows["key"].to_numpy(), kind="stable")
    _, by = semdedup(X, np.zeros(120, np.int64), ranked, 0.8)
    expected = {rows["id"][i]: rows["id"][by[i]] for i in np.flatnonzero(by >= 0)}
    assert first["duplicate_of"].to_dict() == expected
    assert len(expected) > 50


@pytest.mark.parametrize("budget", [3, 40, 200])
def test_picks_of_cells_in_two_rounds_are_those_of_mode_cells(budget: int) -> None:
    rows, X = rows_of(200), unit(200, 5, 3)
    cells = np.random.default_rng(6).choice(5, 200, p=[0.6, 0.2, 0.1, 0.06, 0.04])
    quality = np.random.default_rng(7).normal(size=200) + 3.0 * (cells == 4)
    mixture = Mixture(0.4, 0.5, 2.0)
    tasks = [(rows.assign(task=c, quality=quality)[cells == c].reset_index(drop=True), X[cells == c]) for c in range(5)]
    first = pd.concat([_first_picks(mixture, budget, 200, *task) for task in tasks])
    gains = np.sort(first["gain"])
    least = gains[len(gains) - budget] if len(gains) >= budget else -np.inf
    depths = {(int(t), 0): int(d) for t, d in first.groupby("task").size().items() if d < (cells == t).sum()}
    further = [_further_picks(mixture, least, budget, {k: d}, *tasks[k[0]]) for k, d in depths.items()]
    together = pd.concat([first[["id", "gain"]], *further])
    assert together["id"].is_unique
    place = together["id"].str[1:].astype(int)
    order = np.lexsort((place, -together["gain"].to_numpy()))[:budget]
    one = facility_location(X, budget, (quality - 0.5) / 2.0, 0.4, "cells", cells=cells)
    assert place.iloc[order].tolist() == one.order.tolist()
    assert together["gain"].iloc[order].tolist() == one.gains.tolist()


def test_a_kept_row_is_not_before_itself_and_ties_go_by_hash_and_id() -> None:
    rows = pd.DataFrame({"key": [1.0, 1.0, 0.0, 2.0, 1.0], "h": [5, 4, 9, 0, 5], "id": ["b", "z", "a", "c", "a"]})
    kept = rows.iloc[[2, 1, 4]].reset_index(drop=True)
    assert _kept_before(rows, kept).tolist() == [3, 1, 0, 3, 2]


@pytest.mark.parametrize("merged", [1, 7, 40])
@pytest.mark.parametrize("seed", range(3))
def test_rounds_over_the_farthest_rows_pick_what_one_matrix_does(seed: int, merged: int) -> None:
    """Whatever the rows at hand and the sample: ties, duplicates, one point, rows far out."""
    for name, X in kinds(np.random.default_rng(seed)).items():
        budget, known = min(len(X), 40), rows_of(len(X))[["id", "h"]]
        known["h"] = np.sort(np.random.default_rng(seed).integers(0, 9, len(X)))  # nine hashes: ties go on by id
        known["id"] = [f"r{i:04d}" for i in range(len(X))]
        drawn = np.arange(seed % 2, len(X), 3)
        sample, picks, distances, rounds = _Sample(Rows(known.iloc[drawn], X[drawn]), len(X)), [0], [np.inf], 0
        while len(picks) < budget:
            bound = sample.bound(Rows(known.iloc[picks], X[picks]), merged)
            field = np.setdiff1d(np.arange(len(X)), picks)
            if bound is not EVERY_ROW:
                batch = pa.RecordBatch.from_pandas(known.iloc[field].assign(vector=[*X[field]]), preserve_index=False)
                parts = [
                    set(_far(X[picks[a : a + 5]], bound, batch, X[field])[0].to_pylist())
                    for a in range(0, len(picks), 5)
                ]
                field = field[known["id"].iloc[field].isin(set.intersection(*parts)).to_numpy()]
            assert len(field), name
            until = NO_LIMIT
            if bound is not EVERY_ROW:
                last = np.searchsorted(known["h"].to_numpy()[field], bound.h, "right") - 1
                until = (bound.distance_sq, len(picks) + int(last))
            together = np.array([*picks, *field])
            found = k_center(X[together], budget - len(picks), start=range(len(picks)), until=until)
            assert len(found.order), name
            picks, distances, rounds = [*picks, *together[found.order]], [*distances, *found.distance_sq], rounds + 1
        assert (picks, distances) == plain(X, budget), name
        assert rounds > 1 or len(X) < 50, name
