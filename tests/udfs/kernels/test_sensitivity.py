"""Sensitivity sampling: hand-computed cases, a plain twin, the promised rate, planted losses, odd losses."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import pairwise_distances_argmin

from lakesift.udfs.errors import InputError, RecipeError
from lakesift.udfs.kernels import sensitivity as ss
from tests.udfs.kernels import twins_sensitivity as twin

Planted = tuple[Any, Any, Any, Any, Any]


def points(n: int, seed: int, groups: int = 60) -> Any:
    """Return (n, 3) points in groups of unequal size and spread."""
    draw = np.random.default_rng(seed)
    centre = draw.normal(0, 10, (groups, 3))
    group = draw.integers(0, groups, n) * draw.integers(0, groups, n) // groups
    return centre[group] + draw.normal(0, 1, (n, 3)) * draw.uniform(0.2, 2, groups)[group, None]


def near(x: Any, centres: Any) -> tuple[Any, Any]:
    """Return the cluster of every point and its squared distance to that centre, a row of x."""
    cluster = pairwise_distances_argmin(x, x[centres])
    cluster[centres] = np.arange(len(centres))
    return cluster, ((x - x[centres][cluster]) ** 2).sum(axis=1)


def medoids(x: Any, k: int) -> Any:
    found = MiniBatchKMeans(k, n_init=1, max_iter=10, random_state=0).fit(x).cluster_centers_
    return np.unique(pairwise_distances_argmin(found, x))


@lru_cache
def planted(z: int, n: int = 20_000, seed: int = 1, steep: float = 0.05) -> Planted:
    """Return (loss, centre rows, cluster, distance_sq, true L) with |l - l(c)| <= L_c dist^z by construction."""
    draw = np.random.default_rng(seed)
    x = points(n, seed)
    centres = medoids(x, 120) if z == 2 else np.sort(draw.permutation(n)[:120])  # any clustering will do
    cluster, d = near(x, centres)
    if z == 1:  # a distance to fixed places is 1-Lipschitz everywhere
        loss = steep * np.sqrt(((x[:, None] - draw.normal(0, 10, (5, 3))) ** 2).sum(axis=2)).min(axis=1)
        return loss, centres, cluster, d, np.full(len(centres), steep)
    slope = steep * draw.uniform(0, 2, len(centres))
    level = draw.lognormal(0, 1.5, len(centres))
    loss = np.maximum(level[cluster] + slope[cluster] * d * draw.uniform(-1, 1, n), 0)
    return loss, centres, cluster, d, slope


def probes_of(cluster: Any, centres: Any, each: int, seed: int) -> Any:
    """Return up to `each` rows of every cluster, never its centre."""
    draw = np.random.default_rng(seed)
    members = [np.setdiff1d(np.flatnonzero(cluster == c), centres) for c in range(len(centres))]
    return np.concatenate([draw.permutation(m)[:each] for m in members])


def repeats(p: Any, loss: Any, s: int, count: int, first: int = 0) -> Any:
    """Return `count` estimates of the loss's sum, each with its own seed."""
    w = twin.weights(p, s)
    return np.array([twin.estimate(loss, w, twin.sample(p, seed, s)) for seed in range(first, first + count)])


# Scores and probabilities


def test_scores_by_hand() -> None:
    q = twin.scores([1, 4], [0, 1, 1], [9.0, 4.0, 0.0], [2.0, 0.5], z=2)
    assert q.tolist() == [19, 6, 4]
    assert q.dtype == np.float64
    assert twin.scores([1, 4], [0, 1, 1], [9.0, 4.0, 0.0], 2.0, z=1).tolist() == [7, 8, 4]


def test_a_score_depends_on_its_row_alone() -> None:
    loss, centres, cluster, d, slope = planted(2, n=3000)
    q = twin.scores(loss[centres], cluster, d, slope, 2)
    order = np.random.default_rng(0).permutation(3000)
    assert (twin.scores(loss[centres], cluster[order], d[order], slope, 2) == q[order]).all()
    parts = [twin.scores(loss[centres], cluster[i : i + 7], d[i : i + 7], slope, 2) for i in range(0, 3000, 7)]
    assert (np.concatenate(parts) == q).all()


