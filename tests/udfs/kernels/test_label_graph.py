"""Graph over labels: all against plain loops over int64 products, with ties, copies and names without vectors."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import DBSCAN

from lakesift.udfs.arrays import Ragged
from lakesift.udfs.errors import BoundError, InputError
from lakesift.udfs.kernels import label_graph
from lakesift.udfs.kernels.label_graph import (
    ONE,
    LabelGraph,
    NearestNames,
    components,
    isolated,
    neighbour_graph,
    representatives,
)
from lakesift.udfs.kernels.semantic_entropy import on_grid
from lakesift.udfs.kernels.vectors import unit_rows

Matrix = NDArray[np.float32]
Ints = NDArray[np.int64]


@pytest.fixture(params=[False, True], ids=["blocks as they are", "small blocks"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        for name, size in (("_BLOCK", 7), ("_ROWS", 3), ("_PENDING", 20)):
            monkeypatch.setattr(label_graph, name, size)


def similarities(x: Matrix, y: Matrix) -> Ints:
    """Return cosines in multiples of 2^-22 by int64 products; -ONE where a vector is NaN."""
    a, b = (np.nan_to_num(on_grid(rows)).astype(np.int64) for rows in (x, y))
    found = np.minimum(a @ b.T, ONE - 1)
    found[(a[:, None] == b).all(axis=2)] = ONE
    found[np.isnan(x).any(axis=1)] = -ONE
    found[:, np.isnan(y).any(axis=1)] = -ONE
    return found


def pairs(vectors: Matrix) -> list[tuple[int, int, int]]:
    """Return (a, b, similarity) of all pairs a < b of similarity above 0, in order."""
    all_pairs = similarities(vectors, vectors).tolist()
    return [(i, j, s) for i, row in enumerate(all_pairs) for j, s in enumerate(row) if i < j and s > 0]


def samples(seed: int) -> dict[str, Matrix]:
    """Small sets of unit vectors: at random, in clusters, with copies and ties, without positive pairs, with NaN."""
    draw = np.random.default_rng(seed)
    n, d = int(draw.integers(2, 40)), int(draw.integers(2, 12))
    base = draw.normal(size=(n, d))
    near = base[draw.integers(0, n // 4 + 1, n)] + 0.2 * draw.normal(size=(n, d))
    with_nan = near.copy()
    with_nan[draw.random(n) < 0.3] = np.nan
    rows = {
        "random": base,
        "clusters": near,
        "copies": base[draw.integers(0, n // 3 + 1, n)],
        "signs": draw.choice([-1.0, 1.0], (n, 4)),  # cosines of -1, -.5, 0, .5 and 1
        "one vector": np.repeat(base[:1], n, axis=0),
        "no positive pair": np.concatenate([np.eye(d), -np.eye(d)]),
        "two positive pairs": np.concatenate([np.eye(d), np.eye(d)[:1] + np.eye(d)[1:2]]),
        "without vectors": with_nan,
        "only one vector": np.where(np.arange(n)[:, None] == 1, base, np.nan),
        "close": base[:1] + 2e-4 * draw.normal(size=(n, d)),  # cosines of 1 but for the rounding
        "one name": base[:1],
        "no name": base[:0],
    }
    return {name: unit_rows(x) for name, x in rows.items()}


def connected(near: NDArray[np.bool_]) -> list[int]:
    """Return the component of each node, from 0 in order of first nodes, by walking."""
    found = [-1] * len(near)
    for start in range(len(near)):
        waiting, number = [start], max(found) + 1
        while waiting and found[start] in (-1, number):
            node = waiting.pop()
            if found[node] < 0:
                found[node] = number
                waiting += np.flatnonzero(near[node]).tolist()
    return found


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("seed", range(4))
def test_components_are_those_of_a_walk_and_of_dbscan(seed: int) -> None:
    for name, x in samples(seed).items():
        similarity = similarities(x, x)
        for distance in (1e-9, 0.001, 0.05, 0.5, 0.999, *(1 - similarity[similarity > 0][:3] / ONE)):
            if not 0 < distance < 1:
                continue
            found = components(x, distance)
            assert found.dtype == np.int64
            assert found.tolist() == connected(1 - similarity / ONE <= distance), (name, distance)
            if len(x):
                dbscan = DBSCAN(eps=distance, min_samples=1, metric="precomputed")
                apart = 1 - similarity / ONE
                np.fill_diagonal(apart, 0)
                assert found.tolist() == dbscan.fit(apart).labels_.tolist(), (name, distance)


def test_components_are_those_of_dbscan_on_the_rounded_vectors() -> None:
    """At distances inside gaps: DBSCAN divides by the lengths of the rounded vectors, which are 1 within 0.001."""
    compared, merged = 0, 0
    for seed in range(12):
        x = samples(seed)["clusters"]
        distance = np.unique(np.append(1 - similarities(x, x) / ONE, [0, 1]).clip(0, 1))
        wide = np.flatnonzero(np.diff(distance) > 4e-3)
        for eps in (distance[wide] + distance[wide + 1]) / 2:
            found = components(x, eps)
            assert found.tolist() == DBSCAN(eps=eps, min_samples=1, metric="cosine").fit(on_grid(x)).labels_.tolist()
            compared, merged = compared + 1, merged + (1 < found.max() + 1 < len(x))
    assert compared > 100
    assert merged > 50


def at_degrees(*angles: float) -> Matrix:
    turned = np.deg2rad(angles)
    return np.column_stack([np.cos(turned), np.sin(turned)]).astype(np.float32)


def test_a_chain_merges_through_its_middle() -> None:
    assert components(at_degrees(0, 30), 0.05).tolist() == [0, 1]
    assert components(at_degrees(0, 30, 15), 0.05).tolist() == [0, 0, 0]
    assert components(at_degrees(90, 0, 30, 180, 75, 15), 0.05).tolist() == [0, 1, 1, 2, 0, 1]
    assert components(np.full((3, 2), np.nan, np.float32), 0.5).tolist() == [0, 1, 2]


def test_pairs_inside_a_group_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 15 blocks of 500 equal vectors those of the first 100 rows connect all; the others have nothing to link."""
    links, connect = [], label_graph.sparse.csgraph.connected_components

    def watched(graph: sparse.coo_matrix, directed: bool) -> tuple[int, NDArray[np.int32]]:
        links.append(graph.nnz)
        return connect(graph, directed=directed)

    monkeypatch.setattr(label_graph, "_BLOCK", 100)
    monkeypatch.setattr(label_graph.sparse.csgraph, "connected_components", watched)
    assert set(components(np.repeat(at_degrees(50), 500, axis=0), 0.05).tolist()) == {0}
    assert len(links) == 5


