"""Which pool makes which selector help: six planted pools, seven selectors, 5 % of the bytes, ten seeds.

`python -m tests.bench regimes`. Pools of 4 000 rows (tests/bench/pools.py) of each corpus at hand; selections of equal
bytes, judged by byte 5-gram models on held-out rows of every task (tests/bench/judging.py). Random is the mean of three
draws; how its bits fall with its bytes is read from one of them. Tables, with pools as columns: bits per byte averaged
over tasks, minus random; minus random rows of the same lengths; the first by the shares of the pool's clean rows; how
many times the bytes random rows need for the same (.5 to 4); macro recall of a ridge classifier of tasks on the
selected rows, minus random; rows; the first minus facility_location's on the same pool. Means over ten pools with their
95 % t-interval, in bold where it leaves out 0, or 1. Negative bits are better. The first table is drawn in
build/regimes_<corpus>.svg.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeClassifier
from threadpoolctl import threadpool_limits

from tests.bench.corpus import Corpus, at_hand, corpus
from tests.bench.judging import TIMES, cell, interval, judge_of, length_matched, markdown, rows_within, sizes_of, worth
from tests.bench.lines import Line, in_processes
from tests.bench.orders import orders, vectors
from tests.bench.plots import by_group
from tests.bench.pools import KINDS, Pool, mix, planted

SEEDS, SHARE, DRAWS = 10, 0.05, 3
Array = np.ndarray[Any, np.dtype[Any]]
Job = tuple[str, str, int]
HEADS = (
    *("bits minus random", "bits minus random of the same lengths", "bits minus random, the pool's mix"),
    *("worth, times the bytes", "macro recall minus random", "rows"),
)


def recall(x: Array, tasks: Array, rows: Array, held_out: tuple[Array, Array]) -> float:
    """Return the macro recall on held-out (vectors, tasks) of a classifier that learnt the tasks of some rows."""
    known, task = held_out
    rows = rows[np.isin(tasks[rows], task)]
    hit = RidgeClassifier(alpha=0.3).fit(x[rows], tasks[rows]).predict(known) == task
    return float(np.mean([hit[task == name].mean() for name in np.unique(task)]))


def measured(pool: Pool, of: Corpus, share: float, seed: int) -> dict[str, Array]:
    """Return HEADS by selector, on one pool."""
    x, sizes, judge = vectors(pool.texts), sizes_of(pool.texts), judge_of(of.name)
    budget, weight = int(share * sizes.sum()), mix(pool, judge.names)
    known = (
        vectors([text for texts in of.held_out.values() for text in texts]),
        np.repeat(judge.names, [len(texts) for texts in of.held_out.values()]),
    )
    draws = [np.random.default_rng([seed, i]).permutation(len(x)) for i in range(DRAWS)]
    by_draw = np.array([judge(pool.texts, order, budget) for order in draws])
    random, first = by_draw.mean(axis=0), by_draw[0].mean()
    of_first = [first if times == 1 else judge(pool.texts, draws[0], int(times * budget)).mean() for times in TIMES]
    curve = np.array(of_first) + random.mean() - first  # the other draws move it
    random_recall = np.mean([recall(x, pool.tasks, rows_within(sizes, order, budget), known) for order in draws])
    found = {}
    for name, order in orders(x, pool.texts, share, seed).items():
        bits, rows = judge(pool.texts, order, budget), rows_within(sizes, order, budget)
        twin = judge(pool.texts, length_matched(sizes, rows, np.random.default_rng([seed, 61])), budget)
        times = np.log(worth(float(bits.mean()), curve))
        seen = recall(x, pool.tasks, rows, known) - random_recall
        gap = bits - random
        found[name] = np.array([gap.mean(), (bits - twin).mean(), weight @ gap, times, seen, len(rows)])
    return found


def of_job(job: Job) -> tuple[Job, dict[str, Array]]:
    """Measure the pool of (corpus, kind, seed)."""
    name, kind, seed = job
    with threadpool_limits(1):
        return job, measured(planted(corpus(name), kind, seed), corpus(name), SHARE, seed)


def worths(values: Array) -> str:
    """Return mean and interval of logarithms as factors, in bold where they leave out 1."""
    mean, half = interval(values)
    low, middle, high = np.exp([mean - half, mean, mean + half])
    said = f"{middle:.2f} [{low:.2f}, {high:.2f}]"
    return f"**{said}**" if low > 1 or high < 1 else said


def report(results: list[tuple[Job, dict[str, Array]]]) -> None:
    """Print a table for each corpus and measure."""
    for name in dict.fromkeys(job[0] for job, _ in results):
        own = {kind: [found for job, found in results if job[:2] == (name, kind)] for kind in KINDS}
        own = {kind: of_kind for kind, of_kind in own.items() if of_kind}
        pools = min(len(of_kind) for of_kind in own.values())
        for i, what in enumerate((*HEADS, "bits minus facility_location")):
            rows = []
            for selector in next(iter(own.values()))[0]:
                columns = [of_selector(of_kind, selector, i) for of_kind in own.values()]
                shown = {3: worths, 5: lambda values: f"{values.mean():.0f}"}.get(i, cell)
                rows.append([selector, *map(shown, columns)])
            print(f"\n{name}, {pools} pools of each kind\n\n{markdown([what, *own], rows)}", flush=True)


def of_selector(pools: list[dict[str, Array]], selector: str, i: int) -> Array:
    """Return a measure by pool; beyond HEADS, the first one less that of facility_location on the same pool."""
    if i < len(HEADS):
        return np.array([found[selector][i] for found in pools])
    return np.array([found[selector][0] - found["facility_location"][0] for found in pools])


def drawn(results: list[tuple[Job, dict[str, Array]]], folder: Path) -> None:
    """Draw bits minus random by pool and selector, a figure a corpus; top_k of entropy, the worst, is left out."""
    for name in dict.fromkeys(job[0] for job, _ in results):
        values: dict[str, dict[str, Array]] = {}
        for kind in KINDS:
            own = [found for job, found in results if job[:2] == (name, kind)]
            values[kind] = {s: np.array([found[s][0] for found in own]) for s in own[0] if s != "top_k of entropy"}
        title = f"Bits per byte minus random, {SHARE:.0%} of the bytes, pools of {name}"
        by_group(values, title, "lower is better", folder / f"regimes_{name}.svg")


def main() -> list[Line]:
    """Print the tables and draw; there are no bars, so there are no lines."""
    jobs = [(name, kind, seed) for name in at_hand() for kind in KINDS for seed in range(SEEDS)]
    results = in_processes(of_job, jobs)
    report(results)
    drawn(results, Path("build"))
    return []


if __name__ == "__main__":
    main()
