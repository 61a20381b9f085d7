"""KMeans as an estimator: nearly as good as a fit on everything, and the same for any order of the table."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from sklearn.cluster import KMeans as Theirs

from lakesift.udfs.kernels.vectors import unit_rows
from lakesift.udfs.scorer import Fold, fingerprint
from lakesift.udfs.scores.kmeans import KMeans, KMeansScorer
from tests.udfs.kernels.test_kmeans import blobs

FoldFunction = Callable[[Fold[Any], str], Any]


def hashes(n: int, seed: int = 0) -> np.ndarray:
    """Return n distinct int64 hashes."""
    return np.random.default_rng(seed).integers(-(2**63), 2**63, n, np.int64)


def table(x: np.ndarray, parts: int = 1, h: np.ndarray | None = None, without: int = 0) -> FoldFunction:
    """Return a fold over rows in so many partitions; `without` more documents have no vector."""
    h = hashes(len(x)) if h is None else h

    def fold(f: Fold[Any], name: str) -> Any:
        assert name == "documents"
        assert f.reads is not None
        if f.reads == ("h",):
            return f.add(f.zero(), np.concatenate([h, hashes(without, 1)]))
        columns = {"h": h, "vector": x}
        states = [
            f.add(f.zero(), *(columns[c][rows] for c in f.reads)) for rows in np.array_split(np.arange(len(x)), parts)
        ]
        while len(states) > 1:
            states.append(f.merge(states.pop(), states.pop(0)))
        return states[0]

    return fold


def fitted(x: np.ndarray, parts: int = 1, h: np.ndarray | None = None, **given: Any) -> KMeansScorer:
    """Fit on rows."""
    return KMeans(**given).fit(table(x, parts, h))


def inertia_of(scorer: KMeansScorer, x: np.ndarray) -> float:
    """Return the sum of the distances that the scorer gives."""
    return float(scorer.kernel()(x)["distance_sq"].sum())


@pytest.mark.parametrize(("given", "above"), [({}, 0.01), ({"fit_rows": 100}, 0.02)])
@pytest.mark.parametrize("kind", ["blobs", "hardly any clusters"])
def test_the_fit_is_as_good_as_those_on_everything(kind: str, given: dict[str, Any], above: float) -> None:
    """Medians of starts: one start alone is worth 1 % either way, for every package."""
    x = blobs(20_000, 32, 80, spread=0.8)
    if kind != "blobs":
        x = unit_rows(blobs(20_000, 32, 80, spread=1.5) * np.exp(-np.arange(32) / 60))

    def with_faiss(seed: int) -> float:
        rival = faiss.Kmeans(32, 50, niter=25, nredo=1, seed=seed + 1, max_points_per_centroid=10**6)
        rival.train(x)
        return float(rival.index.search(x, 1)[0].sum(dtype=np.float64))

    ours = np.median([fitted(x, k=50, seed=seed, **given).inertia[-1] for seed in range(3)])
    assert ours <= (1 + above) * np.median([with_faiss(seed) for seed in range(3)])
    assert ours <= (1 + above) * np.median([Theirs(50, n_init=1, random_state=s).fit(x).inertia_ for s in range(3)])


def tables_without_clear_clusters() -> dict[str, np.ndarray]:
    """Return noise, noise with decaying variances, clusters that overlap, and noise around a mean on the sphere."""
    draw = np.random.default_rng(5)
    means = draw.normal(size=(30, 32)) * 0.7
    return {
        "noise": draw.normal(size=(20_000, 16)).astype(np.float32),
        "decay": (draw.normal(size=(40_000, 64)) * np.exp(-np.arange(64) / 10)).astype(np.float32),
        "overlap": (means[draw.integers(0, 30, 30_000)] + draw.normal(size=(30_000, 32))).astype(np.float32),
        "sphere": unit_rows(draw.normal(size=(30_000, 32)) + draw.normal(size=32)),
    }


def tables_with_clear_outliers() -> dict[str, tuple[int, np.ndarray]]:
    """Return k and tables in which a start from few rows misses clusters that Lloyd cannot find later."""
    g = np.random.default_rng(1)
    rows = {
        "far singletons": (100, [g.normal(size=(5900, 16)) * 0.1, g.normal(size=(100, 16)) * 50]),
        "a giant and outliers": (100, [g.normal(size=(5700, 16)), g.normal(size=(300, 16)) * 20]),
        "few distinct rows": (60, [g.normal(size=(90, 16))[g.integers(0, 90, 4000)]]),
    }
    return {name: (k, np.concatenate(parts).astype(np.float32)) for name, (k, parts) in rows.items()}


def test_outlying_clusters_are_found() -> None:
    ratios = {}
    for name, (k, x) in tables_with_clear_outliers().items():
        theirs = np.median([Theirs(k, n_init=1, random_state=seed).fit(x).inertia_ for seed in range(3)])
        ratios[name] = float(np.median([fitted(x, k=k, seed=seed).inertia[-1] for seed in range(3)]) / theirs)
    assert max(ratios.values()) <= 1.05, ratios


@pytest.mark.long
def test_the_default_fit_is_within_one_percent_where_clusters_are_weak() -> None:
    """Against scikit-learn on all rows, medians of four starts each."""
    ratios = {}
    for name, x in tables_without_clear_clusters().items():
        theirs = np.median([Theirs(50, n_init=1, random_state=seed).fit(x).inertia_ for seed in range(4)])
        ratios[name] = float(np.median([fitted(x, k=50, seed=seed).inertia[-1] for seed in range(4)]) / theirs)
    assert max(ratios.values()) <= 1.01, ratios


def test_the_sample_is_of_so_many_rows_a_centroid() -> None:
    scorer = fitted(blobs(5000, 4, 9), k=10, fit_rows=20)
    assert (scorer.inertia_rows[0], scorer.inertia_rows[-1]) == (200, 5000)


@pytest.mark.parametrize("given", [{}, {"centres": "points"}, {"spherical": True}, {"fit_rows": "all"}])
def test_what_it_says_of_itself_is_what_it_scores(given: dict[str, Any]) -> None:
    x = blobs(3000, 8, 12)
    scorer = fitted(x, k=12, **{"fit_rows": 30, **given})
    out = scorer.kernel()(x)
    assert scorer.sizes.tolist() == np.bincount(out["cluster"], minlength=12).tolist()
    assert scorer.inertia[-1] == pytest.approx(out["distance_sq"].sum(), rel=1e-9)
    assert len(scorer.inertia) == len(scorer.inertia_rows)
    assert (out["cluster"].dtype, out["distance_sq"].dtype) == (np.int32, np.float64)


@pytest.mark.parametrize("given", [{}, {"centres": "points"}, {"spherical": True}, {"k": "auto", "grid": (4, 9)}])
def test_neither_order_nor_partitions_change_a_bit(given: dict[str, Any]) -> None:
    x, h = blobs(3000, 6, 9), hashes(3000)
    one = fitted(x, 1, h, **{"k": 15, "fit_rows": 40, **given})
    for seed, parts in enumerate((2, 7, 30)):
        order = np.random.default_rng(seed).permutation(3000)
        assert fitted(x[order], parts, h[order], **{"k": 15, "fit_rows": 40, **given}) == one
    assert fitted(x, 1, h, **{"k": 15, "fit_rows": 40, "seed": 1, **given}) != one


FIT = """
import numpy as np
from lakesift.udfs.scorer import fingerprint
from lakesift.udfs.scores.kmeans import KMeans
x = np.random.default_rng(0).normal(size=(4000, 64)).astype(np.float32)
columns = {"h": np.arange(4000), "vector": x}
fold = lambda f, _: f.add(f.zero(), *(columns[name] for name in f.reads))
print(fingerprint(KMeans(k=30).fit(fold)))
"""


def test_another_blas_gives_the_same_model() -> None:
    """The kernels of other processors round products otherwise; where OpenBLAS has one only, this holds trivially."""
    found = [
        subprocess.run(
            [sys.executable, "-c", FIT],
            env={**os.environ, "OPENBLAS_CORETYPE": core},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for core in ("Prescott", "Haswell", "SkylakeX")
    ]
    assert len(set(found)) == 1


def test_passes_lower_the_inertia_until_it_settles() -> None:
    x = blobs(6000, 10, 25, spread=1.5)

    def passes_of(scorer: KMeansScorer) -> list[float]:
        return scorer.inertia[scorer.inertia_rows == 6000].tolist()

    one, three, many = (passes_of(fitted(x, k=20, fit_rows=10, passes=p, tol=1e-9)) for p in (1, 3, 200))
    assert (len(one), len(three)) == (1, 3)
    assert three[0] > three[1] > three[2]
    assert three[:1] == one
    assert many[:3] == three
    assert 3 < len(many) < 200
    everything = fitted(x, k=20, fit_rows="all", iterations=200, tol=1e-9)
    assert everything.inertia[-1] == pytest.approx(many[-1], rel=0.02)


def test_points_are_the_nearest_members() -> None:
    x, h = blobs(2000, 5, 8), hashes(2000)
    means, points = (fitted(x, 3, h, k=8, centres=c) for c in ("means", "points"))
    members = {row.tobytes(): number for row, number in zip(x, h.tolist(), strict=True)}
    assert [members[c.tobytes()] for c in points.centroids] == points.points.tolist()
    out = means.kernel()(x)
    for j in range(8):
        mine = out["cluster"] == j
        assert h[mine][out["distance_sq"][mine].argmin()] == points.points[j]
    assert len(means.points) == 0
    assert points.inertia[:-1].tolist() == means.inertia.tolist()
    assert points.inertia[-1] > means.inertia[-1]


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_of_equally_near_members_the_smaller_hash_is_the_point(parts: int) -> None:
    x = np.array([[-1.0], [1.0], [1.0], [-1.0]])
    points = fitted(x, parts, np.array([5, -3, 9, 4]), k=1, centres="points")
    assert (points.points.tolist(), points.centroids.tolist()) == ([-3], [[1.0]])


def test_auto_finds_the_planted_number() -> None:
    x = blobs(4000, 16, 8, spread=0.15)
    scorer = fitted(x, k="auto", grid=(4, 8, 12, 30))
    assert scorer.centroids.shape == (8, 16)
    assert scorer.tried.tolist() == [4, 8, 12, 30]
    assert scorer.silhouette.argmax() == 1
    assert fitted(x[:20], k="auto", grid=(4, 8, 400)).tried.tolist() == [4, 8]


def test_one_cluster_and_as_many_as_rows() -> None:
    x = blobs(40, 3, 5)
    np.testing.assert_allclose(fitted(x, k=1).centroids[0], x.mean(axis=0), atol=1e-5)
    assert np.isnan(fitted(x, k=1).silhouette).all()
    whole = fitted(x, k=40)
    assert {c.tobytes() for c in whole.centroids} == {row.tobytes() for row in x}
    assert inertia_of(whole, x) == 0
    duplicates = fitted(np.repeat(x, 30, axis=0), k=40, fit_rows=1000)
    assert duplicates.sizes.tolist() == [30] * 40


def test_documents_without_a_vector_make_the_sample_no_smaller() -> None:
    x = blobs(3000, 4, 6)
    scorer = KMeans(k=10, fit_rows=20).fit(table(x, 4, without=60_000))
    assert scorer == KMeans(k=10, fit_rows=20).fit(table(x))
    assert scorer.inertia_rows[0] == 200


def test_undefined_vectors_are_left_out_and_null() -> None:
    x, h = blobs(500, 4, 6), hashes(510)
    holed = np.concatenate([x, np.full((5, 4), np.nan, np.float32), np.zeros((5, 4), np.float32)])
    assert fitted(holed[:505], h=h[:505], k=5) == fitted(x, h=h[:500], k=5)
    assert fitted(holed, h=h, k=5).sizes.sum() == 505
    scorer = fitted(holed, h=h, k=5, spherical=True)
    assert scorer.sizes.sum() == 500
    out = scorer.kernel()(holed)
    for column in out.values():
        assert column.dtype == np.float64
        assert np.isnan(column).tolist() == [False] * 500 + [True] * 10
    alone = scorer.kernel()(x)
    assert out["distance_sq"][:500].tobytes() == alone["distance_sq"].tobytes()
    assert out["cluster"][:500].tolist() == alone["cluster"].tolist()
    np.testing.assert_allclose(scorer.kernel()(3 * x)["distance_sq"], alone["distance_sq"], atol=1e-6)


def test_float64_vectors_and_offsets_are_no_other_case() -> None:
    x = blobs(2000, 6, 5, spread=0.1).astype(np.float64)
    plain, moved = fitted(x, k=5), fitted(x + 1000, k=5)
    np.testing.assert_allclose(moved.centroids - 1000, plain.centroids, atol=1e-3)
    assert moved.inertia[-1] == pytest.approx(plain.inertia[-1], rel=1e-4)


def test_each_measurement_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "lakesift"):
        scorer = fitted(blobs(1000, 4, 6), k=6, centres="points")
    assert len(caplog.messages) == len(scorer.inertia)
    assert caplog.messages[0].startswith("kmeans k=6, sample 1: 1000 rows, inertia per row ")
    assert caplog.messages[-1] == f"kmeans k=6, points 1: 1000 rows, inertia per row {scorer.inertia[-1] / 1000:.6g}"


def test_the_fingerprint_leaves_out_names() -> None:
    x = blobs(200, 3, 4)
    one = KMeans(k=4).fit(table(x))
    assert fingerprint(one) == fingerprint(KMeans(k=4, fit_where="true", refit="always").fit(table(x)))
    assert fingerprint(one) != fingerprint(KMeans(k=4, iterations=24).fit(table(x)))
