"""tune: the interval of scores whose rows train the best classifier, beside rivals that have the same freedom.

Each score of the interval selector, all of them together, length and random draws get the same number of tries.
Training and validation rows are drawn anew for every seed; the winner of a method is its try of best mean accuracy on
validation rows. Test rows are the same for all seeds and are read once, for the winners. Each try is a row of `trials`,
so that a search that was cut short goes on where it stopped. Left out: choosing the share (a budget) or the classifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from ..udfs.errors import InputError
from ..udfs.fitted import FittedScore
from ..udfs.kernels import interval_search as parts
from ..udfs.kernels.interval_search import ALL, LENGTH, RANDOM, Candidate, Candidates, paired_interval
from ..udfs.models.learners import check_learner
from .inputs.run import Run
from .lake.text_table import Rows, rows_of
from .recipe.blocks import Tune
from .scoring.labelled import Labelled, Searched, labelled_rows
from .scoring.trials import EVERY_ROW, Search
from .selectors.interval import Interval

#: What every interval is compared with, by method.
RIVALS = {RANDOM: "the best random draw", LENGTH: "the best interval of length"}
#: Least rows to train on, and to ask about.
LEAST_ROWS = 20


@dataclass(frozen=True)
class Tuned:
    """What a search found: one line a winner, the bounds of the best of the scores, and what to think of them."""

    recipe: str
    run: str
    rows: dict[str, int]
    table: Rows
    bounds: dict[str, list[float | str]]
    verdict: str
    path: str = ""

    def __str__(self) -> str:
        """Return the table and the verdict."""
        counts = ", ".join(f"{n:,} {name}" for name, n in self.rows.items())
        written = [f"written to {self.path}: lakesift run {self.path}"] if self.path else []
        head = (
            f"tune of {self.recipe}, search {self.run}: {counts}; ci: half of a 95 % paired t-interval over the seeds"
        )
        return "\n".join([head, str(self.table), self.verdict, *written])

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"table": self.table.to_dict()}


def check_learners(settings: Tune) -> None:
    """Raise PlatformError if a classifier needs a package or a model file that is missing here."""
    for name in _learners(settings):
        check_learner(name)


def _learners(settings: Tune) -> set[str]:
    return {settings.learner, *(["finetune"] if settings.finetune_shares else [])}


def search_bounds(run: Run, settings: Tune, fitted: Mapping[str, FittedScore], scores_version: int) -> Tuned:
    """Search the bounds of the recipe's interval selector.

    Raises
    ------
    InputError
        If the labels are of one class, or there are fewer rows than the shares need.
    """
    selector = cast(Interval, run.recipe.selector)
    mean_rank, texts = selector.combine == "mean_rank", "finetune" in _learners(settings)
    searched = Searched(tuple(selector.bounds), mean_rank, selector.stratum, texts)
    rows = labelled_rows(run, fitted, scores_version, searched, settings)
    _check(rows, settings, run.hashes.summary.documents)
    candidates = Candidates(rows.hashes, rows.scores, settings.shares, settings.positions, rows.groups)
    search = Search(run, rows, candidates, settings)
    winners = search.winners()
    table = rows_of(COLUMNS, [line for share in settings.shares for line in _lines(search, winners, share)])
    best = max((c for (m, _), c in winners.items() if m not in RIVALS), key=search.validated)
    counts = {"rows": len(rows.labels), "classes": len(rows.classes), "seeds": settings.seeds}
    bounds = _bounds(rows, candidates, best, quantiles=mean_rank or rows.groups is not None)
    return Tuned(run.recipe.name, search.key, counts, table, bounds, _verdict(search, winners, best))


def _check(rows: Labelled, settings: Tune, documents: int) -> None:
    n, label = len(rows.labels), settings.label
    if not n:
        raise InputError(f"tune: no row of {documents:,} that where: lets in has a {label}, every score and a vector")
    if len(rows.classes) < 2:
        raise InputError(f"tune: label {label} has one class, {rows.classes[0]!r}, in {n:,} rows; two are needed")
    if len(rows.classes) > n // 10:
        raise InputError(
            f"tune: label {label} has {len(rows.classes):,} classes in {n:,} rows; at least 10 rows each are needed"
        )
    validation = parts.VALIDATION_SHARE * (1 - parts.TEST_SHARE)
    least = min(validation, min(settings.shares) * (1 - parts.TEST_SHARE - validation))
    if least * n < LEAST_ROWS:
        raise InputError(
            f"tune: {n:,} labelled rows leave {int(least * n)} to train on or to ask about at share "
            f"{min(settings.shares)}, and {LEAST_ROWS} are needed; label {int(LEAST_ROWS / least) + 1:,} rows"
        )


COLUMNS = (
    "learner", "share", "method", "interval", "rows", "validation", "test", "over random", "ci random", "over length",
    "ci length",
)  # fmt: skip


def _lines(search: Search, winners: Mapping[tuple[str, float], Candidate], share: float) -> list[tuple[Any, ...]]:
    """Return the lines of a share: every row, each method's winner, and the same by the fine-tuned model."""
    settings, lines = search.settings, []
    tuned = ["finetune"] if share in settings.finetune_shares and settings.learner != "finetune" else []
    for learner in (settings.learner, *tuned):
        shown = [winners[method, share] for method in search.candidates.methods]
        if share == settings.shares[0] or learner in tuned:
            shown = [EVERY_ROW, *shown]
        for c in shown:
            test = search.accuracies(c, "test", learner)
            validation = None if c.method == ALL or learner != settings.learner else round(search.validated(c), 4)
            over = (_over(search, test, winners[rival, share], learner) for rival in RIVALS)
            differences = [round(x, 4) for pair in over for x in pair] if c.method != ALL else [None] * 4
            kept = len(search.kept(c, 1))
            found = (kept, validation, round(float(np.mean(test)), 4))
            lines.append((learner, c.share, c.method, search.interval(c), *found, *differences))
    return lines


def _over(search: Search, test: Sequence[float], rival: Candidate, learner: str) -> tuple[float, float]:
    return paired_interval(test, search.accuracies(rival, "test", learner))


def _bounds(rows: Labelled, candidates: Candidates, best: Candidate, quantiles: bool) -> dict[str, list[float | str]]:
    """Return the bounds of a candidate taken of all rows, by score: values, or quantiles where selectors take these."""
    if quantiles:
        low, high = candidates.quantiles(best)
        names = rows.names[best.method]
        return {name: [f"q{max(0.0, low):.6g}", f"q{min(1.0, high):.6g}"] for name in names}
    kept = candidates.rows(best, np.arange(len(rows.labels)))
    inside = rows.scores[best.method][kept]
    pairs = zip(inside.min(axis=0).tolist(), inside.max(axis=0).tolist(), strict=True)
    return {name: list(pair) for name, pair in zip(rows.names[best.method], pairs, strict=True)}


def _verdict(search: Search, winners: Mapping[tuple[str, float], Candidate], best: Candidate) -> str:
    """Return one sentence about the chosen interval beside its rivals."""
    test = search.accuracies(best, "test")
    found, better = [], []
    for rival, name in RIVALS.items():
        mean, half = _over(search, test, winners[rival, best.share], "")
        found.append(f"{100 * mean:+.1f} ± {100 * half:.1f} points beside {name}")
        better.append(mean > half)
    chosen = f"{best.method} {search.interval(best)} at share {best.share}"
    said = f"{chosen} was chosen on validation rows: on test rows {np.mean(test):.4f}, {', '.join(found)}"
    return said if all(better) else f"{said}; that is not better than both, so nothing is gained by it here"