def test_limits_of_l() -> None:
    cluster, d = np.array([0, 0, 1, 1]), np.array([0.0, 4.0, 0.0, 9.0])
    assert twin.scores([1, 3], cluster, d, 0, 2).tolist() == [1, 1, 3, 3]
    for z in (1, 2):
        limit = twin.probabilities(twin.scores([1, 3], cluster, d, np.inf, z))
        np.testing.assert_allclose(twin.probabilities(twin.scores([1, 3], cluster, d, 1e12, z)), limit, atol=1e-11)
    assert twin.scores([1, 3], cluster, d, [np.inf, np.inf], 1).tolist() == [0, 2, 0, 3]
    with pytest.raises(InputError, match="of cluster 1 is inf"):
        twin.scores([1, 3], cluster, d, [1.0, np.inf], 2)


def test_probabilities() -> None:
    q = np.array([0.0, 1.0, 3.0, 0.0])
    assert twin.probabilities(q).tolist() == [0, 0.25, 0.75, 0]
    assert twin.probabilities(q, 0.5).tolist() == [0.125, 0.25, 0.5, 0.125]
    assert twin.probabilities(q, 1).tolist() == [0.25] * 4
    assert twin.probabilities(q, total=8.0).tolist() == [0, 0.125, 0.375, 0]
    for mixing in (0, 0.3, 1):
        assert twin.probabilities(np.zeros(4), mixing).tolist() == [0.25] * 4
    many = np.array([1, *[1e-16] * 4])  # added from the front the small ones are lost
    assert (twin.probabilities(many[::-1])[::-1] == twin.probabilities(many)).all()


def test_mixing_bounds_the_weights() -> None:
    loss, centres, cluster, d, slope = planted(2)
    q = twin.scores(loss[centres], cluster, d, slope, 2)
    n, s = q.size, 500
    for mixing in (0.1, 0.5):
        assert twin.weights(twin.probabilities(q, mixing), s).max() <= n / (s * mixing) * (1 + 1e-12)
    assert twin.weights(twin.probabilities(q), s).max() > n / (s * 0.1)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_bad_losses_name_the_cluster(bad: float) -> None:
    with pytest.raises(InputError, match=f"centre of cluster 2 is {bad}"):
        twin.scores([0, 1, bad], [0], [1.0], 1.0, 2)
    with pytest.raises(InputError, match=f"probe of cluster 1 is {bad}"):
        ss.lipschitz_from_probes([0, 1, 2], [1, bad], [0, 1], [1.0, 1.0], 2)
    with pytest.raises(InputError, match=f"probe of cluster 1 is {bad}"):
        ss.explained([0, 1, 2], [1, bad], [0, 1])
    with pytest.raises(InputError, match=f"loss of row 2 is {bad}"):
        twin.estimate([bad, 1, bad], [1, 1, 1], [0, 1, 1])
    assert twin.estimate([bad, 1, 2], [9, 1, 1], [0, 1, 3]) == 7


def test_bad_parameters() -> None:
    for call in (
        lambda: twin.scores([1], [0], [1.0], 1.0, 3),
        lambda: twin.probabilities([1.0], 1.5),
        lambda: ss.draws_needed(0, 0.1),
        lambda: ss.draws_needed(0.1, 0.1, mixing=1),
        lambda: ss.lipschitz_from_probes([1], [1], [0], [1.0], 2, how="most"),
    ):
        with pytest.raises(RecipeError):
            call()
    for call in (
        lambda: twin.scores([1], [1], [1.0], 1.0, 2),
        lambda: twin.scores([1], [0], [math.nan], 1.0, 2),
        lambda: twin.scores([1], [0], [1.0], math.nan, 2),
        lambda: twin.scores([1], [0], [1.0], -1.0, 2),
        lambda: twin.probabilities([math.inf, 1.0]),
        lambda: twin.sample([0.0, 0.0], 1, 5),
        lambda: twin.sample([0.5, math.nan], 1, 5),
        lambda: twin.sample([0.5, 0.5], 1, 5, block=[1, 0]),
    ):
        with pytest.raises(InputError):
            call()


# Draws


def test_draws_are_splitmix64() -> None:
    # Published outputs of the generator started at 1234567.
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert ss.draws(1234567, 5).tolist() == [float(Fraction(2 * (h >> 11) + 1, 2**54)) for h in known]
    u = ss.draws(3, 100_000)
    assert (ss.draws(3, 1000) == u[:1000]).all()
    assert (u > 0).all()
    assert (u < 1).all()
    assert abs(np.histogram(u, 10, (0, 1))[0] - 10_000).max() < 400
    assert abs(np.corrcoef(u, ss.draws(4, 100_000))[0, 1]) < 0.015
    assert (ss.draws(-1, 3) == ss.draws(2**64 - 1, 3)).all()


