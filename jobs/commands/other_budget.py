"""at: what a run with another budget would choose, smaller or deeper, from what a version was chosen from.

Where the selector is prefix-stable that is its order cut elsewhere; the order is ranked again and no text is read.
Nothing is written. The gain curve says what further rows bring, and where it bends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from ...udfs.arrays import Floats
from ...udfs.errors import InputError
from ...udfs.kernels.information_gain import knee
from ..lake.tables import Lake
from ..lake.text_table import Rows, rows_of
from ..lake.tuning import compiled, every_file
from ..recipe import Recipe
from ..selectors.budget import Budget, cut_by_tokens, ranked_to_tokens, rows_wanted
from .chosen_again import ChosenAgain, why_no_order
from .history import files_of
from .last_opened import chosen_again

#: Shares of the depth at which the curve is shown, and rows of the choice that are printed.
SHOWN, PRINTED = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0), 20


@dataclass(frozen=True)
class Choice:
    """The rows of another budget: `picks` has id, rank, gain, weight, copies; `curve` the gain by rows.

    Under a budget in tokens `picks` has `tokens_used` as well, and `tokens` is their sum; None without such a budget.
    `knee` is the number of rows after which a row brings less than the mean of the curve; None where rows are drawn.
    """

    recipe: str
    version: int
    selected: int
    rows: int
    tokens: int | None
    picks: pd.DataFrame
    curve: Rows
    knee: int | None
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Return what it is, the curve, and the first rows."""
        other = (
            "fewer than" if self.rows < self.selected else "more than" if self.rows > self.selected else "as many as"
        )
        used = "" if self.tokens is None else f" with {self.tokens:,} tokens"
        than = f"{other} the {self.selected:,} of selection_{self.recipe}, version {self.version}; "
        head = f"{self.rows:,} rows{used}, {than}"
        lines = [head + "nothing is written", *(f"note: {note}" for note in self.notes)]
        if self.knee is not None:
            lines += ["", str(self.curve), f"the curve bends at {self.knee:,} rows"]
        first = self.picks.head(PRINTED)
        columns = [c for c in ("rank", "id", "gain") if c != "gain" or first["gain"].notna().any()]
        shown = rows_of(columns, [tuple(_cell(v) for v in row) for row in first[columns].itertuples(index=False)])
        lines += ["", str(shown)]
        if self.rows > len(first):
            lines.append(f"(the first {len(first)} of {self.rows:,} rows; --json has all)")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        columns = [c for c in ("id", "rank", "gain", "tokens_used") if c in self.picks.columns]
        rows = [dict(zip(columns, map(_cell, row), strict=True)) for row in self.picks[columns].itertuples(index=False)]
        return {**self.__dict__, "picks": rows, "curve": self.curve.to_dict(), "notes": list(self.notes)}


def _cell(value: Any) -> Any:
    """Return a value as JSON has it: no NaN, infinities as text."""
    if isinstance(value, float):
        return None if np.isnan(value) else value if np.isfinite(value) else str(value)
    return value


def budget_of(text: str) -> int | float:
    """Return the rows, or the fraction of the documents, that the command line names.

    Examples
    --------
    >>> budget_of("300"), budget_of("0.03"), budget_of("3%")
    (300, 0.03, 0.03)
    """
    try:
        number = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        number = number if text.isascii() else np.nan  # digits of other scripts are rather a slip
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise InputError(
            f"the budget is {text!r}; give rows such as 300, or a fraction of the documents such as 0.03 or 3%"
        )
    return int(text) if text.isdigit() else number


