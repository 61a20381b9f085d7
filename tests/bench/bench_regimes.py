"""Which pool makes which selector help: six planted pools, seven selectors, 5 % of the bytes, ten seeds.

`python -m tests.bench regimes`. Pools of 4 000 rows (tests/bench/pools.py) of each corpus at hand; selections of equal
bytes, judged by byte 5-gram models on held-out rows of every task (tests/bench/judging.py). Random is the mean of three
draws; how its bits fall with its bytes is read from one of them. A table is a pool; its columns: bits per byte averaged
over tasks, minus random, and minus random rows of the same lengths; the same minus random by the shares of the pool's
clean rows; how many times the bytes random rows need (.5 to 4); macro recall of a ridge classifier of tasks on the
selected rows, minus random; rows. Means over ten pools with their 95 % t-interval; a star where it leaves out 0 (1 for
the bytes). Negative bits are better. The first column is drawn in build/regimes_<corpus>.svg.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeClassifier
from threadpoolctl import threadpool_limits

from tests.bench.corpus import Corpus, at_hand, corpus
from tests.bench.judging import TIMES, cell, interval, judge_of, length_matched, rows_within, sizes_of, worth
from tests.bench.lines import Line, in_processes
from tests.bench.orders import orders, vectors
from tests.bench.plots import by_group
from tests.bench.pools import KINDS, Pool, mix, planted

SEEDS, SHARE, DRAWS = 10, 0.05, 3
Array = np.ndarray[Any, np.dtype[Any]]
Job = tuple[str, str, int]
HEADS = ("- random", "- same lengths", "pool mix - random", "worth x bytes", "recall - random", "rows")


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


def report(results: list[tuple[Job, dict[str, Array]]]) -> None:
    """Print a table for each corpus and pool."""
    for name, kind in dict.fromkeys(job[:2] for job, _ in results):
        of_kind = [found for job, found in results if job[:2] == (name, kind)]
        title = f"{kind} of {name} ({len(of_kind)} pools)"
        print("\n" + title.ljust(34) + "".join(f"{head:>20}" for head in HEADS))
        for selector in of_kind[0]:
            values = np.array([found[selector] for found in of_kind])
            times = np.exp([values[:, 3].mean() + sign * interval(values[:, 3])[1] for sign in (-1, 0, 1)])
            worths = f"{times[1]:.2f} [{times[0]:.2f}, {times[2]:.2f}]" + (" *"[int(times[0] > 1 or times[2] < 1)])
            cells = [cell(values[:, i], width=20) for i in range(3)]
            cells += [worths.rjust(20), cell(values[:, 4], width=20), f"{values[:, 5].mean():20.0f}"]
            print(selector.ljust(34) + "".join(cells), flush=True)


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
