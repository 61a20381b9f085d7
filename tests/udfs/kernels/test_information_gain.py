"""MIG against a plain greedy that computes everything anew for each pick: same order and bits, ties included."""

from __future__ import annotations

import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from lakesift.udfs.errors import InputError, RecipeError
from lakesift.udfs.kernels import block_greedy
from lakesift.udfs.kernels.block_greedy import Bound, Pool, best_rows, pick_until
from lakesift.udfs.kernels.information_gain import Selection, information_gain, knee
from lakesift.udfs.kernels.label_gains import ExactGain, GradientGain, entries, gradient_gains, propagation

Floats = NDArray[np.float64]
Rows = list[list[int]]


def phi_of(x: Floats, phi: str, power: float) -> Floats:
    return np.power(x + 1e-6, power) if phi == "pow" else -np.expm1(-x)


def slope_of(x: float, phi: str, power: float) -> float:
    return power * (x + 1e-6) ** (power - 1) if phi == "pow" else math.exp(-x)


def in_order(terms: Any) -> Any:
    """Sum from the first to the last; Python's own sum of floats compensates from 3.12 on."""
    total: Any = 0.0
    for term in terms:
        total = total + term
    return total


def plain(
    rows: Rows,
    quality: Floats,
    A: Floats,
    budget: int,
    gain: str = "gradient",
    phi: str = "pow",
    power: float = 0.8,
    cost: Floats | None = None,
    selected: tuple[int, ...] = (),
) -> tuple[list[int], list[float], list[float]]:
    """Greedy as one would write it, A dense: order, gains and E; once the best gain is 0, the rest follow in order."""
    labels, chosen = range(len(A)), list(selected)
    reach = [in_order([np.zeros(len(A)), *(A[:, label] for label in row)]) for row in rows]
    gains: list[float] = []
    information: list[float] = []
    lowest, known = np.full(len(A), np.inf), 0
    while len(gains) < min(budget, len(rows) - len(selected)):
        for upto in range(known, len(chosen) + 1):  # phi' after each row that was added, the lowest so far
            x = in_order([np.zeros(len(A)), *(quality[i] * reach[i] for i in chosen[:upto])])
            lowest = np.minimum(lowest, [slope_of(value, phi, power) for value in x.tolist()])
        known = len(chosen)
        g = in_order(A[p] * lowest[p] for p in labels)
        value, left = phi_of(x, phi, power), [i for i in range(len(rows)) if i not in chosen]
        if gain == "gradient":
            now = {i: float(quality[i] * in_order(g[label] for label in rows[i])) for i in left}
        else:
            now = {i: max(0.0, float(in_order(phi_of(x + quality[i] * reach[i], phi, power) - value))) for i in left}
        best = min(left, key=lambda i: (-now[i] / (1 if cost is None else cost[i]), i))
        if now[best] == 0:
            best = left[0]
        gains.append(now[best])
        chosen.append(best)
        x = in_order([np.zeros(len(A)), *(quality[i] * reach[i] for i in chosen)])
        information.append(float(phi_of(x, phi, power).sum()))
    return chosen[len(selected) :], gains, information


def flat(rows: Rows) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    return np.array(list(itertools.chain(*rows)), np.int32), np.cumsum([0, *map(len, rows)])


def edges(draw: np.random.Generator, count: int, kind: str) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """A random graph, one without edges, or one in which every label is joined to the next and to the first."""
    pairs = np.array(list(itertools.combinations(range(count), 2)), np.int64).reshape(-1, 2)
    joined = (pairs[:, 1] == pairs[:, 0] + 1) | (pairs[:, 0] == 0)
    keep = {"random": draw.random(len(pairs)) < 0.3, "none": np.zeros(len(pairs), bool), "giant": joined}[kind]
    a, b = pairs[keep].T
    return a, b, np.where(draw.random(len(a)) < 0.3, 1, draw.random(len(a)) + 1e-3).clip(max=1)


