"""advise --measure: which of a few methods teaches a byte model most of held-out rows of a target, on a sample.

Every method takes the same bytes of the sample; a byte 5-gram model learns them. Half of the held-out rows choose the
method, the other half says what the choice is worth beside random draws. Held-out rows that stand among the documents
do not count: what is chosen on a pool's own rows rewards copies and junk (on 103 pools such a choice was worth -.08
bits per byte where coverage was worth -.18). Left out: other budgets, and the noise of the sample itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pyspark.sql import functions as F
from scipy.special import stdtrit

from ....udfs.arrays import Floats, Ints
from ....udfs.digests import digest
from ....udfs.errors import InputError
from ...inputs.documents import text_of
from ...inputs.opening import open_targets
from ...lake.tables import Lake
from ...lake.text_table import Rows as Table
from ...lake.text_table import rows_of
from ...recipe import Recipe
from ..report_held_out import held_out_texts
from .blocks import Block, in_recipe
from .candidates import BLOCKS, Rows, ordered, reading
from .gathered import Gathered
from .trials import Trial, keep_trials

#: Held-out texts that are needed, and the most that are read.
FEWEST_HELD_OUT, MOST_HELD_OUT = 20, 1_000
#: Draws of random rows, and rows of the sample that a budget takes at least, and share of its bytes at most.
DRAWS, FEWEST_ROWS, LARGEST = 5, 50, 0.5
#: Raised when the same sample would give other numbers.
REVISION = 2


@dataclass(frozen=True)
class Measured:
    """What each method was worth on held-out rows, the choice, and its honest number.

    `block` is the choice in the recipe's words; `path` is the file of the recipe with it, "" where none was written.
    """

    recipe: str
    run: str
    rows: dict[str, int]
    table: Table
    choice: str
    block: Block
    verdict: str
    notes: tuple[str, ...] = ()
    path: str = ""

    def __str__(self) -> str:
        """Return the table and the verdict."""
        counts = ", ".join(f"{n:,} {name}" for name, n in self.rows.items())
        head = f"advise of {self.recipe} by measuring, {self.run}: {counts}; bits per byte, lower is better"
        written = [f"written to {self.path}: lakesift run {self.path}"] if self.path else []
        return "\n".join([head, str(self.table), self.verdict, *(f"note: {note}" for note in self.notes), *written])

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"table": self.table.to_dict(), "block": self.block._asdict()}


def measure(lake: Lake, recipe: Recipe, gathered: Gathered) -> Measured:
    """Return the choice for a recipe's sample; every trial becomes a row of `trials`.

    Raises
    ------
    InputError
        If the recipe has no held-out rows, or fewer than 20 that are not among the documents.
    """
    held_out = _held_out(lake, recipe, gathered)
    sample = gathered.sampled
    places = [i for i, text in enumerate(sample.texts) if text and not np.isnan(sample.vectors[i]).any()]
    rows = Rows([sample.texts[i] or "" for i in places], np.ascontiguousarray(sample.vectors[places]))
    if len(rows.texts) < 2 * FEWEST_ROWS:
        raise InputError(
            f"the sample has {len(rows.texts):,} rows with text, and {2 * FEWEST_ROWS} are needed to compare methods; "
            "widen where:, or add documents"
        )
    seen = _seen(gathered, held_out)
    methods = [m for m in BLOCKS if seen or m in ("random", "coverage")]
    budget = _bytes(rows, gathered)
    choosing, judging = held_out[::2], held_out[1::2]
    seeds = [recipe.seed_of("advise", number) for number in range(DRAWS)]
    read = reading([*choosing, *judging])
    trials = [t for m in methods for t in _trials(rows, m, seen, budget, seeds, read, len(choosing))]
    sizes = tuple(np.array([len(t.encode("utf-8", "surrogatepass")) for t in half]) for half in (choosing, judging))
    key = digest([REVISION, list(sample.ids), rows.texts, seen, held_out, budget, seeds])
    share = budget / max(1, int(rows.sizes().sum()))
    keep_trials(lake, recipe.name, key, share, trials, sizes)
    choice, verdict, table = choose(trials, sizes)
    counts = {"rows of the sample": len(rows.texts), "bytes for each": budget, "held-out rows": len(held_out)}
    block = in_recipe(BLOCKS[choice](gathered.facts), recipe)
    short = [m for m in methods if m not in {trial.method for trial in trials}]
    notes = tuple(f"{m} keeps fewer than {budget:,} bytes of the sample, so it is not compared" for m in short)
    return Measured(recipe.name, key, counts, table, choice, block, verdict, notes)


def choose(trials: Sequence[Trial], sizes: Sequence[Floats]) -> tuple[str, str, Table]:
    """Return the method to take, a sentence about it, and a line for each method.

    The method with the fewest bits on rows that choose is taken if, on rows that judge, its 95 % interval beside random
    leaves out 0; else random.

    Parameters
    ----------
    sizes : pair of (m,)
        Bytes of the rows that choose, and of those that judge.
    """
    by_method: dict[str, list[Trial]] = {}
    for trial in trials:
        by_method.setdefault(trial.method, []).append(trial)
    chosen_by = {m: _mean_bits([t.choosing for t in of], sizes[0]) for m, of in by_method.items()}
    judged_by = {m: _mean_bits([t.judging for t in of], sizes[1]) for m, of in by_method.items()}
    beside = {m: beside_random([t.judging for t in of], [t.judging for t in by_method["random"]], sizes[1])
              for m, of in by_method.items() if m != "random"}  # fmt: skip
    lines = [
        (m, round(float(np.mean([t.rows for t in of]))), chosen_by[m], judged_by[m], *beside.get(m, (None, None)))
        for m, of in by_method.items()
    ]
    table = rows_of(("method", "rows", "choosing", "judging", "beside random", "ci"), lines)
    best = min(chosen_by, key=lambda m: chosen_by[m])
    if best == "random":
        said = "random rows were the best on the rows that choose: no selector differs from random, take random"
        return "random", said, table
    gain, half = beside[best]
    if gain + half >= 0:
        said = f"{best} was the best on the rows that choose, and {gain:+.3f} ± {half:.3f} beside random on the others"
        return "random", f"{said}: no selector differs from random, take random", table
    said = (
        f"{best} was chosen: {judged_by[best]:.3f} bits per byte on the other held-out rows, {gain:+.3f} ± {half:.3f}"
    )
    return best, f"{said} beside random draws", table


def _mean_bits(bits: Sequence[Floats], sizes: Floats) -> float:
    return float(np.mean([b.sum() for b in bits]) / sizes.sum())


def beside_random(bits: Sequence[Floats], random: Sequence[Floats], sizes: Floats) -> tuple[float, float]:
    """Return bits per byte over those of random draws, and half of the 95 % interval.

    The interval is paired over held-out rows, as a ratio of sums, and wider by the error of the mean of the draws.

    Examples
    --------
    >>> gain, half = beside_random([np.array([1.0, 2.0, 3.0])], [np.array([2.0, 4.0, 6.0])], np.array([1.0, 2.0, 3.0]))
    >>> gain, round(half, 9)
    (-1.0, 0.0)
    """
    m, total = len(sizes), float(sizes.sum())
    apart = np.mean(bits, axis=0) - np.mean(random, axis=0)
    gain = float(apart.sum() / total)
    rows = math.sqrt(float(((apart - gain * sizes) ** 2).sum()) * m / max(1, m - 1)) / total
    draws = [float(b.sum()) / total for b in random]
    drawn = float(np.std(draws, ddof=1)) / math.sqrt(len(draws)) if len(draws) > 1 else 0.0
    return gain, float(stdtrit(max(1, m - 1), 0.975)) * math.hypot(rows, drawn)


def _trials(
    rows: Rows,
    method: str,
    seen: Sequence[str],
    budget: int,
    seeds: Sequence[int],
    read: Callable[[Sequence[str], Ints, int], Floats],
    choosing: int,
) -> list[Trial]:
    """Return a method's trials: one, of random rows one a draw. None where it leaves fewer bytes than the budget.

    The first `choosing` of the texts that are read choose.
    """
    sizes, made = rows.sizes(), []
    for draw, seed in enumerate(seeds if method == "random" else seeds[:1], start=1):
        order = ordered(rows, method, seen, budget, seed)
        if sizes[order].sum() < budget:
            return []
        count = int(np.searchsorted(np.cumsum(sizes[order]), budget)) + 1
        bits = read(rows.texts, order[:count], budget)
        made.append(Trial(method, draw, count, bits[:choosing], bits[choosing:]))
    return made


def _bytes(rows: Rows, gathered: Gathered) -> int:
    """Return the bytes that each method takes: the budget's share of the sample, 50 rows at least, half at most."""
    sizes = rows.sizes()
    return int(min(LARGEST * sizes.sum(), max(gathered.facts.share * sizes.sum(), FEWEST_ROWS * sizes.mean())))


