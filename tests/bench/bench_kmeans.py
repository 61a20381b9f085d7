"""k-means kernels against faiss and scikit-learn in one run: CPU seconds, printed, never asserted.

`OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m tests.bench.bench_kmeans`. Ten moves from the same start and the
final assignment, one thread each; assignment with exact distances against the bare matrix product; the whole fit of a
sample (start and Lloyd) against faiss' own. CPU is the least of three, taken in turns.
"""

from __future__ import annotations

import faiss
import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus
from threadpoolctl import threadpool_limits

from lakesift.udfs.kernels.kmeans import lloyd
from lakesift.udfs.kernels.kmeans_start import plus_plus
from lakesift.udfs.kernels.nearest_centroid import Nearest
from tests.bench.bench_kernels import cpu_seconds
from tests.bench.lines import Line, line, table

MOVES = 10
#: Rows, width, clusters.
SHAPES = [(50_000, 256, 500), (20_000, 384, 1_000), (50_000, 256, 100)]


def vectors(n: int, d: int, seed: int = 0, centres: int = 200) -> np.ndarray:
    """Return (n, d) float32 rows of length 1 around centres of uneven weight, with falling variances."""
    draw = np.random.default_rng(seed)
    of = draw.choice(centres, n, p=draw.dirichlet(np.full(centres, 2.0)))
    x = (draw.normal(size=(centres, d))[of] * 0.6 + draw.normal(size=(n, d))) * np.exp(-np.arange(d) / 60)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def with_faiss(x: np.ndarray, start: np.ndarray) -> float:
    """Return the inertia of faiss' Lloyd."""
    rows, (k, d) = 10**9, start.shape
    fit = faiss.Kmeans(d, k, niter=MOVES, nredo=1, seed=1, max_points_per_centroid=rows, min_points_per_centroid=1)
    fit.train(x, init_centroids=start)
    return float(fit.index.search(x, 1)[0].sum(dtype=np.float64))


def with_sklearn(x: np.ndarray, start: np.ndarray) -> float:
    """Return the inertia of scikit-learn's Lloyd."""
    return float(KMeans(len(start), init=start, n_init=1, max_iter=MOVES, tol=0, algorithm="lloyd").fit(x).inertia_)


def lloyds() -> list[Line]:
    """Return CPU seconds of ten moves: ours against both."""
    found = []
    for n, d, k in SHAPES:
        x = vectors(n, d)
        start = x[np.random.default_rng(1).choice(n, k, replace=False)]
        ours, faisss, sklearns = cpu_seconds(
            lambda x=x, start=start: lloyd(x, start, MOVES, 0.0),
            lambda x=x, start=start: with_faiss(x, start),
            lambda x=x, start=start: with_sklearn(x, start),
        )
        inertia = lloyd(x, start, MOVES, 0.0).inertia[-1]
        share = inertia / with_faiss(x, start)
        found.append(line(f"Lloyd {n} x {d}, k={k} / faiss, s ({share:.6f})", ours, faisss, 1 / 1.15))
        found.append(line(f"Lloyd {n} x {d}, k={k} / scikit-learn, s", ours, sklearns, 1 / 1.1))
    return found


def assignment() -> list[Line]:
    """Return CPU milliseconds per 50 000 rows: cluster and exact distance against the bare matrix product."""
    n, d, k = SHAPES[0]
    x = vectors(n, d)
    nearest = Nearest(x[:k])
    turned = np.ascontiguousarray(x[:k].T)

    def product() -> None:
        out = np.empty((2048, k), np.float32)
        for start in range(0, n, 2048):
            part = x[start : start + 2048]
            np.matmul(part, turned, out=out[: len(part)])

    ours, bare = cpu_seconds(lambda: nearest(x), product)
    return [line("assignment / bare matrix product, ms", ours * 1e3, bare * 1e3, 0.7)]


def start() -> list[Line]:
    """Return CPU seconds of greedy k-means++ on 10 000 rows: ours against scikit-learn's."""
    x = vectors(10_000, 256)
    ours, theirs = cpu_seconds(lambda: plus_plus(x, 500, 0), lambda: kmeans_plusplus(x, 500, random_state=0))
    return [line("k-means++ 10000 x 256, k=500 / scikit-learn, s", ours, theirs, 0.9)]


def main() -> list[Line]:
    """Print one line a case and return the lines."""
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        found = [*lloyds(), *assignment(), *start()]
    print(table(found))
    return found


if __name__ == "__main__":
    main()