def at(
    lake: Lake,
    recipe: Recipe,
    budget: float | None = None,
    version: int | None = None,
    tokens: int | None = None,
) -> Choice:
    """Return the rows that a run with another budget would choose, from what a version was chosen from.

    Parameters
    ----------
    budget : int or float, optional
        Rows, or as a float a fraction of the documents, rounded as in a run; the rows that were selected by default.
    version : int, optional
        Of the selection, by default the newest.
    tokens : int, optional
        A budget in tokens instead, counted by the recipe's `budget.length`.

    Raises
    ------
    InputError
        If the selector has no order, the budget is none, or what the version was chosen from cannot be read any more.
    BoundError
        If it is more rows than the driver takes.
    """
    wanted = _checked(budget, tokens)
    again = chosen_again(lake, recipe, version)
    if reason := why_no_order(again.recipe):
        raise InputError(reason)
    notes = list(again.run.manifest.notes)
    with files_of(again.what), every_file(lake.spark), compiled(lake.spark, again.run.hashes.summary.documents):
        order, picks = _cut(again, wanted, notes)
        there = again.selection.select("id", "rank").toPandas()
    prefix = order["id"].head(again.selected)
    if set(there["id"]) != set(prefix):
        notes.append(f"selection_{recipe.name} was changed after its run: its rows are not the first of the order")
    used = int(picks["tokens_used"].sum()) if wanted and wanted.tokens else None
    total = _total(order)
    curve = _curve(order, total)
    bend = None if total is None else knee(total)
    told = tuple(dict.fromkeys(notes))
    return Choice(recipe.name, again.of.version, again.selected, len(picks), used, picks, curve, bend, told)


def _cut(again: ChosenAgain, wanted: Budget | None, notes: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the order, to `again.depth` or deeper, and a copy of the rows that a budget takes, None as the run did."""
    if wanted and wanted.tokens:
        if not again.recipe.budget.tokens:
            raise InputError(
                f"{wanted.tokens:,} tokens are asked for, and the budget of {again.recipe.name} is not in tokens: it "
                "names no length that counts them; give rows or a fraction"
            )
        wanted = replace(again.recipe.budget, tokens=wanted.tokens)
        order, tokens = ranked_to_tokens(
            lambda rows: again.order(max(rows, again.depth)), again.countable, wanted, again.rankable
        )
        return order, cut_by_tokens(order, tokens, wanted, lambda: "the order ends there", notes.append)
    rows = again.selected if wanted is None else rows_wanted(wanted, again.run.hashes.summary.documents)
    order = again.order(max(rows, again.depth))
    if len(order) < rows:
        notes.append(f"{rows:,} rows are wanted, the order has {len(order):,}")
    return order, order.head(rows).copy()


def _checked(budget: float | None, tokens: int | None = None) -> Budget | None:
    """Return rows, a fraction, or tokens as the budget of a recipe; None for that of the version."""
    if budget is not None and tokens is not None:
        raise InputError(f"the budget is {budget!r} and {tokens!r} tokens; give one of them")
    if tokens is not None:
        if isinstance(tokens, bool) or not isinstance(tokens, Integral) or tokens < 1:
            raise InputError(f"the budget is {tokens!r} tokens; give an int of 1 or more, such as 50000")
        return Budget(tokens=int(tokens))
    if budget is None:
        return None
    if isinstance(budget, bool) or not budget > 0 or (isinstance(budget, float) and budget > 1):
        raise InputError(
            f"the budget is {budget!r}; give rows from 1, such as 300, or a fraction of the documents above 0 and at "
            "most 1, such as 0.03"
        )
    return Budget(fraction=budget) if isinstance(budget, float) else Budget(rows=int(budget))


def _total(order: pd.DataFrame) -> Floats | None:
    """Return what the rows up to each bring together; None where rows are drawn.

    That is the selector's objective where it tells it, else the sum of the gains; the first row of k-center has none.
    """
    if "information" in order.columns:
        total: Floats = order["information"].to_numpy(float)
        return total if len(total) else None
    gain = order["gain"].to_numpy(float)
    if not np.isfinite(gain).any():
        return None
    most = np.nanmax(gain[np.isfinite(gain)])
    return np.cumsum(np.where(np.isfinite(gain), gain, most))


def _curve(order: pd.DataFrame, total: Floats | None) -> Rows:
    """Return rows, gain of the last of them, and what they bring together, at some depths."""
    columns = ("rows", "gain", "together")
    if total is None:
        return rows_of(columns, [])
    depths: Sequence[int] = sorted({max(1, round(share * len(order))) for share in SHOWN})
    gain = order["gain"].to_numpy(float)
    return rows_of(columns, [(n, _cell(float(gain[n - 1])), _cell(float(total[n - 1]))) for n in depths])