def slow_sample(p: list[float], seed: int, s: int, block: list[int]) -> list[int]:
    """Walk along the line of rows: one addition a row, one comparison a row."""
    totals: dict[int, float] = {}
    for value, b in zip(p, block, strict=True):
        totals[b] = totals.get(b, 0.0) + value
    starts, total = {}, 0.0
    for b in sorted(totals):
        starts[b], total = total, total + totals[b]
    copies = [0] * len(p)
    for u in ss.draws(seed, s).tolist():
        b = max(b for b in totals if starts[b] <= u * total and totals[b] > 0)
        offset, running = u * total - starts[b], 0.0
        for i in (i for i, other in enumerate(block) if other == b):
            running += p[i]
            if running > offset:
                copies[i] += 1
                break
    return copies


@pytest.mark.parametrize("seed", range(4))
def test_sample_equals_the_plain_twin(seed: int) -> None:
    draw = np.random.default_rng(seed)
    p = draw.lognormal(0, 2, 400) * (draw.random(400) < 0.7)
    block = np.sort(draw.choice([0, 1, 5, 77, 2048, 4000, 4095], 400))
    p[block == 77] = 0
    assert twin.sample(p, seed, 700, block).tolist() == slow_sample(p.tolist(), seed, 700, block.tolist())
    assert twin.sample(p, seed, 700).tolist() == slow_sample(p.tolist(), seed, 700, [0] * 400)


def test_every_target_finds_a_row() -> None:
    draw = np.random.default_rng(8)
    for _ in range(200):
        totals = draw.lognormal(0, 12, 50) * (draw.random(50) < 0.5)
        totals[draw.integers(50)] += 1e-3
        ends = np.cumsum(totals)
        targets = np.concatenate([ends, np.nextafter(ends, 0), np.nextafter(ends, np.inf), [0, ends[-1] * 2]])
        block, offset = ss.locate(targets, totals)
        assert (totals[block] > 0).all()
        assert (offset >= 0).all()
        assert (offset < totals[block]).all()
    block, offset = ss.locate([0.0, 1.0, 2.0], [0.0, 5e-324, 0.0])
    assert (block.tolist(), offset.tolist()) == ([1, 1, 1], [0, 0, 0])


def test_rows_without_probability_are_never_drawn() -> None:
    p = np.zeros(3000)
    p[[7, 1500, 2999]] = [1e-300, 1.0, 1e-300]
    block = np.arange(3000)
    for blocks in (block, None):
        copies = twin.sample(p, 2, 1000, blocks)
        assert np.flatnonzero(copies).tolist() == [1500]
        assert copies.sum() == 1000
    assert twin.sample([0.0, 3.0], 2, 0).tolist() == [0, 0]


def test_a_draw_on_a_boundary_takes_the_next_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "draws", lambda *_: np.array([0.0, 0.25, 0.5, 0.5]))
    assert twin.sample([0.0, 0.25, 0.25, 0.0, 0.5], 1, 4).tolist() == [0, 1, 1, 0, 2]
    assert twin.sample([0.0, 0.25, 0.25, 0.0, 0.5], 1, 4, [0, 0, 3, 3, 9]).tolist() == [0, 1, 1, 0, 2]


def test_fewer_draws_are_the_first_of_more() -> None:
    p = np.random.default_rng(1).random(500)
    sizes = [1, 10, 100, 1000]
    copies = [twin.sample(p, 6, s) for s in sizes]
    assert all((a <= b).all() for a, b in pairwise(copies))
    assert [c.sum() for c in copies] == sizes
    assert (twin.sample(p, 7, 1000) != copies[-1]).any()


