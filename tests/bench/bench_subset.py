"""Evaluation subsets against uniform draws: the error of the mean of five losses from 500 rows, over ten pools.

`python -m tests.bench subset`. Pools of 8 000 rows of the standard library's functions and topics, generated questions
of 25 families and word problems, out of packages. wordllama vectors, 25 clusters; the quotas, weights and estimates of
`kmeans_random` with `strata: true`, its kernels called in memory, 200 draws a pool. Losses: bits per byte of a byte
model that read HumanEval and word problems alone, the same in bits per row, 0 or 1 for a classifier of the family that
errs, 0 or 1 for a word problem among the costlier half of its kind (a rare failure), the compression ratio.

A line is a loss: R2 by cluster; the standard deviation of the mean over that of as many uniform draws, as sqrt(1 - R2)
predicts it and as found; uniform draws for one of ours; share of 95 % intervals that hold the mean; bias over uniform's
deviation. Means over ten pools with their 95 % t-interval.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import cross_val_predict

from lakesift.jobs.ranking.quota import allocation
from lakesift.jobs.sources.samples import SAMPLES
from lakesift.udfs.kernels import compression
from lakesift.udfs.kernels.kmeans import lloyd
from lakesift.udfs.kernels.kmeans_start import plus_plus
from lakesift.udfs.kernels.nearest_centroid import Nearest
from lakesift.udfs.kernels.ngram_model import NgramModel, fit, probabilities
from lakesift.udfs.kernels.stratified_estimate import estimate
from lakesift.udfs.scores.embedding import Embedding
from tests.bench.lines import Line, line, table
from tests.texts import human_eval

SEEDS, POOL, CLUSTERS, ROWS, DRAWS = 10, 8_000, 25, 500, 200
#: Half width of a 95 % interval in standard errors, nine degrees of freedom.
T = 2.262
Array = np.ndarray[Any, np.dtype[Any]]


def corpus() -> tuple[list[str], Array]:
    """Return texts, cut at 2 000 characters, and their families; library functions are one for each first letter."""
    found = {}
    for sample in ("python_stdlib", "mixed_word_problems"):
        for row in SAMPLES[sample].rows():
            family = str(row.get("family") or f"{row['kind']} {str(row['module'])[0]}")
            found.setdefault(str(row["text"])[:2_000], family)
    return list(found), np.array(list(found.values()))


def losses(texts: list[str], family: Array, x: Array, model: NgramModel) -> dict[str, Array]:
    """Return five losses of each row."""
    raw = [text.encode("utf-8", "replace") for text in texts]
    size = np.array([len(body) for body in raw])
    bits = np.add.reduceat(-np.log2(probabilities(model, raw)), np.cumsum(size) - size)
    names, counts = np.unique(family, return_counts=True)
    label = np.where(np.isin(family, names[counts < 3]), "few", family)
    wrong = cross_val_predict(RidgeClassifier(alpha=1.0), x, label, cv=3) != label
    problem = family == "gsm_symbolic"
    rare = problem & (bits / size > np.median((bits / size)[problem]))
    return {
        "bits per byte": bits / size,
        "bits per row": bits,
        "classifier errs": wrong.astype(float),
        "rare failure": rare.astype(float),
        "compression ratio": np.asarray(compression.ratio(texts)),
    }


def drawn(cluster: Array, draw: np.random.Generator) -> tuple[Array, Array]:
    """Return the rows of a subset and their weights, as `kmeans_random` with strata draws them."""
    size = np.bincount(cluster)
    number = allocation(size, size.astype(float), 1 - draw.random(len(size)), ROWS, least=2)
    order = np.lexsort((draw.random(len(cluster)), cluster))
    place = np.arange(len(order)) - (np.cumsum(size) - size)[cluster[order]]
    rows = order[place < number[cluster[order]]]
    return rows, (size / number)[cluster[rows]]


def of_loss(loss: Array, cluster: Array, draws: list[tuple[Array, Array]]) -> Array:
    """Return R2, predicted and found ratio, uniform draws for one, coverage, bias."""
    found = [estimate(loss[rows], cluster[rows], weights) for rows, weights in draws]
    means = np.array([e.mean for e in found])
    size = np.bincount(cluster)
    within = loss - (np.bincount(cluster, loss) / size)[cluster]
    r2 = 1 - float((within**2).mean() / loss.var())
    uniform = loss.std(ddof=1) * math.sqrt((1 - ROWS / len(loss)) / ROWS)
    ratio = float(np.sqrt(((means - loss.mean()) ** 2).mean())) / uniform
    covered = float(np.mean([e.low <= loss.mean() <= e.high for e in found]))
    return np.array([r2, math.sqrt(1 - r2), ratio, ratio**-2, covered, (means.mean() - loss.mean()) / uniform])


def main() -> list[Line]:
    """Print the table; return the errors as lines against uniform draws."""
    texts, family = corpus()
    vectors = Embedding().kernel()(texts)
    keep = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    known = [*human_eval(164), *(str(row["text"]) for row in SAMPLES["word_problems"].rows())]
    model = fit([text.encode() for text in known])
    made: dict[str, list[Array]] = {}
    for seed in range(SEEDS):
        draw = np.random.default_rng(2_000 + seed)
        pool = draw.choice(keep, POOL, replace=False)
        x = np.ascontiguousarray(vectors[pool])
        cluster = Nearest(lloyd(x, x[plus_plus(x[: 20 * CLUSTERS], CLUSTERS, seed)]).centroids).clusters(x)
        cluster = np.unique(cluster, return_inverse=True)[1]
        draws = [drawn(cluster, draw) for _ in range(DRAWS)]
        for name, loss in losses([texts[i] for i in pool], family[pool], x, model).items():
            made.setdefault(name, []).append(of_loss(loss, cluster, draws))
    heads = ("R2", "predicted", "found", "uniform draws for one", "coverage", "bias")
    print("loss".ljust(20) + "".join(f"{head:>24}" for head in heads))
    lines = []
    for name, values in made.items():
        mean, half = np.mean(values, axis=0), T * np.std(values, axis=0, ddof=1) / math.sqrt(SEEDS)
        print(name.ljust(20) + "".join(f"{m:+15.3f} +- {h:5.3f}" for m, h in zip(mean, half, strict=True)), flush=True)
        lines.append(line(f"{name}: sd of the mean, uniform = 1", float(mean[2]), 1.0, 1.0))
    print(table(lines))
    return lines


if __name__ == "__main__":
    main()
