"""Selections of real text by tasks that no selector saw, and mean quality: paired with random over ten pools.

`python -m tests.bench tasks`. Pools of 4 000 rows of gpteacher and flan_cot (../shared/data beside the checkout), ten
tasks; wordllama vectors, 50 clusters, quality = windowed word entropy, loss of the sensitivity sampler = compression
ratio. A line is the mean over ten pools of (method - random) with its 95 % t-interval; an interval that holds 0 claims
nothing. The selectors' kernels are called in memory, as the selectors call them.
"""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np

from lakesift.jobs.ranking.quota import quota
from lakesift.udfs.kernels import compression, sensitivity
from lakesift.udfs.kernels.facility_location import facility_location
from lakesift.udfs.kernels.k_center import k_center
from lakesift.udfs.kernels.kmeans import lloyd
from lakesift.udfs.kernels.kmeans_start import plus_plus
from lakesift.udfs.kernels.nearest_centroid import Nearest
from lakesift.udfs.scores.embedding import Embedding
from lakesift.udfs.scores.information_entropy import InformationEntropy
from tests.bench.lines import Line
from tests.udfs.kernels import twins_sensitivity as twin

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ROWS, SEEDS, CLUSTERS, SHARES, PROBES = 4_000, 10, 50, (0.01, 0.05, 0.10), 5
#: Half width of a 95 % interval in standard errors, nine degrees of freedom.
T = 2.262


def rows() -> tuple[list[str], np.ndarray]:
    """Return texts and tasks."""
    found = []
    for path in sorted([*DATA.glob("gpteacher/*.jsonl.gz"), *DATA.glob("flan_cot/*.jsonl.gz")]):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found += [json.loads(line) for line in lines]
    texts = ["\n".join(filter(None, (r["instruction"], r["input"], r["output"]))) for r in found]
    return texts, np.array([r["task"] for r in found])


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


def main() -> list[Line]:
    """Print the table; it has no bars, so there are no lines."""
    if not DATA.is_dir():
        print("bench_tasks needs ../shared/data beside the checkout: left out")
        return []
    texts, task = rows()
    entropy = InformationEntropy().kernel()(texts)
    kept = np.flatnonzero(np.isfinite(entropy))
    texts, task, entropy = [texts[i] for i in kept], task[kept], entropy[kept]
    vectors, loss = Embedding().kernel()(texts), compression.ratio(texts)
    gaps: dict[tuple[str, float], list[np.ndarray]] = {}
    for seed in range(SEEDS):
        draw = np.random.default_rng(seed)
        pool = draw.choice(len(texts), ROWS, replace=False)
        x, t, quality = np.ascontiguousarray(vectors[pool]), task[pool], entropy[pool]
        found = lloyd(x, x[plus_plus(x[: CLUSTERS * 20], CLUSTERS, seed)])
        cluster = Nearest(found.centroids).clusters(x)
        most = int(max(SHARES) * ROWS)
        far, cover = k_center(x, most).order, facility_location(x, most).order
        for share in SHARES:
            budget = round(share * ROWS)
            picks = {
                "kmq": kmq(cluster, quality, budget, draw),
                "sensitivity": drawn(x, found.centroids, loss[pool], budget, seed),
                "facility_location": cover[:budget],
                "k_center": far[:budget],
            }
            random = np.array(measured(draw.choice(ROWS, budget, replace=False), t, quality))
            gaps.setdefault(("random itself", share), []).append(random)
            for name, chosen in picks.items():
                gaps.setdefault((name, share), []).append(np.array(measured(chosen, t, quality)) - random)
    heads = ("tasks covered", "task entropy, bits", "mean quality, bits")
    print("minus random, mean of 10 pools".ljust(32) + " ".join(f"{h:>20}" for h in heads))
    for (name, share), values in sorted(gaps.items(), key=lambda item: item[0][1]):
        mean, half = np.mean(values, axis=0), T * np.std(values, axis=0, ddof=1) / math.sqrt(SEEDS)
        cells = " ".join(f"{m:+11.3f} +- {h:5.3f}" for m, h in zip(mean, half, strict=True))
        print(f"{name} {share:.0%}".ljust(32) + cells)
    return []


if __name__ == "__main__":
    main()
