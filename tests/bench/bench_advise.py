"""What `lakesift advise` was worth on pools that its table was not made from; and the choice by measuring.

`python -m tests.bench advise`. Pools without a target: 20 random regimes of each corpus at hand, as in random_regimes,
of other seeds. With a target: the pools of the bench targets of other seeds, every target and share of relevant rows
twice, at budgets of 2 and 10 %; a table of a third draw, by how typical the pool is, is what the rule for targets
reads, and is printed first, its last band and the same of coverage from ten draws of pools that are wholly of the
target's kind.
The facts, the rules, the orders and the choice on half of the held-out rows are those of the product; the judge is that
of the other benches: bits per byte at equal bytes, minus the mean of three draws of random rows.

Of each budget the advice stands beside every fixed method, the best of them on these very pools, and hindsight. It must
be at most .02 bits per byte worse than the best fixed method on the mean, and worse than random by more than .01 in at
most 5 % of pools with budgets of 50 rows and more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from lakesift.jobs.commands.advice.candidates import BLOCKS, Rows, ordered, reading
from lakesift.jobs.commands.advice.facts import Facts, Likeness, likeness, near_shares
from lakesift.jobs.commands.advice.measured import choose
from lakesift.jobs.commands.advice.rules import choice_of
from lakesift.jobs.commands.advice.trials import Trial
from tests.bench.bench_targets import BUDGETS, SHARES, TARGETS, Targeted, made
from tests.bench.corpus import Array, at_hand, corpus
from tests.bench.judging import Judge, cell, interval, judge_of, sizes_of
from tests.bench.lines import Line, in_processes
from tests.bench.orders import vectors
from tests.bench.pools import random_regime

SEEDS, TARGET_SEEDS, DRAWS, WORSE = range(5_000, 5_020), (501, 502), 3, 0.01
#: Seeds of the pools that the table for targets is made from, and its bands: typical from, below; shares of budgets.
TABLE_SEEDS, BANDS = (500,), ((-np.inf, 0.65), (0.65, 0.9), (0.9, np.inf))
TABLE_SHARES = ("0.0, 0.05", "0.05, math.inf")
KIND_SEEDS, KINDS = range(490, 500), ("dsir per token", "coverage")
#: What the advice must keep: bits per byte behind the best fixed method, and share of pools worse than random.
BEHIND, MOST_WORSE, ROWS = 0.02, 0.05, 50


class Found(NamedTuple):
    """One pool at one budget: its rows, the method advised, that measured, and bits minus random by method."""

    name: str
    rows: int
    advised: str
    measured: str
    gains: dict[str, float]
    typical: float = 0.0


def advised(facts: Facts) -> str:
    """Return the method of BLOCKS that the rules choose.

    Examples
    --------
    >>> advised(Facts("", "top_k", 4000, 4000, 4000, 200, 0.4, 0.3)), advised(Facts("", "top_k", 99, 99, 99, 5, 0, 0))
    ('coverage', 'random')
    """
    select = choice_of(facts).block(facts).select
    return next(name for name, block in BLOCKS.items() if block(facts).select == select)


def _facts(x: Array, budget: int, targets: tuple[Likeness, ...] = ()) -> Facts:
    near_90, near_95 = near_shares(x)
    return Facts("bench", "top_k", len(x), len(x), len(x), max(1, budget), near_90, near_95, targets=targets)


def _bits(
    rows: Rows, methods: Sequence[str], seen: Sequence[str], budget: int, seed: int, judge: Callable[[Array], float]
) -> tuple[dict[str, float], dict[str, list[Array]]]:
    """Return bits minus random by method, and the orders of each."""
    orders = {m: [ordered(rows, m, seen, budget, seed)] for m in methods}
    orders["random"] = [ordered(rows, "random", seen, budget, DRAWS * seed + i) for i in range(DRAWS)]
    bits = {m: float(np.mean([judge(order) for order in of])) for m, of in orders.items()}
    return {m: value - bits["random"] for m, value in bits.items()}, orders


def of_regime(job: tuple[str, int]) -> list[Found]:
    """Measure the pool without a target of (corpus, seed)."""
    name, seed = job
    regime = random_regime(corpus(name), seed)
    with threadpool_limits(1):
        texts = regime.pool.texts
        x, judge = vectors(texts), judge_of(name)
        rows, budget = Rows(texts, x), int(regime.share * sizes_of(texts).sum())
        gains, _ = _bits(rows, ("coverage",), (), budget, seed, lambda o: float(judge(texts, o, budget).mean()))
        advice = advised(_facts(x, round(regime.share * len(x))))
    return [Found(name, round(regime.share * len(x)), advice, "", gains)]


def of_target(job: tuple[str, str, float, int]) -> list[Found]:
    """Measure the pool of (corpus, target, share of relevant rows, seed) at each budget."""
    name, target, share, seed = job
    pool, found = made(corpus(name), target, share, seed), []
    with threadpool_limits(1):
        x = vectors(pool.texts)
        rows, like = Rows(pool.texts, x), likeness(target, x, vectors(pool.shown))
        for part, budget, judge in _at_budgets(pool):
            gains, orders = _bits(rows, tuple(BLOCKS), pool.shown, budget, seed, judge)
            measured = _measured(pool.texts, orders, budget, pool.held_out["choose"])
            chosen = round(part * len(x))
            advice = advised(_facts(x, chosen, (like,)))
            said = f"{name}, {share:.0%} relevant, {part:.0%}"
            found.append(Found(said, chosen, advice, measured, gains, like.typical or 0.0))
    return found


def of_kind(job: tuple[str, str, int]) -> list[Found]:
    """Measure the methods of KINDS on the pool of (corpus, target, seed) that is wholly of the target's kind."""
    name, target, seed = job
    pool, found = made(corpus(name), target, 1.0, seed), []
    with threadpool_limits(1):
        x = vectors(pool.texts)
        rows, typical = Rows(pool.texts, x), likeness(target, x, vectors(pool.shown)).typical or 0.0
        for part, budget, judge in _at_budgets(pool):
            gains, _ = _bits(rows, KINDS, pool.shown, budget, seed, judge)
            found.append(Found(f"{name}, {part:.0%}", round(part * len(x)), "", "", gains, typical))
    return found