def some_rows(draw: np.random.Generator, n: int, count: int) -> Rows:
    sizes = draw.integers(0, 1 + min(count, 5), n)
    return [sorted(draw.choice(count, size, replace=False).tolist()) for size in sizes]


@pytest.mark.parametrize("seed", range(50))
def test_order_and_gains_equal_the_plain_greedy(seed: int) -> None:
    draw = np.random.default_rng(seed)
    n, count = int(draw.integers(1, 40)), int(draw.integers(2, 12))
    rows = some_rows(draw, n, count)
    quality = [draw.integers(0, 4, n) + 0.0, draw.random(n) * 10.0 ** draw.integers(-8, 5, n), np.ones(n)][seed % 3]
    cost = [None, draw.integers(1, 4, n) + 0.0, draw.random(n) + 0.1][draw.integers(3)]
    selected = tuple(draw.permutation(n)[: [0, 0, n // 4][draw.integers(3)]].tolist())
    gain, phi, power = (
        ["gradient", "gradient", "exact"][draw.integers(3)],
        ["pow", "exp"][seed % 2],
        [0.8, 0.5][seed % 5 == 4],
    )
    A = propagation(
        count, *edges(draw, count, ["random", "giant", "none"][draw.integers(3)]), [1.0, 0.3, 0.0][draw.integers(3)]
    )
    budget = int(draw.integers(0, n + 4))
    expected = plain(rows, quality, A.toarray(), budget, gain, phi, power, cost, selected)
    for pool in (1, 3, 64, 10_000):
        got = information_gain(*flat(rows), quality, A, budget, gain, phi, power, cost, selected, pool)
        assert (got.order.tolist(), got.gains.tolist()) == expected[:2], (gain, phi, pool)
        np.testing.assert_allclose(got.information, expected[2], rtol=1e-13)


def draw_pool(seed: int, n: int = 3000, count: int = 60, levels: int = 0) -> tuple[Any, ...]:
    draw = np.random.default_rng(seed)
    quality = draw.integers(0, levels, n) + 0.0 if levels else draw.random(n)
    return *flat(some_rows(draw, n, count)), quality, propagation(count, *edges(draw, count, "giant"))


@pytest.mark.parametrize(("gain", "phi"), list(itertools.product(["gradient", "exact"], ["pow", "exp"])))
def test_laws(gain: str, phi: str) -> None:
    data = draw_pool(1, levels=9)
    before = pickle.dumps(data)
    longest = information_gain(*data, 900, gain, phi, pool=50)
    assert len(set(longest.order.tolist())) == 900
    assert (np.diff(longest.gains) <= (0 if gain == "gradient" else 1e-10)).all()
    assert (np.diff(longest.information) >= 0).all()
    for budget in (-1, 0, 1, 77, 899):
        part = information_gain(*data, budget, gain, phi)
        assert part.order.tolist() == longest.order[: max(0, budget)].tolist()
        assert part.gains.tolist() == longest.gains[: max(0, budget)].tolist()
        assert part.information.tolist() == longest.information[: max(0, budget)].tolist()
    assert pickle.dumps(data) == before


def test_all_rows_can_be_picked_and_rows_of_gain_zero_come_last() -> None:
    labels, offsets, quality, A = draw_pool(2, 400, levels=4)
    got = information_gain(labels, offsets, quality, A, 10_000)
    assert sorted(got.order.tolist()) == list(range(400))
    worthless = np.flatnonzero((quality == 0) | (np.diff(offsets) == 0))
    assert len(worthless) > 100
    assert got.order[-len(worthless) :].tolist() == worthless.tolist()
    assert (got.gains > 0).sum() == 400 - len(worthless)
    assert len(set(got.information[-len(worthless) - 1 :].tolist())) == 1
    nothing = information_gain(labels, offsets, np.zeros(400), A, 7)
    assert (nothing.order.tolist(), nothing.gains.tolist()) == (list(range(7)), [0.0] * 7)
    empty = information_gain(labels[:0], offsets[:1], quality[:0], A, 5)
    assert [part.tolist() for part in empty[:3]] == [[], [], []]


def test_information_is_the_objective_and_exact_gains_are_its_rises() -> None:
    labels, offsets, quality, A = draw_pool(3, 500)
    rows = sparse.csr_matrix((np.repeat(quality, np.diff(offsets)), labels, offsets), shape=(500, A.shape[0]))
    for gain, start in (("gradient", [4, 2]), ("exact", [])):
        got = information_gain(labels, offsets, quality, A, 60, gain, selected=start)
        direct = [((A @ rows[[*start, *got.order[:k]]].sum(axis=0).A1 + 1e-6) ** 0.8).sum() for k in range(61)]
        np.testing.assert_allclose(got.information, direct[1:], rtol=1e-12)
    np.testing.assert_allclose(got.gains, np.diff(direct), rtol=1e-9)


@pytest.mark.parametrize("phi", ["pow", "exp"])
def test_exact_greedy_reaches_its_share_of_the_best_subset(phi: str) -> None:
    for seed in range(12):
        draw = np.random.default_rng(seed)
        rows, quality = some_rows(draw, 9, 5), draw.integers(1, 6, 9) + 0.0
        A = propagation(5, *edges(draw, 5, "random"))
        e = np.array([[q * (label in row) for label in range(5)] for row, q in zip(rows, quality, strict=True)])
        empty = phi_of(np.zeros(5), phi, 0.8).sum()
        best = (
            max(phi_of(A @ e[list(S)].sum(axis=0), phi, 0.8).sum() for S in itertools.combinations(range(9), 3)) - empty
        )
        ours = information_gain(*flat(rows), quality, A, 3, "exact", phi).information[-1] - empty
        assert (1 - 1 / math.e) * best <= ours <= best + 1e-12


def test_propagation_by_hand() -> None:
    """A chain 0 - 1 - 2 with alpha 2: label 1 shares what arrives among itself (1), label 0 (2 x 0.5) and 2 (2 x 1)."""
    A = propagation(3, np.array([1, 0]), np.array([2, 1]), np.array([1.0, 0.5]), 2.0)
    np.testing.assert_allclose(A.toarray(), [[1 / 2, 1 / 2, 0], [1 / 4, 1 / 4, 1 / 2], [0, 2 / 3, 1 / 3]], rtol=1e-15)
    assert A.has_canonical_format
    again = propagation(3, np.array([0, 1]), np.array([1, 2]), np.array([0.5, 1.0]), 2.0)
    assert (again != A).nnz == 0
    none = np.empty(0, np.int64)
    for identity in (
        propagation(3, np.array([0]), np.array([2]), np.array([0.9]), 0.0),
        propagation(3, none, none, none + 0.0),
    ):
        assert identity.toarray().tolist() == np.eye(3).tolist()
        assert identity.nnz == 3


def test_the_first_gain_by_hand() -> None:
    """g_1 = phi'(0) (1/2 + 1/4 + 2/3), phi'(0) = 0.8 x 10^1.2; the row of quality 3 has labels 0 and 1."""
    A = propagation(3, np.array([0, 1]), np.array([1, 2]), np.array([0.5, 1.0]), 2.0)
    rows, quality = flat([[2], [0, 1]]), np.array([3.0, 3.0])
    got = information_gain(*rows, quality, A, 1)
    assert got.order.tolist() == [1]
    assert got.gains[0] == pytest.approx(3 * 0.8 * 10**1.2 * ((1 / 2 + 1 / 4) + (1 / 2 + 1 / 4 + 2 / 3)), rel=1e-12)
    got = information_gain(*rows, quality, A, 1, "exact", "exp")  # x = 3 (1, 1/2, 2/3)
    assert got.gains[0] == pytest.approx(3 - math.exp(-3) - math.exp(-3 / 2) - math.exp(-2), rel=1e-12)


def test_the_gradient_is_that_of_the_objective_and_not_of_the_paper_as_printed() -> None:
    """A hub and two leaves: the hub informs all three, so it is best, though every row of A sums to 1."""
    A = propagation(3, np.array([0, 0]), np.array([1, 2]), np.ones(2))
    rows, quality = [[1], [0]], np.array([1.0, 0.9])
    assert information_gain(*flat(rows), quality, A, 2).order.tolist() == [1, 0]
    assert information_gain(*flat(rows), quality, A, 2, "exact").order.tolist() == [1, 0]
    printed = 0.9 * (A @ np.full(3, slope_of(0, "pow", 0.8)))
    assert quality[0] * printed[1] > quality[1] * printed[0]
    state, step = GradientGain(A), 1e-6
    state.add(np.array([1, 2]), 0.5)
    e = np.array([0, 0.5, 0.5])
    for label in range(3):
        up, down = (phi_of(A @ (e + s * np.eye(3)[label]), "pow", 0.8).sum() for s in (step, -step))
        assert state.gradient[label] == pytest.approx((up - down) / (2 * step), rel=1e-6)


def test_g_has_the_same_bits_after_any_number_of_updates() -> None:
    labels, offsets, quality, A = draw_pool(4, 300)
    state = GradientGain(A)
    for i in range(300):
        state.add(labels[offsets[i] : offsets[i + 1]], quality[i])
    dense = A.toarray()
    assert state.gradient.tolist() == in_order(dense[p] * state.slope[p] for p in range(len(dense))).tolist()
    np.testing.assert_allclose(state.slope, 0.8 * (state.x + 1e-6) ** -0.2, rtol=1e-14)


def test_a_gain_has_the_same_bits_in_any_chunk_and_elsewhere() -> None:
    labels, offsets, quality, A = draw_pool(5)
    gradient, exact = GradientGain(A), ExactGain(A)
    for state in (gradient, exact):
        state.add(np.array([0, 7, 30]), 2.5)
    g = gradient.gradient.tolist()
    loop = [
        q * in_order(g[label] for label in labels[a:b]) for q, a, b in zip(quality, offsets, offsets[1:], strict=False)
    ]
    assert gradient.gains_of(labels, offsets)(quality).tolist() == loop
    row = np.repeat(np.arange(len(quality)), np.diff(offsets))
    assert pickle.loads(pickle.dumps(gradient_gains))(row, labels, quality, gradient.gradient).tolist() == loop
    for state in (gradient, exact):
        whole = state.gains_of(labels, offsets)(quality)
        for chunk in (np.arange(1), np.arange(17, 900), np.random.default_rng(0).permutation(3000)[:200]):
            entry, _ = entries(offsets, chunk)
            ends = np.cumsum([0, *np.diff(offsets)[chunk]])
            assert state.gains_of(labels[entry], ends)(quality[chunk]).tolist() == whole[chunk].tolist()


@pytest.mark.parametrize("gain", ["gradient", "exact"])
def test_a_pass_in_many_chunks_is_one_pass(gain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = draw_pool(11, 400, levels=5)
    whole = information_gain(*data, 150, gain, pool=20)
    monkeypatch.setattr(block_greedy, "_LABELS", 3)  # fewer than some rows have
    parts = information_gain(*data, 150, gain, pool=20)
    assert (parts.order.tolist(), parts.gains.tolist()) == (whole.order.tolist(), whole.gains.tolist())
    assert parts.passes == whole.passes > 2


def test_phi_prime_never_rises_where_c_rounds_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were pow to err upwards, gains would still fall, and a pool of one row would find the order of a pool of all."""

    def unsteady(_: GradientGain, x: Floats) -> Floats:
        return np.array([slope_of(v, "pow", 0.8) * (1 + 0.2 * math.sin(1e6 * v)) for v in x.tolist()])

    monkeypatch.setattr(GradientGain, "_slope", unsteady)
    data = draw_pool(6, 300)
    one, every = (information_gain(*data, 250, pool=size) for size in (1, 300))
    assert one.order.tolist() == every.order.tolist()
    assert (np.diff(every.gains) <= 0).all()


def test_alpha_zero_is_no_graph_and_alpha_changes_the_order() -> None:
    labels, offsets, quality, A = draw_pool(7, 300)
    a, b, weight = edges(np.random.default_rng(0), 60, "giant")
    none = propagation(60, a[:0], b[:0], weight[:0])

    def order(graph: sparse.csr_matrix) -> list[int]:
        return information_gain(labels, offsets, quality, graph, 100).order.tolist()

    assert order(propagation(60, a, b, weight, 0.0)) == order(none)
    assert order(A) != order(none)


def test_cost_ranks_by_gain_per_cost_and_selected_rows_count() -> None:
    none = np.empty(0, np.int64)
    A = propagation(3, none, none, none + 0.0)
    rows, quality = flat([[0], [0], [1], [2]]), np.array([8.0, 8, 5, 4])
    assert information_gain(*rows, quality, A, 4).order.tolist() == [0, 2, 3, 1]
    got = information_gain(*rows, quality, A, 4, cost=np.array([8.0, 4, 5, 1]))
    assert got.order.tolist() == [3, 1, 2, 0]
    assert got.gains[:3] == pytest.approx(0.8 * 10**1.2 * np.array([4, 8, 5]))
    assert information_gain(*rows, quality, A, 9, selected=[2, 0]).order.tolist() == [3, 1]


def test_masses_of_equal_rows_need_few_passes_and_small_pools() -> None:
    """20 000 rows of one label and one quality each; every pick lowers all rows like it below the bound."""
    labels = np.random.default_rng(8).integers(0, 20, 20_000).astype(np.uint16)
    A = propagation(20, np.array([0, 1]), np.array([2, 5]), np.array([0.5, 0.6]))
    data = labels, np.arange(20_001), np.ones(20_000), A
    got = information_gain(*data, 2000, pool=64)
    assert got.passes == 1
    assert got.order.tolist() == information_gain(*data, 2000, pool=3).order.tolist()
    for label in range(20):  # rows like each other are picked in order of position
        picks = got.order[labels[got.order] == label]
        assert picks.tolist() == np.flatnonzero(labels == label)[: len(picks)].tolist()


def test_best_rows_are_exactly_as_many_as_asked() -> None:
    draw = np.random.default_rng(9)
    values, positions = draw.integers(0, 4, 5000) + 0.0, draw.permutation(5000)
    expected = sorted(np.flatnonzero(values), key=lambda i: (-values[i], positions[i]))
    for count in (1, 2, 1300, 3000, len(expected), 5000):
        assert best_rows(values, positions, count).tolist() == expected[:count]


def test_a_pool_is_left_when_a_row_outside_might_be_better() -> None:
    """Gains 12.7 x (3, 2, 1) at first; ties with the bound are decided by position."""
    none = np.empty(0, np.int64)
    A = propagation(3, none, none, none + 0.0)
    pool = Pool(
        np.arange(3), np.arange(4), np.array([3.0, 2, 1]), np.ones(3), [np.array([5]), np.array([1, 9]), np.array([4])]
    )
    first = GradientGain(A).gradient[0]
    for bound, expected in (
        (Bound(), [5, 1, 4, 9]),
        (Bound(first, 0), [5, 1]),
        (Bound(first, 6), [5, 1, 4]),
        (Bound(2 * first, 0), [5]),
        (Bound(2 * first, 2), [5, 1]),
        (Bound(4 * first, 2), []),
    ):
        assert [pick.position for pick in pick_until(GradientGain(A), pool, bound, 99)] == expected
    assert [pick[:2] for pick in pick_until(GradientGain(A), pool, Bound(), 2)] == [(0, 5), (1, 1)]
    nothing = Pool(none, np.zeros(1, np.int64), none + 0.0, none + 0.0, [])
    assert pick_until(GradientGain(A), nothing, Bound(), 3) == []


@pytest.mark.parametrize("gain", ["gradient", "exact"])
def test_a_row_of_ten_thousand_labels(gain: str) -> None:
    draw = np.random.default_rng(10)
    rows = [[int(label)] for label in draw.integers(0, 10_000, 3000)]
    rows[1234] = rows[1300] = list(range(10_000))
    A = propagation(10_000, np.arange(9999), np.arange(1, 10_000), np.full(9999, 0.5))
    got = information_gain(*flat(rows), np.ones(3000), A, 5, gain)
    assert got.order[:2].tolist() == [1234, 1300]
    first = information_gain(*flat(rows), np.ones(3000), A, 1).gains[0]
    assert first == pytest.approx(10_000 * 0.8 * 10**1.2, rel=1e-6)


def test_knee() -> None:
    assert [knee(np.array(curve)) for curve in ([], [3.0], [3.0, 9], [2.0, 2, 2], [0.0, 5, 6, 7, 8])] == [0, 1, 1, 1, 2]
    picks = np.arange(1.0, 101)
    assert knee(np.minimum(picks, 30)) == 30
    assert knee(np.sqrt(picks)) == 30  # 1/(2 sqrt k) = 9/99 at k = 30.25


def refusal(rows: Rows, quality: Any, count: int = 3, **options: Any) -> Selection:
    none = np.empty(0, np.int64)
    return information_gain(
        *flat(rows), np.asarray(quality, np.float64), propagation(count, none, none, none + 0.0), 2, **options
    )


def test_what_is_refused() -> None:
    rows = [[0], [], [1, 2], [0]]
    for value in (-1.0, np.nan, np.inf, -np.inf):
        with pytest.raises(InputError, match=f"quality {value} at position 2 is not finite and at least 0; [^.;]*$"):
            refusal(rows, [1, 0, value, -5])
    for value in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match=f"cost {value} at position 3 is not finite and above 0"):
            refusal(rows, np.ones(4), cost=np.array([1, 1, 1, value]))
    with pytest.raises(InputError, match="4 rows need 4 values of quality, not 3"):
        refusal(rows, np.ones(3))
    for row, label in (([2, 1], 1), ([1, 1], 1), ([3], 3), ([-1], -1)):
        with pytest.raises(InputError, match=f"label {label} at position 2 .* 0 to 2"):
            refusal([[0], [], row, [0]], np.ones(4))
    for selected in ([0, 0], [4], [-1]):
        with pytest.raises(InputError, match="distinct positions from 0 to 3"):
            refusal(rows, np.ones(4), selected=selected)
    for options, words in (
        ({"gain": "gradeint"}, "did you mean 'gradient'"),
        ({"pool": 0}, "at least 1 row"),
        ({"phi": "powr"}, "did you mean 'pow'"),
        ({"power": 1.0}, "power 1.0"),
    ):
        with pytest.raises(RecipeError, match=words):
            refusal(rows, np.ones(4), **options)
    for a, b, weight in ((1, 0, 0.5), (1, 1, 0.5), (0, 3, 0.5), (-1, 1, 0.5), (0, 1, 0), (0, 1, 1.5), (0, 1, np.nan)):
        with pytest.raises(InputError, match=f"edge {a}-{b} of weight {float(weight)} is not allowed"):
            propagation(3, np.array([0, a]), np.array([2, b]), np.array([0.5, weight]))
    with pytest.raises(InputError, match=r"edge 0-1 of weight 0\.25"):
        propagation(3, np.zeros(2, int), np.ones(2, int), np.array([0.5, 0.25]))
    for alpha in (-0.1, np.inf, np.nan):
        with pytest.raises(RecipeError, match="alpha"):
            propagation(3, np.array([0]), np.array([2]), np.ones(1), alpha)