def _seen(gathered: Gathered, held_out: Sequence[str]) -> list[str]:
    known = set(held_out)
    return [t for texts in gathered.targets.values() for t in texts if t not in known]


def _held_out(lake: Lake, recipe: Recipe, gathered: Gathered) -> list[str]:
    """Return different held-out texts that do not stand among the documents, in order of a hash of the text."""
    if not any(target.held_out for target in recipe.targets.values()):
        raise InputError(
            f"the recipe {recipe.name} has no held-out rows, and a choice measured on the pool's own rows misleads "
            "(worth -.08 bits per byte where coverage was worth -.18, on 103 pools): name rows that nobody trains on, "
            "targets: {NAME: {table: ..., held_out: SQL}}"
        )
    documents = gathered.documents
    held_out = held_out_texts(documents, open_targets(lake, documents))
    every = list(dict.fromkeys(text for texts in held_out.values() for text in texts))
    asked = lake.spark.createDataFrame([(text,) for text in every], "text string")
    pool = documents.frame.selectExpr(f"{text_of(recipe.documents.text)} AS text")
    found = {row["text"] for row in pool.join(F.broadcast(asked), "text", "left_semi").distinct().collect()}
    left = [text for text in every if text not in found][:MOST_HELD_OUT]
    if len(left) < FEWEST_HELD_OUT:
        among = (
            f", and {len(found):,} of them stand among the documents, where they would reward copies" if found else ""
        )
        raise InputError(
            f"there are {len(every):,} different held-out texts{among}; {FEWEST_HELD_OUT} that are not in the pool are "
            "needed to choose by half of them and judge by the other: hold out more"
        )
    return left
