"""Sensitivity sampling on real text and three real losses: error of the estimated total against uniform draws.

`OMP_NUM_THREADS=1 python -m tests.bench.bench_sensitivity`; needs ../shared/data beside the checkout, fingerprints and
asserts nothing. A row of the table is a loss and an L: R2 of the loss by cluster (of all rows, and as 5 probes a
cluster say it), relative error in % (sd of 200 estimates from 1 000 draws), its ratio to uniform's, the exact ratio
sqrt(Var(l / p) / Var(n l)), the same at equal cost (uniform gets the losses of centres and probes as draws more), the
bias of the 200, and the largest weight over n / s.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import wordllama
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from threadpoolctl import threadpool_limits

from lakesift.udfs.kernels import sensitivity as ss
from lakesift.udfs.kernels.compression import ratio
from tests.bench.lines import Line, line, table
from tests.udfs.kernels import twins_sensitivity as twin

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ROWS, CLUSTERS, DRAWS, REPEATS, PROBES = 20_000, 500, 1_000, 200, 5


def pool() -> tuple[list[str], list[str]]:
    """Return texts and tasks of an even sample of ROWS rows, by seeded draw, of those with any text."""
    rows = []
    for path in sorted([*DATA.glob("gpteacher/*.jsonl.gz"), *DATA.glob("flan_cot/*.jsonl.gz")]):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows += [json.loads(one) for one in lines]
    order = np.argsort(ss.draws(11, len(rows)), kind="stable")
    chosen = [rows[i] for i in sorted(order[:ROWS])]
    texts = ["\n".join(filter(None, (r["instruction"], r["input"], r["output"]))) for r in chosen]
    return texts, [r["task"] for r in chosen]


def embedded(texts: list[str]) -> Any:
    """Return float32 (n, 256) of length 1."""
    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    return np.ascontiguousarray(model.embed(texts, norm=True), dtype=np.float32)


def clustered(x: Any) -> tuple[Any, Any, Any]:
    """Return centre rows, each row's cluster and its squared distance, from k-means with nearest members as centres."""
    d = x.shape[1]
    fit = faiss.Kmeans(d, CLUSTERS, niter=15, seed=1, max_points_per_centroid=10**9, min_points_per_centroid=1)
    fit.train(x)
    everything = faiss.IndexFlatL2(d)
    everything.add(x)
    centres = np.unique(everything.search(fit.centroids, 1)[1][:, 0])
    places = faiss.IndexFlatL2(d)
    places.add(x[centres])
    cluster = places.search(x, 1)[1][:, 0]
    cluster[centres] = np.arange(len(centres))  # of equal rows each stays its own centre
    distance_sq = ((x.astype(np.float64) - x[centres][cluster].astype(np.float64)) ** 2).sum(axis=1)
    return centres, cluster, distance_sq


def unigram_nll(texts: list[str]) -> Any:
    """Return nats a word under the pool's word counts, the row's own left out; one added to every count."""
    bags = [Counter(re.findall(r"\w+|[^\w\s]+", text.lower())) for text in texts]
    counts: Counter[str] = Counter()
    for bag in bags:
        counts.update(bag)
    total, kinds = counts.total(), len(counts) + 1
    found = []
    for bag in bags:
        rest = math.log(total - bag.total() + kinds)
        nats = (m * (rest - math.log(counts[w] - m + 1)) for w, m in bag.items())
        found.append(math.fsum(nats) / max(bag.total(), 1))
    return np.array(found)


def classifier_loss(x: Any, tasks: list[str]) -> Any:
    """Return -ln p(task) by logistic regression on the vectors, in 5 folds."""
    labels, of = np.unique(tasks, return_inverse=True)
    model = LogisticRegression(C=10.0, max_iter=100, tol=1e-3)
    p = cross_val_predict(model, x, of, cv=5, method="predict_proba")
    assert p.shape == (len(tasks), len(labels))
    return -np.log(np.maximum(p[np.arange(len(of)), of], 1e-12))