def test_the_distance_itself_is_near() -> None:
    x = at_degrees(0, 20)
    distance = 1 - int(similarities(x, x)[0, 1]) / ONE
    assert components(x, distance).tolist() == [0, 0]
    assert components(x, np.nextafter(distance, 0)).tolist() == [0, 1]


def test_the_most_frequent_name_represents() -> None:
    names = ["maths", "b", "math", "a", "algebra", "B"]
    found = representatives(np.array([4, 0, 4, 0, 4, 0]), np.array([3, 2, 9, 2, 9, 2]), names)
    assert found.tolist() == [4, 5, 4, 5, 4, 5]
    assert found.dtype == np.int64
    assert representatives(np.array([0, 0]), np.array([1, 2]), ["a", "b"]).tolist() == [1, 1]
    assert representatives(np.array([], np.int64), np.array([], np.int64), []).tolist() == []


def plain_graph(x: Matrix, neighbours: int | None, threshold: float | None) -> tuple[float, list[tuple[int, int, int]]]:
    """Return T and the edges by sorting all pairs."""
    found = pairs(x)
    if neighbours is not None:
        largest = sorted((s for _, _, s in found), reverse=True)
        need = int(neighbours * len(x) / 2 + 0.5)
        threshold = ([*largest, *largest[-1:] * need][need - 1] if largest else ONE) / ONE
    assert threshold is not None
    return threshold, [pair for pair in found if pair[2] / ONE >= threshold]


def edges_of(graph: LabelGraph) -> list[tuple[int, int, int]]:
    whole = (graph.weight.astype(np.float64) * ONE).astype(np.int64)
    assert (whole / ONE == graph.weight).all()
    assert (graph.a.dtype, graph.b.dtype, graph.weight.dtype) == (np.int32, np.int32, np.float32)
    return list(zip(graph.a.tolist(), graph.b.tolist(), whole.tolist(), strict=True))


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("seed", range(3))
def test_the_graph_is_that_of_sorted_pairs(seed: int) -> None:
    for name, x in samples(seed).items():
        for neighbours in (1, 3, 1000):
            threshold, edges = plain_graph(x, neighbours, None)
            found = neighbour_graph(x, neighbours)
            assert (found.threshold, edges_of(found)) == (threshold, edges), (name, neighbours)
            again = neighbour_graph(x, threshold=found.threshold)
            assert (again.threshold, edges_of(again)) == (threshold, edges), (name, neighbours)
        for threshold in (0.0, 0.5, 1.0):
            found = neighbour_graph(x, threshold=threshold)
            assert (found.threshold, edges_of(found)) == plain_graph(x, None, threshold), (name, threshold)


