"""Selections of real text by tasks that no selector saw, and mean quality: paired with random over ten pools.

`python -m tests.bench tasks`. Pools of 4 000 rows of gpteacher and flan_cot (ten tasks), as they come and with one task
at 80 %, and of 2 000 rows of dolly_3k (eight categories), from ../shared/data beside the checkout. wordllama vectors,
50 clusters, quality = windowed word entropy, loss of the sensitivity sampler = compression ratio, tags = the pool's own
frequent terms. A line is the mean over ten pools of (method - random) with its 95 % t-interval; an interval that holds
0 claims nothing. The selectors' kernels are called in memory, as the selectors call them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from lakesift.jobs.ranking.quota import quota
from lakesift.udfs.kernels import compression, sensitivity
from lakesift.udfs.kernels.facility_location import facility_location
from lakesift.udfs.kernels.information_gain import information_gain
from lakesift.udfs.kernels.k_center import k_center
from lakesift.udfs.kernels.kmeans import lloyd
from lakesift.udfs.kernels.kmeans_start import plus_plus
from lakesift.udfs.kernels.label_gains import propagation
from lakesift.udfs.kernels.nearest_centroid import Nearest
from lakesift.udfs.scores.embedding import Embedding
from lakesift.udfs.scores.information_entropy import InformationEntropy
from lakesift.udfs.scores.tags import Tags
from tests.bench.lines import Line
from tests.texts import INSTRUCTED, SHARED, shared_rows
from tests.udfs.kernels import twins_sensitivity as twin

SEEDS, CLUSTERS, SHARES, PROBES = 10, 50, (0.01, 0.03, 0.10), 5
#: Half width of a 95 % interval in standard errors, nine degrees of freedom.
T = 2.262
#: Name, files, the column that is the task, rows of a pool, share of its most frequent task (0: as it comes).
SETS = (
    ("gpteacher and flan_cot", INSTRUCTED, "task", 4_000, 0.0),
    ("the same, one task at 80 %", INSTRUCTED, "task", 4_000, 0.8),
    ("dolly_3k", ("dolly_3k/dolly_3k",), "category", 2_000, 0.0),
)
Array = np.ndarray[Any, np.dtype[Any]]


def rows(files: tuple[str, ...], column: str) -> tuple[list[str], Array, Array]:
    """Return texts, tasks and quality of the rows that have one."""
    found = [row for name in files for row in shared_rows(name)]
    texts = ["\n".join(filter(None, (r["instruction"], r["input"], r["output"]))) for r in found]
    entropy = InformationEntropy().kernel()(texts)
    kept = np.flatnonzero(np.isfinite(entropy))
    return [texts[i] for i in kept], np.array([found[i][column] for i in kept]), entropy[kept]


def pool_of(task: Array, size: int, skew: float, draw: np.random.Generator) -> Array:
    """Return the rows of a pool: drawn from all, or so that the most frequent task has a share of `skew`."""
    if not skew:
        return draw.choice(len(task), size, replace=False)
    names, counts = np.unique(task, return_counts=True)
    first = task == names[counts.argmax()]
    many = draw.choice(np.flatnonzero(first), min(round(skew * size), int(first.sum())), replace=False)
    return np.concatenate([many, draw.choice(np.flatnonzero(~first), size - len(many), replace=False)])


def mig(texts: list[str], x: Array, quality: Array, budget: int) -> tuple[Array, Array]:
    """Return positions: information gain over tags, with the graph, which is fitted on the pool, and without."""
    columns = {"h": np.arange(len(texts)), "text": texts}
    model = Tags().fit(lambda fold, _: fold.add(fold.zero(), *(columns[name] for name in fold.reads)))
    tags = model.kernel()(x)

    def greedy(alpha: float) -> Array:
        graph = propagation(model.size, model.a, model.b, model.weight.astype(float), alpha)
        return information_gain(tags.values, tags.offsets, quality, graph, budget).order

    return greedy(1.0), greedy(0.0)


def kmq(cluster: np.ndarray, quality: np.ndarray, budget: int, draw: np.random.Generator) -> np.ndarray:
    """Return positions: every cluster's share, drawn by quality without replacement."""
    size = np.bincount(cluster, minlength=CLUSTERS)
    share = quota(size, size.astype(float), draw.random(CLUSTERS), budget)
    key = draw.exponential(size=len(cluster)) / np.maximum(quality, 1e-12)
    return np.concatenate(
        [np.flatnonzero(cluster == j)[np.argsort(key[cluster == j])[: share[j]]] for j in range(CLUSTERS)]
    )