def test_running_sums_restart_in_every_block_and_add_in_order() -> None:
    p = np.random.default_rng(2).lognormal(0, 6, 300)
    block = np.sort(np.random.default_rng(3).integers(0, 4096, 300) // 100 * 100)
    running, totals = twin.running_sums(p, block)
    for b in np.unique(block):
        total = 0.0
        for value, found in zip(p[block == b].tolist(), running[block == b].tolist(), strict=True):
            total += value
            assert found == total
        assert totals[b] == total
    assert totals.shape == (4096,)
    assert np.count_nonzero(totals) == len(np.unique(block))


# What the paper promises


@pytest.mark.parametrize("z", [1, 2])
@pytest.mark.parametrize("mixing", [0.0, 0.3])
def test_unbiased(z: int, mixing: float) -> None:
    loss, centres, cluster, d, slope = planted(z)
    p = twin.probabilities(twin.scores(loss[centres], cluster, d, slope, z), mixing)
    assert abs(repeats(p, loss, 300, 400).mean() / loss.sum() - 1) < 0.01
    ones = repeats(p, np.ones_like(loss), 300, 400)
    assert abs(ones.mean() / loss.size - 1) < 0.03, "weights add up to about n"


@pytest.mark.parametrize("z", [1, 2])
@pytest.mark.parametrize("mixing", [0.0, 0.5])
def test_the_bound_holds_at_the_promised_rate(z: int, mixing: float) -> None:
    eps, delta = 0.15, 0.2
    loss, centres, cluster, d, slope = planted(z)
    q = twin.scores(loss[centres], cluster, d, slope, z)
    potential = np.bincount(cluster, d if z == 2 else np.sqrt(d))
    allowed = twin.bound(float(loss.sum()), slope, potential, eps)
    assert (loss <= q * (1 + 1e-12)).all(), "the planted L is a true one"
    assert eps * q.sum() <= allowed
    p, s = twin.probabilities(q, mixing), ss.draws_needed(eps, delta, mixing)
    off = abs(repeats(p, loss, s, 400) - loss.sum())
    assert (off > eps * q.sum()).mean() <= delta
    assert (off > allowed).mean() <= delta


def test_a_wrong_l_voids_the_bound() -> None:
    n, eps = 4000, 0.1
    cluster, d = np.arange(n) % 2, np.where(np.arange(n) < 2, 0.0, 1.0)
    loss = np.where(cluster == 0, 1.0, np.where(d > 0, 500.0, 1e-3))  # every other centre says that nothing is there
    s = ss.draws_needed(eps, 0.1)
    for given, rate in ((0.0, 1.0), (500.0, 0.0)):
        off = abs(repeats(twin.probabilities(twin.scores(loss[:2], cluster, d, given, 2)), loss, s, 50) - loss.sum())
        assert (off > twin.bound(loss.sum(), 0.0, np.bincount(cluster, d), eps)).mean() == pytest.approx(rate, abs=0.2)


def test_size_and_bound_by_hand() -> None:
    assert ss.draws_needed(0.5, 0.1) == math.ceil(math.log(20) * (2 + 1 / 3) / 0.25)
    assert ss.draws_needed(0.1, 0.05, 0.2) == math.ceil(math.log(40) * (2 + 0.2 / 3) / 0.01 / 0.8)
    assert twin.bound(100.0, [1.0, 2.0], [10.0, 5.0], 0.1) == pytest.approx(14)
    assert twin.bound(100.0, 2.0, [10.0, 5.0], 0.1) == pytest.approx(16)
    assert twin.bound(1.0, np.inf, [0.0], 0.1) == math.inf


@pytest.mark.parametrize("how", ["cluster", "global"])
def test_a_third_of_the_error_of_uniform_with_five_probes(how: str) -> None:
    loss, centres, cluster, d, slope = planted(2, steep=0.02)
    rows = probes_of(cluster, centres, 5, 4)
    found = ss.lipschitz_from_probes(loss[centres], loss[rows], cluster[rows], d[rows], 2, how)
    if how == "global":
        assert found.shape == ()
        assert 0.9 * slope.max() < found <= slope.max() * (1 + 1e-9)
    else:
        probed = np.unique(cluster[rows])
        assert (found[probed] <= slope[probed] * (1 + 1e-9)).all(), "a part of the cluster cannot say more than all"
    p = twin.probabilities(twin.scores(loss[centres], cluster, d, found, 2))
    ours, uniform = repeats(p, loss, 500, 200), repeats(np.full(loss.size, 1 / loss.size), loss, 500, 200)
    assert ours.std() <= uniform.std() / 3
    assert abs(ours.mean() / loss.sum() - 1) < 0.01


# Probes


def test_lipschitz_by_hand() -> None:
    centre, probes, cluster, d = [1.0, 5.0, 0.0], [3.0, 0.0, 2.0, 8.0], [0, 0, 1, 2], [4.0, 1.0, 9.0, 0.0]
    # dist^z counts as 4 at least, the median of 4, 1, 9 (of 2, 1, 3 it is 2); the probe at distance 0 says nothing.
    assert ss.lipschitz_from_probes(centre, probes, cluster, d, 2).tolist() == [1 / 2, 1 / 3, 1 / 2]
    assert ss.lipschitz_from_probes(centre, probes, cluster, d, 1).tolist() == [1, 1, 1]
    assert ss.lipschitz_from_probes(centre, [10.0], [1], [1.0], 1, "global") == 5
    assert ss.lipschitz_from_probes(centre, [], [], [], 2).tolist() == [0, 0, 0]
    assert ss.lipschitz_from_probes(centre, [9.0], [0], [1e-320], 2).tolist() == [0, 0, 0]


@pytest.mark.parametrize("z", [1, 2])
def test_near_duplicates_of_a_centre_do_not_decide_the_draws(z: int) -> None:
    """The planted case: 119 rows at next to no distance of one centre, their losses a little apart."""
    g = np.random.default_rng(0)
    n, k = 3000, 12
    cluster = g.integers(0, k, n)
    centres = np.array([np.flatnonzero(cluster == j)[0] for j in range(k)])
    d = g.exponential(1, n)
    d[centres] = 0
    loss = np.abs(2 + 0.3 * cluster + 0.2 * d * g.uniform(-1, 1, n))
    near = d.copy()
    near[np.flatnonzero(cluster == 0)[1:120]] = 1e-10

    def error(d: np.ndarray) -> float:
        found = []
        for seed in range(4):
            draw = np.random.default_rng(seed)
            members = [draw.permutation(np.setdiff1d(np.flatnonzero(cluster == j), centres)) for j in range(k)]
            probes = np.concatenate([rows[:5] for rows in members])
            bound = ss.lipschitz_from_probes(loss[centres], loss[probes], cluster[probes], d[probes], z)
            p = twin.probabilities(twin.scores(loss[centres], cluster, d, bound, z), 0.1)
            found.append(math.sqrt((loss**2 / p).sum() / loss.sum() ** 2 - 1))
        return max(found) / math.sqrt((loss**2 * n).sum() / loss.sum() ** 2 - 1)

    assert error(near) < 1.2 * error(d) < 0.5


def test_explained_by_hand_and_on_planted_variance() -> None:
    assert ss.explained([1, 5], [1, 1, 5], [0, 0, 1]) == 1
    assert math.isnan(ss.explained([1, 5], [], []))
    assert math.isnan(ss.explained([0.1, 0.1], [0.1, 0.1, 0.1], [0, 0, 1]))
    # Means 1 and 4, variances 2 and 2: between (2.25 + 2.25) / 2 - 2 * .25 * 2 / 2.
    assert ss.explained([0, 3], [2, 5], [0, 1]) == pytest.approx(1.75 / 3.75)
    draw = np.random.default_rng(5)
    for share, each in ((0.0, 1), (0.0, 4), (0.3, 2), (0.3, 8), (0.9, 4)):
        found = []
        for _ in range(30):
            level = 10 + math.sqrt(share) * draw.normal(size=400)
            probes = np.repeat(np.arange(400), each)
            noise = math.sqrt(1 - share)
            loss = level[probes] + noise * draw.normal(size=probes.size)
            found.append(ss.explained(level + noise * draw.normal(size=400), loss, probes))
        assert np.mean(found) == pytest.approx(share, abs=0.02)


def test_explained_weighs_by_size() -> None:
    centre, probes, cluster = [0, 10, 5], [0, 10, 9], [0, 1, 2]
    assert ss.explained(centre, probes, cluster, [1, 1, 0.0001]) > 0.99
    assert ss.explained(centre, probes, cluster, [1, 1, 1000.0]) < 0.1


# Odd pools


def test_all_losses_zero() -> None:
    q = twin.scores(np.zeros(3), np.arange(30) % 3, np.ones(30), 0.0, 2)
    p = twin.probabilities(q)
    assert p.tolist() == [1 / 30] * 30
    assert repeats(p, np.zeros(30), 10, 3).tolist() == [0, 0, 0]


def test_one_giant_cluster_and_duplicates_are_uniform() -> None:
    for n, k in ((5000, 1), (5000, 4)):
        cluster = np.arange(n) % k
        found = ss.lipschitz_from_probes(np.ones(k), np.full(8, 1.0), cluster[:8], np.zeros(8), 2)
        assert found.tolist() == [0] * k
        p = twin.probabilities(twin.scores(np.ones(k), cluster, np.zeros(n), found, 2))
        assert p.tolist() == [1 / n] * n
        w = twin.weights(p, 100)
        assert twin.estimate(np.ones(n), w, twin.sample(p, 1, 100)) == pytest.approx(n)


def test_one_giant_cluster_with_a_far_row() -> None:
    d = np.zeros(1000)
    d[-1] = 1e6
    loss = np.where(d > 0, 1e6, 1.0)
    p = twin.probabilities(twin.scores([1.0], np.zeros(1000, dtype=int), d, 1.0, 2))
    assert abs(repeats(p, loss, 50, 50) / loss.sum() - 1).max() < 0.01