def sd(p: Any, loss: Any) -> tuple[float, float, float]:
    """Return relative sd and bias of REPEATS estimates from DRAWS draws, and the exact relative sd."""
    w, total = twin.weights(p, DRAWS), loss.sum()
    found = np.array([twin.estimate(loss, w, twin.sample(p, seed, DRAWS)) for seed in range(REPEATS)]) / total
    drawn = p > 0
    exact = math.sqrt((loss[drawn] ** 2 / p[drawn]).sum() / total**2 - (loss[drawn].sum() / total) ** 2)
    return float(found.std(ddof=1)), float(found.mean() - 1), exact / math.sqrt(DRAWS)


def r2(loss: Any, cluster: Any) -> float:
    """Return the share of the variance between clusters, of all rows, with the degrees of freedom taken off."""
    size = np.bincount(cluster)
    mean = np.bincount(cluster, loss) / np.maximum(size, 1)
    within = ((loss - mean[cluster]) ** 2).sum() / (len(loss) - np.count_nonzero(size))
    return float(1 - within / loss.var(ddof=1))


def compare(name: str, loss: Any, centres: Any, cluster: Any, distance_sq: Any) -> list[Line]:
    """Print one row for each L and return the errors in % as lines against uniform."""
    order = np.lexsort([ss.draws(5, len(loss)), cluster])
    order = order[~np.isin(order, centres)]
    place = np.arange(len(order)) - np.searchsorted(cluster[order], cluster[order])
    probe = order[place < PROBES]
    known = (loss[centres], loss[probe], cluster[probe])
    uniform, _, exact_uniform = sd(np.full(len(loss), 1 / len(loss)), loss)
    whole, guess = r2(loss, cluster), ss.explained(*known, np.bincount(cluster))
    print(f"{name:16} uniform      R2 {whole:5.2f} ({guess:5.2f} by probes)  error {100 * uniform:5.2f} %", flush=True)
    lines = []
    for z in (2, 1):
        limits = {"0": 0.0} if z == 2 else {}
        for how in ("cluster", "global"):
            limits[f"{how}, z={z}"] = ss.lipschitz_from_probes(*known, distance_sq[probe], z, how)
        for label, lipschitz in limits.items():
            for mixing in (0.0, 0.1):
                p = twin.probabilities(twin.scores(loss[centres], cluster, distance_sq, lipschitz, z), mixing)
                error, bias, exact = sd(p, loss)
                paid = DRAWS + len(centres) + (len(probe) if label != "0" else 0)
                even = exact / exact_uniform * math.sqrt(paid / DRAWS)
                spread = 1 / (p[p > 0].min() * len(loss))
                print(
                    f"{name:16} L {label:12} b {mixing:.1f}  error {100 * error:5.2f} %  ratio {error / uniform:5.2f}  "
                    f"exact {exact / exact_uniform:5.2f}  equal cost {even:5.2f}  bias {100 * bias:6.2f} %  "
                    f"largest weight {spread:8.1f}",
                    flush=True,
                )
                if mixing == 0:
                    lines.append(line(f"{name}, L {label} / uniform, error %", 100 * error, 100 * uniform, 1.0))
    return lines


def main() -> list[Line]:
    """Print one row a loss and L; return the errors as lines (none without the data)."""
    if not DATA.is_dir():
        print(f"needs {DATA}")
        return []
    with threadpool_limits(int(os.environ.get("OMP_NUM_THREADS", "1"))):
        faiss.omp_set_num_threads(1)
        texts, tasks = pool()
        x = embedded(texts)
        cells = clustered(x)
        print(f"{len(texts)} rows, {len(cells[0])} clusters, {PROBES} probes each, {DRAWS} draws, {REPEATS} repeats")
        losses = {
            "unigram NLL": unigram_nll(texts),
            "compression": ratio(texts),
            "classifier": classifier_loss(x, tasks),
        }
        lines = [made for name, loss in losses.items() for made in compare(name, loss, *cells)]
    print(table(lines))
    return lines


if __name__ == "__main__":
    main()
