"""What the scores of a run cost: rows, CPU-seconds and minutes, and from what these are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...udfs.scorer import Scorer
from ..lake.text_table import Rows, rows_of
from ..recipe import Recipe
from .probe import Measures

EARLIER, ROUGH = "earlier runs", "what the score says of itself, roughly"


class Rate(NamedTuple):
    """CPU-seconds that a row takes a score, and how that is known; None: it is not known, for the reason."""

    seconds: float | None
    how: str


class Cost(NamedTuple):
    """What a run spends on one score; None where it is not known."""

    score: str
    rows: int | None
    rate: Rate

    @property
    def cpu_seconds(self) -> float | None:
        """Seconds of its own code, added up over the workers."""
        return None if self.rows is None or self.rate.seconds is None else self.rows * self.rate.seconds

    @property
    def hours(self) -> float:
        """CPU-hours, 0 where they are not known."""
        return (self.cpu_seconds or 0.0) / 3600

    @property
    def measured(self) -> bool:
        """Whether somebody measured it."""
        return self.rate.seconds is not None and self.rate.how != ROUGH


def rates_of_scores(recipe: Recipe, earlier: Mapping[str, float], probed: Measures) -> dict[str, Rate]:
    """Return the rate of every score: of earlier runs, else of the probe, else what a score says of itself."""
    rates = {}
    for name, score in recipe.scores.items():
        if name in earlier:
            rates[name] = Rate(earlier[name], EARLIER)
        elif name in probed.seconds:
            rates[name] = Rate(probed.seconds[name], f"a probe of {probed.rows:,} rows")
        elif name in probed.unknown:
            rates[name] = Rate(None, f"unknown: the probe could not fit it ({probed.unknown[name]})")
        elif isinstance(score, Scorer):
            rates[name] = Rate(score.seconds_per_row, ROUGH)
        else:
            rates[name] = Rate(None, "unknown before a fit; plan --probe measures it")
    return rates


def costs_of(recipe: Recipe, rates: Mapping[str, Rate], rows: Mapping[str, int | None]) -> list[Cost]:
    """Return the costs of the scores that a run computes for documents, by the rows that it computes of each."""
    on_demand = recipe.on_demand_only()
    return [Cost(name, rows.get(name), rates[name]) for name in recipe.scores if name not in on_demand]


def cost_table(costs: Sequence[Cost], workers: int) -> Rows:
    """Return one line a score and one for all: minutes are those of all workers side by side.

    Spark's own work (reading, writing, starting) comes on top, and fits.
    """
    columns = ("name", "rows", "us a row", "CPU-seconds", "minutes", "known from")
    lines = [
        (
            c.score,
            c.rows,
            c.rate.seconds and round(1e6 * c.rate.seconds, 1),
            *_spent(c.cpu_seconds, workers),
            c.rate.how,
        )
        for c in costs
    ]
    known = [c.cpu_seconds for c in costs if c.cpu_seconds is not None]
    left = sum(c.cpu_seconds is None for c in costs)
    lines.append(("all", None, None, *_spent(sum(known), workers), f"without {left} that are unknown" if left else ""))
    return rows_of(columns, lines)


def _spent(seconds: float | None, workers: int) -> tuple[float | None, float | None]:
    return (None, None) if seconds is None else (round(seconds, 2), round(seconds / workers / 60, 2))


def said_of(cost: Cost, workers: int) -> str:
    """Return the rows that a score is computed for, and the time that it takes where that is worth saying."""
    if cost.rows is None:
        return ""
    rows = f": {cost.rows:,} rows"
    if cost.hours < 0.1:
        return rows
    how = f"as measured in {cost.rate.how}" if cost.measured else "roughly"
    minutes = max(1, round(60 * cost.hours / workers))
    digits = 0 if cost.hours >= 10 else 1
    return f"{rows}, about {cost.hours:,.{digits}f} CPU-hours {how}, {minutes:,} minutes on {workers} cores"
