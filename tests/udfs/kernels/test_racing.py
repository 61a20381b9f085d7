"""The race against the exact ranking on a small real matrix, and on planted ones where the right answer is known."""

from __future__ import annotations

import dataclasses
import math
import re
from functools import cache
from typing import Any

import numpy as np
import pytest

from lakesift.udfs.errors import BoundError, RecipeError
from lakesift.udfs.kernels import codecs, race_audit, race_state, racing
from lakesift.udfs.kernels.landmarks import expand, fit, landmarks, of_groups
from lakesift.udfs.kernels.racing import Race, Stages, pays, race
from lakesift.udfs.scores.zipfit import ZipFitScorer
from lakesift.udfs.scores.zipfit_pairs import ZipFitPairsScorer
from tests.texts import functions, human_eval, stitched

TARGETS = 40


class Matrix:
    """An `ask` out of a stored matrix that keeps what it was asked for."""

    def __init__(self, features: np.ndarray) -> None:
        self.features, self.calls = features, []

    def __call__(self, targets: list[int], rows: np.ndarray | None) -> np.ndarray:
        rows = np.arange(len(self.features)) if rows is None else rows
        self.calls.append((tuple(targets), rows.tobytes(), len(rows)))
        return self.features[np.ix_(rows, [0, 1, *(2 + t for t in targets)])]

    @property
    def exact(self) -> np.ndarray:
        return np.array([math.fsum(row) / len(row) for row in self.features[:, 2:].tolist()])

    def race(self, budget: int, **plan: Any) -> Race:
        rows, width = self.features.shape
        return race(rows, width - 2, budget, self, dataclasses.replace(Stages(), **plan))

    def overlap(self, found: Race) -> float:
        best = np.argsort(-self.exact, kind="stable")[: len(found.order)]
        return len(np.intersect1d(best, found.order)) / len(best)


@cache
def real() -> tuple[np.ndarray, np.ndarray]:
    """Return features and zipfit of 2 500 rows, in an order that stands for their hashes: code, prose-like cuts."""
    rows = [*functions(1300), *stitched(120, 600), *stitched(400, 600)]
    draw = np.random.default_rng(8).permutation(len(rows))
    texts = [rows[i] for i in draw]
    scorer = ZipFitScorer(targets=tuple(human_eval(TARGETS)), library=codecs.library_version())
    return ZipFitPairsScorer.of_targets(scorer, range(TARGETS)).kernel()(texts), scorer.kernel()(texts)


def synthetic(rows: int, targets: int, seed: int = 1, noise: float = 0.01) -> np.ndarray:
    """Return features of a matrix of rank 3 and noise."""
    draw = np.random.default_rng(seed)
    hidden = draw.normal(size=(rows, 3))
    pairs = 0.2 + 0.05 * hidden @ np.abs(draw.normal(size=(3, targets))) + noise * draw.normal(size=(rows, targets))
    return np.column_stack([6 + 0.3 * hidden[:, 0], 0.6 + 0.05 * hidden[:, 1], pairs])


@pytest.mark.parametrize(("budget", "least", "share"), [(25, 0.96, 0.5), (125, 0.98, 0.6), (500, 0.99, 0.75)])
def test_the_real_top_from_a_fraction_of_the_pairs(budget: int, least: float, share: float) -> None:
    features, zipfit = real()
    matrix = Matrix(features)
    found = matrix.race(budget)
    assert matrix.overlap(found) >= least
    assert sum(found.pairs.values()) < share * found.pairs_all == share * features[:, 2:].size
    assert found.score[found.exact].tobytes() == zipfit[found.order[found.exact]].tobytes()
    assert (found.sd[found.exact] == 0).all()
    assert (found.sd[~found.exact] > 0).all()
    left = (found.score - zipfit[found.order])[~found.exact]
    assert (np.abs(left) <= 5 * found.sd[~found.exact]).all()
    assert [*zip(-found.score, found.order, strict=True)] == sorted(zip(-found.score, found.order, strict=True))
    assert found.tau == found.score[-1]
    assert found.order.shape == found.score.shape == found.sd.shape == (budget,)


