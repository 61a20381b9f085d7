"""Intervals as subsets of rows: shares are exact, widths are nested, parts of the rows are what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lakesift.udfs.kernels.interval_search import (
    TEST,
    TRAINING,
    Candidate,
    Candidates,
    entry_widths,
    paired_interval,
    parts,
    quantile_ranks,
)

N = 1000
HASHES = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, N)
EVERY = np.arange(N)


def candidates(**values: np.ndarray) -> Candidates:
    return Candidates(HASHES, values, (0.5, 0.16), 5)


def scores(columns: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(N, columns))


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("share", [0.5, 0.16, 0.01])
@pytest.mark.parametrize("position", range(5))
def test_a_candidate_keeps_its_share(columns: int, share: float, position: int) -> None:
    searched = candidates(a=scores(columns))
    kept = searched.rows(Candidate("a", share, position), EVERY)
    assert len(np.unique(kept)) == len(kept) == round(share * N)
    smaller = searched.rows(Candidate("a", share / 2, position), EVERY)
    assert set(smaller) <= set(kept)


@pytest.mark.parametrize("position", range(5))
def test_one_score_is_cut_between_two_quantiles(position: int) -> None:
    values = scores(1)
    kept = candidates(a=values).rows(Candidate("a", 0.5, position), EVERY)
    first = round((N - 500) * position / 4)
    expected = np.argsort(values[:, 0])[first : first + 500]
    assert len(set(kept) ^ set(expected)) <= 2  # places lie between rows
    low, high = candidates(a=values).quantiles(Candidate("a", 0.5, position))
    assert (low, high) == pytest.approx((first / N, first / N + 0.5), abs=2 / N)


def test_several_scores_are_intersected() -> None:
    values = scores(2)
    searched, candidate = candidates(a=values), Candidate("a", 0.16, 2)
    kept = searched.rows(candidate, EVERY)
    low, high = searched.quantiles(candidate)
    ranks = np.stack([quantile_ranks(v) for v in values.T], axis=1)
    inside = ((ranks >= low) & (ranks <= high)).all(axis=1)
    assert set(np.flatnonzero(inside)) == set(kept)
    assert high - low > 0.3  # independent scores: .16 of the rows lie inside both of two intervals of .4


def test_within_groups_every_group_gives_its_share() -> None:
    groups = np.arange(N) % 4
    values = scores(1) + 10 * groups[:, None]
    searched = Candidates(HASHES, {"a": values}, (0.5,), 5, groups)
    kept = searched.rows(Candidate("a", 0.5, 4), EVERY)
    assert np.bincount(groups[kept]).tolist() == [125] * 4
    for group in range(4):
        ordered = np.flatnonzero(groups == group)[np.argsort(values[groups == group, 0])]
        assert set(kept[groups[kept] == group]) == set(ordered[125:])


def test_equal_scores_are_told_apart_by_hash_not_by_place() -> None:
    searched = candidates(a=np.zeros((N, 1)))
    kept = searched.rows(Candidate("a", 0.5, 0), EVERY)
    order = np.random.default_rng(2).permutation(N)
    shuffled = Candidates(HASHES[order], {"a": np.zeros((N, 1))}, (0.5,), 5)
    again = shuffled.rows(Candidate("a", 0.5, 0), EVERY)
    assert set(HASHES[kept]) == set(HASHES[order][again])


def test_draws_differ_and_are_prefixes() -> None:
    searched = candidates()
    first, second = (set(searched.rows(Candidate("random", 0.5, draw), EVERY)) for draw in (0, 1))
    assert 200 < len(first & second) < 300
    assert set(searched.rows(Candidate("random", 0.16, 0), EVERY)) <= first


def test_entry_widths_by_hand() -> None:
    ranks = np.array([[0.25, 0.5], [0.5, 0.5], [1.0, 0.5]])
    assert entry_widths(ranks, 0.5).tolist() == [0.5, 0.0, 1.0]
    assert entry_widths(ranks, 1.0).tolist() == [0.75, 0.5, 0.5]
    assert entry_widths(ranks, 0.0).tolist() == [0.5, 0.5, 1.0]


def test_parts_share_the_test_rows_alone() -> None:
    drawn = [parts(HASHES, seed) for seed in range(1, 11)]
    shares = np.mean([np.bincount(p, minlength=3) / N for p in drawn], axis=0)
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.03)
    assert all(((p == TEST) == (drawn[0] == TEST)).all() for p in drawn)
    trained = np.mean([(p == TRAINING)[drawn[0] != TEST] for p in drawn], axis=0)
    assert trained.std() == pytest.approx(np.sqrt(0.75 * 0.25 / 10), rel=0.15)  # as independent draws


def test_paired_interval_is_the_t_interval() -> None:
    a, b = np.random.default_rng(3).normal(size=(2, 10))
    mean, half = paired_interval(list(a), list(b))
    low, high = stats.t.interval(0.95, 9, loc=mean, scale=stats.sem(a - b))
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert paired_interval([1.0], [0.5]) == (0.5, np.inf)
