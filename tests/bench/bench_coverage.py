"""Coverage kernels against their plain forms in one process: CPU ratios, printed, never asserted.

`python -m tests.bench.bench_coverage [million]`, one BLAS thread. k-center against farthest-first in float32, a pass a
pick; facility location on lists of neighbours and in cells against dense; the share of dense that each covers is in the
name of the line. `million` picks 10 000 of a million rows of 256 columns instead, in a process of its own, and prints
CPU seconds and peak memory, the matrix included; its bars are 90 s and 2 GB.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lakesift.udfs.kernels.facility_location import facility_location
from lakesift.udfs.kernels.k_center import k_center
from lakesift.udfs.kernels.near_duplicates import deita, semdedup
from lakesift.udfs.kernels.neighbours import make_cells
from tests.bench.bench_kernels import cpu_seconds
from tests.bench.lines import Line, line, table
from tests.udfs.kernels.twins_facility_location import objective

Matrix = NDArray[np.float32]


def embeddings(n: int, d: int = 256, groups: int = 500, seed: int = 0) -> Matrix:
    """Unit vectors around directions, with a spectrum that falls off as that of text embeddings; made in blocks."""
    draw = np.random.default_rng(seed)
    centres = 0.6 * draw.standard_normal((groups, d), dtype=np.float32)
    spectrum, X = np.exp(-np.arange(d) / 60).astype(np.float32), np.empty((n, d), np.float32)
    for a in range(0, n, 10_000):
        part = X[a : a + 10_000]
        part[:] = draw.standard_normal(part.shape, dtype=np.float32)
        part += centres[draw.integers(0, groups, len(part))]
        part *= spectrum
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return X


def farthest_first(X: Matrix, budget: int) -> list[int]:
    """The loop one would write."""
    square = np.einsum("ij,ij->i", X, X)
    nearest, order = square + square[0] - 2 * (X @ X[0]), [0]
    while len(order) < budget:
        order.append(int(nearest.argmax()))
        np.minimum(nearest, square + square[order[-1]] - 2 * (X @ X[order[-1]]), out=nearest)
    return order


def k_centers() -> list[Line]:
    """100 000 rows, 1000 picks."""
    X = embeddings(100_000)
    passes = k_center(X, 1000).passes
    ours, plain = cpu_seconds(lambda: k_center(X, 1000), lambda: farthest_first(X, 1000))
    return [line(f"k-center 100k x 256, b 1000, {passes} passes, s", ours, plain, 3.0)]


def facilities() -> list[Line]:
    """10 000 rows, 500 picks: each mode against dense."""
    X = embeddings(10_000)

    def covered(mode: str) -> float:
        return objective(X, facility_location(X, 500, mode=mode).order)

    dense = covered("dense")
    lines = []
    for mode in ("neighbours", "cells"):
        ours, rival = cpu_seconds(
            lambda mode=mode: facility_location(X, 500, mode=mode), lambda: facility_location(X, 500, mode="dense")
        )
        lines.append(line(f"facility 10k, {mode} {covered(mode) / dense:.4f} of dense, s", ours, rival, 1.0))
    return lines


def _dense_semdedup(X: Matrix, cells: NDArray[np.int32], order: NDArray[np.int64]) -> None:
    """The upper triangle of each cell's whole similarity matrix, as published code has it."""
    for cell in np.unique(cells):
        rows = order[cells[order] == cell]
        (np.triu(X[rows] @ X[rows].T, k=1).max(axis=0) <= 0.9).sum()


def _walk(X: Matrix, order: NDArray[np.int64], budget: int) -> None:
    """Deita's loop: one product with all kept rows a step."""
    kept, count = np.empty((budget, X.shape[1]), np.float32), 0
    for i in order:
        if count == budget:
            return
        if not count or (kept[:count] @ X[i]).max() <= 0.9:
            kept[count] = X[i]
            count += 1


def filters() -> list[Line]:
    """20 000 rows of which half are near others: SemDeDup in 20 cells, Deita's filter to 5000 rows."""
    X, draw = embeddings(20_000), np.random.default_rng(1)
    noise = draw.standard_normal((10_000, 256), dtype=np.float32)
    X[10_000:] = X[:10_000] + noise * draw.uniform(0, 0.06, (10_000, 1)).astype(np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    order, cells = draw.permutation(20_000), make_cells(X, 20)
    ours, plain = cpu_seconds(lambda: semdedup(X, cells, order, 0.9), lambda: _dense_semdedup(X, cells, order))
    lines = [line("semdedup 20k x 256, 20 cells, s", ours, plain, 0.6)]
    ours, plain = cpu_seconds(lambda: deita(X, order, 0.9, 5000), lambda: _walk(X, order, 5000))
    return [*lines, line("deita 20k x 256, b 5000, s", ours, plain, 1.0)]


def _million() -> tuple[float, float]:
    """Return CPU seconds of the selection and peak resident bytes of this process."""
    with threadpool_limits(1):
        X = embeddings(1_000_000, groups=2000)
        before = resource.getrusage(resource.RUSAGE_SELF)
        picks = facility_location(X, 10_000)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert len(np.unique(picks.order)) == 10_000
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, after.ru_maxrss * 1024


def million() -> list[Line]:
    """A million rows in mode cells, bars of 90 s and 2 GB as rivals."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        cpu, peak = pool.submit(_million).result()
    return [
        line("facility 1M x 256, cells, b 10k, cpu s", cpu, 90, 1.0),
        line("facility 1M x 256, cells, b 10k, peak GB", peak / 1e9, 2, 1.0),
    ]


def main() -> list[Line]:
    """Print one line a case and return the lines."""
    with threadpool_limits(1):
        found = [*k_centers(), *facilities(), *filters()]
    print(table(found))
    return found


if __name__ == "__main__":
    print(table(million())) if "million" in sys.argv[1:] else main()
