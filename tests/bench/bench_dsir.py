"""DSIR weights against the functions of data-selection 1.0.3 in one run: CPU per byte, printed, never asserted.

`OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m tests.bench.bench_dsir`. Theirs is `get_ngram_counts` and the dot
product row by row, one process. Ours cold has seen nothing, not even the classes of characters; warm has seen these
rows once. CPU is the least of three, taken in turns.
"""

from __future__ import annotations

import numpy as np
from data_selection.hashed_ngram_dsir import get_ngram_counts

from lakesift.udfs.kernels import word_classes
from lakesift.udfs.kernels.ngram_buckets import NgramBuckets
from tests.bench.bench_kernels import cpu_seconds
from tests.bench.lines import Line, line, table
from tests.texts import functions, stitched

BUCKETS = 10_000


def weights() -> list[Line]:
    """Return CPU in nanoseconds per byte of text: cold and warm, functions of all lengths and rows of one length."""
    found = []
    for name, rows in (("functions", functions(3000)), ("430 chars", stitched(430, 3000))):
        scale = 1e9 / sum(len(row.encode()) for row in rows)
        ratios = np.random.default_rng(0).normal(size=BUCKETS)
        warm = NgramBuckets(BUCKETS)
        warm.sums(rows, ratios)

        def cold(rows: list[str] = rows, ratios: np.ndarray = ratios) -> np.ndarray:
            word_classes.table.cache_clear()
            return NgramBuckets(BUCKETS).sums(rows, ratios)

        def theirs(rows: list[str] = rows, ratios: np.ndarray = ratios) -> np.ndarray:
            return np.array([np.dot(ratios, get_ngram_counts(row)) for row in rows])

        np.testing.assert_allclose(cold(), theirs(), rtol=1e-10)
        seconds = cpu_seconds(cold, lambda w=warm, x=rows, r=ratios: w.sums(x, r), theirs)
        first, again, package = (s * scale for s in seconds)
        found.append(line(f"dsir {name} cold / data-selection, ns/byte", first, package, 5.0))
        found.append(line(f"dsir {name} warm / data-selection, ns/byte", again, package, 12.0))
    return found


def main() -> list[Line]:
    """Print one line a case and return the lines."""
    found = weights()
    print(table(found))
    return found


if __name__ == "__main__":
    main()