def test_the_samples_have_what_they_are_for() -> None:
    """Else the test above would compare little: ties at T, fewer pairs than asked for, no pair at all."""
    ties, few, none = 0, 0, 0
    for x in (x for seed in range(3) for x in samples(seed).values()):
        threshold, edges = plain_graph(x, 3, None)
        ties += sum(s / ONE == threshold for _, _, s in edges) > 1 and len(edges) > len(x)
        few += 0 < len(pairs(x)) < len(x)
        none += len(x) > 1 and not pairs(x)
    assert min(ties, few, none) >= 3


def test_at_1_only_equal_vectors_are_neighbours() -> None:
    draw = np.random.default_rng(0)
    x = unit_rows(draw.normal(size=(1, 256)) + 1e-3 * draw.normal(size=(60, 256)))
    x = np.concatenate([x, x[::2]])
    product = (on_grid(x).astype(np.int64) @ on_grid(x).astype(np.int64).T) - ONE
    assert (product.diagonal() < 0).any()
    assert (product[:60, :60][~np.eye(60, dtype=bool)] > 0).any()
    assert edges_of(neighbour_graph(x, threshold=1)) == [(2 * i, 60 + i, ONE) for i in range(30)]
    assert components(x, 1e-7).max() + 1 == 60
    assert neighbour_graph(x, threshold=1 - 2**-22).weight.min() == 1 - 2**-22


def test_the_order_of_names_changes_nothing_else() -> None:
    x = np.concatenate([samples(3)["signs"], samples(5)["signs"]])
    order = np.random.default_rng(0).permutation(len(x))
    group, permuted = components(x, 0.4), components(x[order], 0.4)
    assert ((permuted[:, None] == permuted) == (group[order][:, None] == group[order])).all()
    assert list(dict.fromkeys(permuted.tolist())) == list(range(permuted.max() + 1))
    found, moved = neighbour_graph(x, 3), neighbour_graph(x[order], 3)
    back = [(*sorted((int(order[a]), int(order[b]))), s) for a, b, s in edges_of(moved)]
    assert (moved.threshold, sorted(back)) == (found.threshold, edges_of(found))


@pytest.mark.usefixtures("_blocks")
def test_pairs_that_were_dropped_may_not_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """435 ties at .5 come first and cannot all be kept; the 30 pairs after them are the graph."""
    ties = np.zeros((30, 61))
    ties[:, 0] = ties[np.arange(30), 1 + np.arange(30)] = 1
    strong = np.repeat(np.eye(61)[31:41], 3, axis=0) + 0.3 * np.eye(61)[31:61]
    x = unit_rows(np.concatenate([ties, strong]))
    held, settle = [], label_graph._Largest.settle

    def watched(self: label_graph._Largest) -> None:
        settle(self)
        held.append(len(self.pairs))

    monkeypatch.setattr(label_graph._Largest, "settle", watched)
    found = neighbour_graph(x, 1, edges=30)
    assert edges_of(found) == plain_graph(x, 1, None)[1]
    assert (len(found.a), int(found.a.min())) == (30, 30)
    with pytest.raises(BoundError, match="would have 465 edges of cosine 0"):
        neighbour_graph(x, threshold=0.4, edges=30)
    assert max(held) == 30


def test_too_many_edges_are_an_error_that_says_what_helps() -> None:
    x = samples(4)["random"]
    found = neighbour_graph(x, 6)
    count = len(found.a)
    assert len(neighbour_graph(x, 6, edges=count).a) == count
    with pytest.raises(BoundError) as error:
        neighbour_graph(x, 6, edges=count - 1)
    said = str(error.value)
    assert said.startswith(f"the graph of {len(x)} labels would have {count} edges of cosine {found.threshold:.4f} or")
    assert f"at most {count - 1}; lower neighbours, or set threshold to 0." in said
    with pytest.raises(BoundError, match="; raise threshold to 0") as error:
        neighbour_graph(x, threshold=0, edges=20)
    high_enough = float(re.findall(r"threshold to ([\d.]+)", str(error.value))[0])
    assert len(neighbour_graph(x, threshold=high_enough, edges=20).a) == 20
    assert len(neighbour_graph(x, threshold=high_enough - 1e-4).a) == 21
    same = np.repeat(x[:1], 60, axis=0)
    with pytest.raises(BoundError, match=r"have 1770 edges of .* at most 20; merge names of the same vector first"):
        neighbour_graph(same, 4, edges=20)