@pytest.mark.parametrize("many", [2000, 100])
def test_every_pair_is_asked_for_once_but_by_the_audit_and_counted(monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr(racing, "MANY", many)
    matrix = Matrix(real()[0])
    found = matrix.race(500)
    assert sum(found.pairs.values()) == sum(len(targets) * count for targets, _, count in matrix.calls)
    third = ["third"] if many == 100 else []
    assert [*found.pairs] == ["pilot", "landmarks", "second", "refine", *third, "boundary", "audit"]
    assert len(matrix.calls) == (8 if third else 6)
    assert matrix.overlap(found) >= 0.99
    seen = np.zeros((2500, TARGETS), dtype=int)
    for targets, rows, _ in matrix.calls[:-1]:
        seen[np.ix_(np.frombuffer(rows, np.int64), targets)] += 1
    assert (seen[300:] <= 1).all()
    assert (seen[:300].sum(axis=1) == TARGETS + 4).all(), "the pilot is part of all rows"


def test_one_row_order_and_budget_make_one_race() -> None:
    first, again = Matrix(real()[0]), Matrix(real()[0].copy(order="F"))
    a, b = first.race(200), again.race(200)
    assert first.calls == again.calls
    for name in ("order", "score", "sd", "exact"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
    assert (a.pairs, a.audit, a.tau) == (b.pairs, b.audit, b.tau)


def test_the_audit_is_small_where_the_model_holds_and_tells_where_it_does_not() -> None:
    features = synthetic(20_000, 60)
    honest = Matrix(features).race(2000)
    assert honest.audit.rows == 200
    assert honest.audit.max_error < 0.02
    assert honest.audit.expected_wrong <= 100
    # From the 300th on, every tenth row is low on the landmarks and high on all others: no pilot has seen one.
    spoilt, odd, known = features.copy(), np.arange(300, 20_000, 10), _asked(features)
    spoilt[np.ix_(odd, 2 + np.setdiff1d(np.arange(60), known))] += 0.3
    spoilt[np.ix_(odd, [2 + target for target in known])] -= 0.5
    matrix = Matrix(spoilt)
    found = matrix.race(2000)
    missed = (1 - matrix.overlap(found)) * 2000
    assert missed > 1000, "the failure is planted"
    assert found.audit.max_error > 0.1
    assert found.audit.crossed > 0.01
    assert missed / 2 < found.audit.expected_wrong < 2 * missed


def planted_rare(rows: int, rare: int, seed: int) -> np.ndarray:
    """Return features of rows of which a few are close to the last eight of 60 targets, and to these alone."""
    g = np.random.default_rng(0)
    pairs = 0.15 + 0.03 * g.normal(size=(rows, 1)) + 0.02 * g.normal(size=(rows, 60))
    pairs[np.ix_(g.choice(rows, rare, replace=False), np.arange(52, 60))] += 0.9
    features = np.column_stack([6 + 0.4 * g.normal(size=rows), 0.6 + 0.05 * g.normal(size=rows), pairs])
    return features[np.random.default_rng(seed).permutation(rows)]


@pytest.mark.parametrize("seed", range(4))
def test_rare_rows_are_found_by_a_landmark_of_their_group_or_the_bound_says_so(seed: int) -> None:
    features = planted_rare(20_000, 40, seed)
    exact = features[:, 2:].mean(axis=1)
    for groups in ((), (0, 55)):
        found = Matrix(features).race(200, groups=groups)
        wrong = int((exact[found.order] < np.sort(exact)[-200] - 1e-12).sum())
        assert wrong <= (2 if groups else max(2, found.audit.most_wrong))
        assert found.audit.most_wrong >= max(wrong, found.audit.expected_wrong)


def test_the_bound_by_hand() -> None:
    # (1 - p)^66 = .05: none of 66; the whole kind was looked at; nothing was.
    assert race_audit.most_crossed(0, 66, 60_000, 0.05) == math.ceil(60_000 * (1 - 0.05 ** (1 / 66)))
    assert race_audit.most_crossed(2, 9, 9, 0.05) == 2
    assert race_audit.most_crossed(0, 0, 9, 0.05) == race_audit.most_crossed(4, 4, 9, 0.05) == 9
    draw = np.random.default_rng(0)
    held = [race_audit.most_crossed(int(draw.binomial(66, 0.02)), 66, 10_000, 0.05) >= 200 for _ in range(500)]
    assert np.mean(held) >= 0.93


def test_groups_of_targets() -> None:
    lean = [f"theorem foo{i} (a b : ℕ) (h : a ≤ b) : {i} * a ≤ {i} * b := by nlinarith [h]" for i in range(6)]
    targets = [*human_eval(40)[:30], *lean]
    scorer = ZipFitScorer(targets=tuple(targets), library=codecs.library_version())
    pairs = ZipFitPairsScorer.of_targets(scorer, range(36)).kernel()(targets)[:, 2:]
    (found,) = of_groups(lambda target: pairs[:, target], 36, 1)
    assert targets[found] in lean
    assert of_groups(lambda _: np.full(30, 0.2), 30, 3) == []


def test_a_second_pilot_among_the_kept_sees_what_the_first_could_not() -> None:
    features = synthetic(20_000, 60)
    others = np.setdiff1d(np.arange(60), _asked(features))
    features[np.ix_(np.arange(300, 20_000, 10), 2 + others)] += 0.3
    matrix = Matrix(features)
    assert matrix.overlap(matrix.race(2000)) > 0.99


def _asked(features: np.ndarray) -> list[int]:
    """Return the four landmarks of every row."""
    matrix = Matrix(features)
    matrix.race(2000)
    return list(matrix.calls[1][0])


def test_chosen_estimates_carry_the_error_that_the_audit_found() -> None:
    features = synthetic(20_000, 60)
    features[300:, 2:] += np.where(features[300:, 2:].mean(axis=1) > 0.35, 0.02, 0.0)[:, None] * (np.arange(60) > 30)
    matrix = Matrix(features)
    found = matrix.race(4000)
    guessed = ~found.exact
    error = np.sqrt(((found.score - matrix.exact[found.order])[guessed] ** 2).mean())
    assert guessed.sum() > 500
    assert error / 2 < found.sd[guessed].mean() < 3 * error


@pytest.mark.parametrize(("rows", "targets"), [(200, 40), (800, 40), (5000, 19), (1, 1), (50, 3)])
def test_small_pools_and_few_targets_are_exact(rows: int, targets: int) -> None:
    matrix = Matrix(synthetic(rows, targets))
    assert not pays(rows, targets)
    found = matrix.race(max(rows // 7, 1))
    assert found.exact.all()
    assert found.order.tolist() == np.argsort(-matrix.exact, kind="stable")[: len(found.order)].tolist()
    assert found.pairs == {"exact": rows * targets}
    assert found.audit.rows == 0


def test_a_budget_as_large_as_the_pool_takes_every_row() -> None:
    matrix = Matrix(synthetic(5000, 40))
    for budget in (5000, 9000):
        found = matrix.race(budget)
        assert sorted(found.order.tolist()) == list(range(5000))
        assert sum(found.pairs.values()) < found.pairs_all


def test_rows_without_a_score_are_never_chosen() -> None:
    features = synthetic(5000, 40)
    features[::7] = np.nan
    for budget in (100, 5000):
        found = Matrix(features).race(budget)
        assert not (found.order % 7 == 0).any()
        assert len(found.order) == min(budget, 5000 - 715)
        assert found.undefined == 715
    features[:200] = np.nan
    assert Matrix(features).race(100).exact.all(), "too little of the pilot is left to learn from"
    features[:] = np.nan
    found = Matrix(features).race(100)
    assert (len(found.order), found.undefined) == (0, 5000)
    assert math.isnan(found.tau)


def test_equal_rows_are_taken_by_position_and_cost_no_more() -> None:
    repeated = np.tile(synthetic(50, 40), (10, 1))
    small = Matrix(repeated)
    assert small.race(37).order.tolist() == np.argsort(-small.exact, kind="stable")[:37].tolist()
    alike = Matrix(np.repeat(synthetic(1, 40), 5000, axis=0))
    found = alike.race(700)
    assert len(set(found.order.tolist())) == 700
    assert np.ptp(found.score) < 1e-12


def test_blocks_of_finished_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features = real()[0]
    whole = Matrix(features).race(500)
    monkeypatch.setattr(race_state, "MOST_PAIRS", 1000)
    blocks = Matrix(features)
    found = blocks.race(500)
    assert len(blocks.calls) > 8
    assert max(count for targets, _, count in blocks.calls if len(targets) == TARGETS - 13) <= 26
    assert (found.order.tobytes(), found.score.tobytes()) == (whole.order.tobytes(), whole.score.tobytes())


def test_landmarks_are_the_columns_that_explain_the_mean() -> None:
    draw = np.random.default_rng(3)
    pairs = draw.normal(size=(200, 30))
    mean = 3 * pairs[:, 17] + 2 * pairs[:, 4] + pairs[:, 29]
    assert landmarks(pairs, mean, 3) == [17, 4, 29]
    assert landmarks(pairs, mean, 2, taken=[4]) == [17, 29]
    pairs[:, 5] = pairs[:, 17]
    assert landmarks(pairs, mean, 30)[:3] == [5, 4, 29], "of equal columns the first"
    assert sorted(landmarks(pairs, mean, 30)) == sorted(set(range(30)) - {17}), "a copy tells nothing"
    assert landmarks(np.ones((50, 4)), np.ones(50), 2) == []


def test_the_estimate_is_linear_in_the_documented_terms_and_its_sd_is_honest() -> None:
    features = synthetic(6000, 40)
    mean = features[:, 2:].mean(axis=1)
    near = features[:, :12]
    model = fit(near[:300], mean[:300])
    size, bound, pairs = near[:, 0], near[:, 1], near[:, 2:]
    a = pairs.mean(axis=1)
    terms = np.column_stack([np.ones(6000), bound, bound**2, size, size**2, pairs, a**2, a * bound, a * size])
    np.testing.assert_allclose(model.predict(near), terms @ model.coefficients, rtol=0, atol=1e-12)
    assert len(expand(near)) + 1 == len(model.coefficients)
    unseen = np.sqrt(((model.predict(near) - mean)[300:] ** 2).mean())
    assert 0.85 < model.sd / unseen < 1.3
    blocks = np.concatenate([model.predict(near[i : i + 7]) for i in range(0, 6000, 7)])
    assert blocks.tobytes() == model.predict(np.asfortranarray(near)).tobytes()
    # Where the model is wrong at the top, the sd is that of the top.
    bent = mean + 0.2 * np.maximum(mean - np.quantile(mean, 0.9), 0) * np.sign(np.sin(np.arange(6000)))
    assert fit(near[:300], bent[:300], high=30).sd > 1.2 * fit(near[:300], bent[:300], high=300).sd


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="budget 0 chooses nothing; allowed: at least 1"):
        race(10, 40, 0, Matrix(synthetic(10, 40)))
    monkeypatch.setattr(racing, "MOST_ROWS", 9)
    with pytest.raises(BoundError, match=re.escape("over 10 rows, the bound is 9")):
        race(10, 40, 1, Matrix(synthetic(10, 40)))