def _at_budgets(pool: Targeted) -> Iterator[tuple[float, int, Callable[[Array], float]]]:
    """Yield each budget as a share, in bytes, and what judges an order by so many bytes of it."""
    judge, size = Judge({"judge": pool.held_out["judge"]}), sizes_of(pool.texts).sum()
    for part in BUDGETS:
        budget = int(part * size)
        yield part, budget, lambda order, b=budget: float(judge(pool.texts, order, b)[0])


def _measured(texts: Sequence[str], orders: dict[str, list[Array]], budget: int, held_out: Sequence[str]) -> str:
    """Return the choice of --measure, whose held-out rows are halved once more: what judges here it does not see."""
    sizes = sizes_of(held_out)
    halves = sizes[::2], sizes[1::2]
    trials, read = [], reading(held_out)
    for method, of in orders.items():
        for draw, order in enumerate(of, start=1):
            bits = read(texts, order, budget)
            trials.append(Trial(method, draw, 0, bits[::2], bits[1::2]))
    return choose(trials, halves)[0]


def report(title: str, found: list[Found], measuring: bool) -> None:
    """Print the advice beside every method, and whether it keeps what it must."""
    methods = list(found[0].gains)
    gains = {m: np.array([f.gains[m] for f in found]) for m in methods}
    own = {"advice": np.array([f.gains[f.advised] for f in found])}
    own |= {"measured": np.array([f.gains[f.measured] for f in found])} if measuring else {}
    own |= {f"always {m}": values for m, values in gains.items()}
    own["hindsight"] = np.min([gains[m] for m in methods], axis=0)
    print(f"\n{title}: {len(found)} pools, bits per byte - random; worse than random by more than {WORSE}")
    for name, values in own.items():
        print(f"  {name.ljust(26)}{cell(values)}  worse {np.mean(values > WORSE):4.0%}", flush=True)
    best = min(methods, key=lambda m: float(gains[m].mean()))
    behind, worse = own["advice"] - gains[best], float(np.mean(own["advice"] > WORSE))
    kept = behind.mean() <= BEHIND and worse <= MOST_WORSE
    print(
        f"  behind the best fixed, {best}: {cell(behind)}, worse than random in {worse:.0%}: {'yes' if kept else 'NO'}"
    )
    print(f"  advised {dict(Counter(f.advised for f in found))}", end="")
    print(f", measured {dict(Counter(f.measured for f in found))}" if measuring else "", flush=True)


def _aimed(names: Sequence[tuple[str, str]], seeds: Sequence[int]) -> list[Found]:
    jobs = [(*named, share, seed) for seed in seeds for named in names for share in SHARES]
    return [f for of in in_processes(of_target, jobs) for f in of]


def table_lines(found: list[Found], method: str, bands: Sequence[tuple[float, float]]) -> list[str]:
    """Return lines of TARGET_BANDS or KIND_BANDS in jobs/commands/advice/calibration.py, of both budgets."""
    lines = []
    for low, below in bands:
        for part, shares in zip(BUDGETS, TABLE_SHARES, strict=True):
            own = [f for f in found if low <= f.typical < below and f.name.endswith(f" {part:.0%}")]
            gains = np.array([f.gains[method] for f in own])
            mean, half = interval(gains)
            low_end, end = ("-math.inf" if np.isinf(low) else low), ("math.inf" if np.isinf(below) else below)
            figures = f"{len(own)}, {mean:.3f}, {half:.3f}, {np.mean(gains > WORSE):.2f}"
            lines.append(f"TargetBand({low_end}, {end}, {shares}, {figures}),")
    return lines


def main() -> list[Line]:
    """Print the tables; they have no bars, so there are no lines."""
    plain = [f for of in in_processes(of_regime, [(name, seed) for seed in SEEDS for name in at_hand()]) for f in of]
    report(f"without a target, budgets of {ROWS} rows and more", [f for f in plain if f.rows >= ROWS], False)
    report("without a target, smaller budgets", [f for f in plain if f.rows < ROWS], False)
    names = [(name, target) for name in at_hand() for target in TARGETS[name]]
    print("\n" + "\n".join(table_lines(_aimed(names, TABLE_SEEDS), "dsir per token", BANDS[:-1])))
    kinds = [f for of in in_processes(of_kind, [(*n, s) for s in KIND_SEEDS for n in names]) for f in of]
    print("\n".join(line for kind in KINDS for line in table_lines(kinds, kind, BANDS[-1:])))
    aimed = _aimed(names, TARGET_SEEDS)
    for part in BUDGETS:
        report(f"with a target, a budget of {part:.0%}", [f for f in aimed if f.name.endswith(f" {part:.0%}")], True)
    for share in SHARES:
        some = [f for f in aimed if f", {share:.0%} relevant" in f.name]
        report(f"with a target, {share:.0%} relevant, both budgets", some, True)
    return []


if __name__ == "__main__":
    main()