def drawn(x: np.ndarray, centroids: np.ndarray, loss: np.ndarray, budget: int, seed: int) -> np.ndarray:
    """Return the distinct rows of a sensitivity sample with centres and probes paid for."""
    cluster, far = Nearest(centroids)(x)
    centre = np.array([np.flatnonzero(cluster == j)[far[cluster == j].argmin()] for j in range(CLUSTERS)])
    cluster, far = Nearest(x[centre])(x)
    draw = np.random.default_rng(seed)
    probes = np.concatenate([draw.permutation(np.flatnonzero(cluster == j))[:PROBES] for j in range(CLUSTERS)])
    bound = sensitivity.lipschitz_from_probes(loss[centre], loss[probes], cluster[probes], far[probes], 2)
    q = twin.scores(loss[centre], cluster, far, bound, 2)
    return np.flatnonzero(twin.sample(twin.probabilities(q, 0.1), seed, budget))


def measured(chosen: np.ndarray, task: np.ndarray, quality: np.ndarray) -> tuple[float, float, float]:
    """Return tasks covered, the entropy of the tasks in bits, mean quality."""
    share = np.unique(task[chosen], return_counts=True)[1] / len(chosen)
    return len(share), float(-(share * np.log2(share)).sum()), float(quality[chosen].mean())


def gaps_of(texts: list[str], task: Array, quality: Array, vectors: Array, pool: Array, seed: int) -> Iterator[Any]:
    """Yield (method, share) and what it has more than random, of one pool; of random itself what it has."""
    draw, size = np.random.default_rng(seed), len(pool)
    x, t, q, own = np.ascontiguousarray(vectors[pool]), task[pool], quality[pool], [texts[i] for i in pool]
    found = lloyd(x, x[plus_plus(x[: CLUSTERS * 20], CLUSTERS, seed)])
    cluster, loss, most = Nearest(found.centroids).clusters(x), compression.ratio(own), int(max(SHARES) * size)
    with_graph, without = mig(own, x, q, most)
    orders = {
        "mig": with_graph,
        "mig without a graph": without,
        "top quality": np.argsort(-q, kind="stable"),
        "facility_location": facility_location(x, most).order,
        "k_center": k_center(x, most).order,
    }
    for share in SHARES:
        budget = round(share * size)
        picks = {name: order[:budget] for name, order in orders.items()}
        picks["kmq"] = kmq(cluster, q, budget, draw)
        picks["sensitivity"] = drawn(x, found.centroids, loss, budget, seed)
        random = np.array(measured(draw.choice(size, budget, replace=False), t, q))
        changed = 1 - len(np.intersect1d(with_graph[:budget], without[:budget])) / budget
        yield ("picks of mig that the graph changes (share)", share), np.full(3, changed)
        yield ("random itself", share), random
        for name, chosen in picks.items():
            yield (name, share), np.array(measured(chosen, t, q)) - random


def main() -> list[Line]:
    """Print the tables; they have no bars, so there are no lines."""
    if not SHARED.is_dir():
        print("bench_tasks needs ../shared/data beside the checkout: left out")
        return []
    heads = ("tasks covered", "task entropy, bits", "mean quality, bits")
    for name, files, column, size, skew in SETS:
        texts, task, quality = rows(files, column)
        vectors = Embedding().kernel()(texts)
        gaps: dict[tuple[str, float], list[Array]] = {}
        for seed in range(SEEDS):
            pool = pool_of(task, size, skew, np.random.default_rng(1_000 + seed))
            for key, gap in gaps_of(texts, task, quality, vectors, pool, seed):
                gaps.setdefault(key, []).append(gap)
        print(f"{name}: minus random".ljust(44) + " ".join(f"{h:>20}" for h in heads))
        for (method, share), values in sorted(gaps.items(), key=lambda item: item[0][1]):
            mean, half = np.mean(values, axis=0), T * np.std(values, axis=0, ddof=1) / math.sqrt(SEEDS)
            cells = " ".join(f"{m:+11.3f} +- {h:5.3f}" for m, h in zip(mean, half, strict=True))
            print(f"{method} {share:.0%}".ljust(44) + cells, flush=True)
    return []


if __name__ == "__main__":
    main()