def test_more_names_than_allowed_are_an_error() -> None:
    x = np.ones((50_001, 1), np.float32)
    for compare in (lambda v: components(v, 0.5), lambda v: neighbour_graph(v, 4), NearestNames):
        with pytest.raises(BoundError, match="50001 names are too many; at most 50000; raise least"):
            compare(x)


def test_wrong_parameters_and_lengths_are_errors() -> None:
    x = at_degrees(0, 20)
    for distance in (0, 1, -0.1, np.nan):
        with pytest.raises(InputError, match="above 0 and below 1"):
            components(x, distance)
    for neighbours, threshold in ((None, None), (4, 0.9), (0, None)):
        with pytest.raises(InputError, match="give neighbours, at least 1, or else a threshold from 0 to 1"):
            neighbour_graph(x, neighbours, threshold)
    for cosine in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match="is no threshold; allowed is 0 to 1"):
            neighbour_graph(x, threshold=cosine)
        with pytest.raises(InputError, match="is no threshold; allowed is 0 to 1"):
            NearestNames(x).of(x, 1, cosine)
    with pytest.raises(InputError, match="most=0 names"):
        NearestNames(x).of(x, 0, 0.5)
    for wrong, length in ((0 * x, "0"), (2 * x, "2"), (np.inf + x, "inf")):
        for compare in (lambda v: components(v, 0.5), lambda v: neighbour_graph(v, 4), NearestNames):
            with pytest.raises(InputError, match=f"has the length {length}; allowed is 1 within 0.001, or NaN"):
                compare(wrong)


def test_isolated_labels_and_neighbours_are_counted() -> None:
    graph = neighbour_graph(at_degrees(0, 10, 20, 180, 270, 265), threshold=0.93)
    assert isolated(6, graph.a, graph.b) == (pytest.approx(1 / 6), pytest.approx(4 / 3))
    assert isolated(3, graph.a[:0], graph.b[:0]) == (1, 0)
    assert isolated(0, graph.a[:0], graph.b[:0]) == (0, 0)


def plain_nearest(rows: Matrix, names: Matrix, most: int, floor: float) -> list[list[int]]:
    """Return the nearest names of each row by sorting all."""
    found = []
    for row in similarities(rows, names).tolist():
        order = sorted(range(len(row)), key=lambda i: (-row[i], i))
        found.append(sorted(i for i in order[:most] if row[i] / ONE >= floor))
    return found


def lists(found: Ragged) -> list[list[int]]:
    assert (found.values.dtype, found.offsets.dtype) == (np.int32, np.int64)
    return [row.tolist() for row in found]


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("seed", range(4))
def test_nearest_names_are_those_of_a_sort(seed: int) -> None:
    for name, names in samples(seed).items():
        other = np.random.default_rng(seed).normal(size=(9, names.shape[1]))
        rows = np.concatenate([names[::-1], unit_rows(other), np.full_like(names[:1], np.nan)])
        for most in (1, 3, 1000):
            for floor in (0.0, 0.4, 0.5, 1.0):
                assert lists(NearestNames(names).of(rows, most, floor)) == plain_nearest(rows, names, most, floor), name


def test_the_floor_itself_is_near_enough() -> None:
    names, row = at_degrees(0, 20), at_degrees(5)
    cosine = int(similarities(row, names)[0, 1]) / ONE
    assert lists(NearestNames(names).of(row, 2, cosine)) == [[0, 1]]
    assert lists(NearestNames(names).of(row, 2, np.nextafter(cosine, 1))) == [[0]]


def test_a_row_has_the_same_names_alone_and_among_others() -> None:
    draw = np.random.default_rng(0)
    names = NearestNames(unit_rows(draw.normal(size=(500, 64)) + 0.3))
    rows = unit_rows(draw.normal(size=(300, 64)) + 0.3)
    whole = lists(names.of(rows, 5, 0.4))
    assert {len(found) for found in whole} >= {4, 5}
    order = draw.permutation(len(rows))
    assert lists(names.of(rows[order], 5, 0.4)) == [whole[i] for i in order]
    assert [lists(names.of(rows[i : i + 1], 5, 0.4))[0] for i in range(len(rows))] == whole
    assert lists(names.of(rows[:0], 5, 0.4)) == []
