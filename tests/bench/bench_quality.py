"""When a quality column does anything: the lift that weights can give, and which way to use it removes junk.

`python -m tests.bench quality`. Ten pools of 4 000 rows of each corpus at hand, a fifth of them junk (tests/bench/
pools.py), 5 % of the rows or bytes. A draw in proportion to q inside clusters has the mean E[q^2] / E[q] = mean (1 +
CV^2): the first table says what that predicts for kmq with linear weights, and what was found. The second has, against
`kmeans_random` on the same pool, junk among the rows (in points), and bits per byte at equal bytes averaged over tasks.
The judges are simulated: 1 to 5, clean rows 4 +- .8, junk 2.5 +- .8, or 3.5 +- .8 for the weak one; the rest are scores
that LakeSift has. QDIT is the second stage of `coverage` with the quality at alpha .5. Means over pools with their 95 %
t-interval; a star where it leaves out 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from lakesift.udfs.kernels.compression import ratio
from lakesift.udfs.kernels.facility_location import facility_location
from lakesift.udfs.scores.information_entropy import InformationEntropy
from lakesift.udfs.scores.length import LengthTokens
from tests.bench.corpus import at_hand, corpus
from tests.bench.judging import cell, in_turn, judge_of, sizes_of
from tests.bench.lines import Line, in_processes
from tests.bench.orders import clusters, coverage, vectors
from tests.bench.pools import Pool, planted

SEEDS, SHARE, ALPHA = 10, 0.05, 0.5
Array = np.ndarray[Any, np.dtype[Any]]
Job = tuple[str, int]
#: By column: predicted and found lift of its mean in percent, and CV; by (column, way): junk in points, and bits.
Found = tuple[dict[str, Array], dict[tuple[str, str], Array]]


def qualities(pool: Pool, draw: np.random.Generator) -> dict[str, Array]:
    """Return five columns of quality, larger is better, none below 0."""

    def judged(of_junk: float) -> Array:
        return np.clip(np.where(pool.original, 4.0, of_junk) + 0.8 * draw.normal(size=len(pool.texts)), 1, 5)

    return {
        "word entropy": np.nan_to_num(InformationEntropy().kernel()(pool.texts)),
        "tokens": np.asarray(LengthTokens().kernel()(pool.texts), float),
        "compression ratio": np.asarray(ratio(pool.texts)),
        "judge": judged(2.5),
        "weak judge": judged(3.5),
    }


def lifted(q: Array, cluster: Array) -> float:
    """Return the mean that draws in proportion to q reach inside clusters, each with its share of rows, over q's mean.

    Examples
    --------
    >>> lifted(np.array([1.0, 3.0, 2.0, 2.0]), np.array([0, 0, 1, 1]))
    1.125
    """
    size = np.bincount(cluster)
    first, second = np.bincount(cluster, q), np.bincount(cluster, q**2)
    reached = np.divide(second, first, out=np.zeros(len(size)), where=first > 0)
    return float(size @ reached / len(q) / q.mean())


def blind(x: Array, cluster: Array, by_lot: Array, most: int, seed: int) -> dict[str, Array]:
    """Return orders that read no quality."""
    return {
        "kmeans_random": in_turn(cluster, np.argsort(by_lot), np.bincount(cluster), np.random.default_rng([seed, 6])),
        "facility_location": facility_location(x, most).order,
        "coverage": coverage(x, cluster, by_lot, most),
    }


def by_quality(x: Array, q: Array, cluster: Array, by_lot: Array, most: int, seed: int) -> Iterator[tuple[str, Array]]:
    """Yield ways to use a quality and their orders."""
    draw = np.random.default_rng([seed, 5])
    drawn = draw.exponential(size=len(q)) / np.maximum(q, 1e-12)
    yield "kmq, linear", in_turn(cluster, drawn, np.bincount(cluster), np.random.default_rng([seed, 6]))
    yield "top_k", np.lexsort((np.argsort(by_lot), -q))
    yield "coverage by QDIT", coverage(x, cluster, by_lot, most, q, ALPHA)


def of_pool(job: Job) -> Found:
    """Measure the pool of (corpus, seed)."""
    name, seed = job
    pool, judge, draw = planted(corpus(name), "junk", seed), judge_of(name), np.random.default_rng(seed)
    with threadpool_limits(1):
        x, by_lot, most = vectors(pool.texts), draw.permutation(len(pool.texts)), len(pool.texts) // 2
        cluster, budget = clusters(x, seed), int(SHARE * sizes_of(pool.texts).sum())
        rows = round(SHARE * len(pool.texts))

        def measured(order: Array) -> Array:
            junk = 100 * float(np.mean(~pool.original[order[:rows]]))
            return np.array([junk, judge(pool.texts, order, budget).mean()])

        plain = {way: measured(order) for way, order in blind(x, cluster, by_lot, most, seed).items()}
        lifts, gains = {}, {("none", way): found - plain["kmeans_random"] for way, found in plain.items()}
        gains["none", "kmeans_random"] = plain["kmeans_random"]  # itself
        for column, q in qualities(pool, draw).items():
            for way, order in by_quality(x, q, cluster, by_lot, most, seed):
                gains[column, way] = measured(order) - plain["kmeans_random"]
                if way == "kmq, linear":
                    found = q[order[:rows]].mean() / q.mean() - 1
                    lifts[column] = np.array([100 * (lifted(q, cluster) - 1), 100 * found, q.std() / q.mean()])
    return lifts, gains


def report(results: list[tuple[Job, Found]]) -> None:
    """Print both tables for each corpus."""
    for name in dict.fromkeys(job[0] for job, _ in results):
        own = [found for job, found in results if job[0] == name]
        heads = "".join(f"{head:>20}" for head in ("predicted, %", "found, %", "CV"))
        print("\n" + f"{name}: lift of the mean by linear weights".ljust(44) + heads)
        for column in own[0][0]:
            cells = [cell([lifts[column][i] for lifts, _ in own], 1 + (i == 2), 20) for i in range(3)]
            print(column.ljust(44) + "".join(cells), flush=True)
        print("\n" + f"{name}: minus kmeans_random".ljust(44) + "".join(f"{h:>20}" for h in ("junk, points", "bits")))
        for column, way in own[0][1]:
            cells = [cell([gains[column, way][i] for _, gains in own], 1 + 2 * i, 20) for i in range(2)]
            print(f"{way}, quality {column}".ljust(44) + "".join(cells), flush=True)


def main() -> list[Line]:
    """Print the tables; they have no bars, so there are no lines."""
    jobs = [(name, seed) for name in at_hand() for seed in range(SEEDS)]
    report(list(zip(jobs, in_processes(of_pool, jobs), strict=True)))
    return []


if __name__ == "__main__":
    main()
