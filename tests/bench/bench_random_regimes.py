"""What the recipe `coverage` was worth on pools that nobody chose: the table that `lakesift advise` reads.

`python -m tests.bench random_regimes`. 80 pools of each corpus at hand, a seed each: skew of the tasks r^-a with a from
U(0, 2); copies, templates and junk each absent in every second pool, else up to .7, .5 and .3 of the rows; 1 500 or
4 000 rows; .5, 1, 2, 5 or 10 % of the bytes. Bits per byte (tests/bench/judging.py) minus the mean of three random
draws of the same pool, averaged over tasks; in brackets by the shares of the pool's clean rows. "Worse" is the share of
pools that random is better on by more than .01. Rows of the budget are its share of the rows.

First every selector on all pools, then `coverage` by corpus, then the table by the share of rows with a neighbour above
cosine .95 and rows of the budget, as lines of jobs/commands/advice/calibration.py; last what goes with its gain.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from tests.bench.corpus import at_hand, corpus
from tests.bench.judging import cell, interval, judge_of, sizes_of
from tests.bench.lines import Line, in_processes
from tests.bench.orders import near_share, orders, vectors
from tests.bench.pools import mix, random_regime

#: Seeds of the pools of a corpus; what is judged by the table takes others.
SEEDS, DRAWS, WORSE = range(1_000, 1_080), 3, 0.01
NAMES = ("coverage", "facility_location", "semdedup", "kmeans_random, equal", "k_center")
#: Shares of near rows and rows of the budget: from, below.
BANDS = (
    *(((0.0, 0.1), (50, np.inf)), ((0.1, 0.3), (50, np.inf)), ((0.3, 1.01), (50, np.inf))),
    *(((0.0, 1.01), (20, 50)), ((0.0, 1.01), (0, 20))),
)
Array = np.ndarray[Any, np.dtype[Any]]


class Found(NamedTuple):
    """Facts of a pool by name, and by selector bits minus random: averaged over tasks, and by the pool's shares."""

    corpus: str
    facts: dict[str, float]
    gains: dict[str, Array]


def of_pool(job: tuple[str, int]) -> Found:
    """Measure the pool of (corpus, seed)."""
    name, seed = job
    regime = random_regime(corpus(name), seed)
    with threadpool_limits(1):
        pool, x, judge = regime.pool, vectors(regime.pool.texts), judge_of(name)
        budget, weight = int(regime.share * sizes_of(pool.texts).sum()), mix(regime.pool, judge.names)
        draws = [np.random.default_rng([seed, i]).permutation(len(x)) for i in range(DRAWS)]
        random = np.mean([judge(pool.texts, order, budget) for order in draws], axis=0)
        gains = {}
        for selector, order in orders(x, pool.texts, regime.share, seed, NAMES).items():
            gap = judge(pool.texts, order, budget) - random
            gains[selector] = np.array([gap.mean(), weight @ gap])
        facts = {**regime.facts, "near": near_share(x), "budget rows": regime.share * len(x)}
    return Found(name, facts, gains)


def said(gains: Array) -> str:
    """Return mean, interval and share of worse pools of (pools, 2) gains."""
    parts = [f"{cell(gains[:, i])} worse {np.mean(gains[:, i] > WORSE):4.0%}" for i in (0, 1)]
    return f"{len(gains):4} pools {parts[0]}  ({parts[1]})"


def band_line(near: tuple[float, float], rows: tuple[float, float], gains: Array) -> str:
    """Return the line of the table for (pools,) gains.

    Examples
    --------
    >>> band_line((0.0, 0.1), (50, np.inf), np.array([-0.1, 0.02, -0.1, -0.1]))
    'Band(0.0, 0.1, 50, math.inf, 4, -0.07, 0.095, 0.25),'
    """
    mean, half = interval(gains)
    below = "math.inf" if np.isinf(rows[1]) else f"{rows[1]:.0f}"
    worse = float(np.mean(gains > WORSE)) if len(gains) else 0.0
    ends = f"{near[0]}, {near[1]}, {rows[0]}, {below}"
    return f"Band({ends}, {len(gains)}, {round(mean, 3)}, {round(half, 3)}, {round(worse, 2)}),"


def report(results: list[Found]) -> None:
    """Print the tables."""
    gains = {name: np.array([found.gains[name] for found in results]) for name in NAMES}
    facts = {name: np.array([found.facts[name] for found in results]) for name in results[0].facts}
    enough = facts["budget rows"] >= 50
    for title, rows in (("budgets of 50 rows and more", enough), ("smaller budgets", ~enough)):
        print(f"\n{title}: bits per byte - random")
        for name in NAMES:
            print(f"  {name.ljust(24)}{said(gains[name][rows])}", flush=True)
    best = np.minimum(np.min([gains[name] for name in NAMES], axis=0), 0)
    print(f"  {'best of these, or random, in hindsight, all budgets'}{said(best)}")
    print("\ncoverage by corpus and share of near rows, budgets of 50 rows and more")
    for name in dict.fromkeys(found.corpus for found in results):
        own = np.array([found.corpus == name for found in results]) & enough
        for (low, high), _ in BANDS[:3]:
            inside = own & (facts["near"] >= low) & (facts["near"] < high)
            if inside.any():
                print(f"  {name}, {low:.1f} to {min(high, 1):.1f}".ljust(26) + said(gains["coverage"][inside]))
    print("\njobs/commands/advice/calibration.py: near from, below, rows from, below, pools, gain, half width, worse")
    for near, rows in BANDS:
        inside = (facts["near"] >= near[0]) & (facts["near"] < near[1])
        inside &= (facts["budget rows"] >= rows[0]) & (facts["budget rows"] < rows[1])
        print(f"    {band_line(near, rows, gains['coverage'][inside, 0])}")
    print("\nSpearman of coverage's gain with: ", end="")
    print(", ".join(f"{name} {spearmanr(gains['coverage'][:, 0], values)[0]:+.2f}" for name, values in facts.items()))


def main() -> list[Line]:
    """Print the tables; they have no bars, so there are no lines."""
    report(in_processes(of_pool, [(name, seed) for seed in SEEDS for name in at_hand()]))
    return []


if __name__ == "__main__":
    main()
