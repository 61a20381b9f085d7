"""The words of explain: a paragraph about one document, from its decision and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...udfs.arrays import Ints
from ..lake.text_table import printable
from .chosen_again import ChosenAgain, comparing, why_no_order
from .decisions import BEFORE, BELOW, INELIGIBLE, LEFT, NEAR, SELECTED, UNDEFINED

#: Characters of an id, and scores, that a paragraph shows; the table and JSON have all.
ID_CHARS, SHOWN_SCORES = 80, 8


@dataclass(frozen=True)
class Facts:
    """What is known of rows by id, as row_facts.py has it.

    `depth` is that of the order, 0 where it is not told; `tokens`, of an order under a budget in tokens, the least
    budget that takes the row at each place; None under other budgets.
    """

    depth: int
    tokens: Ints | None
    cut: float | None
    scores: Mapping[str, list[tuple[str, float | None, float | None]]]
    clauses: Mapping[str, list[tuple[str, dict[str, str | None]]]]
    groups: Mapping[str, tuple[str, str | None, int, int, float | None]]
    gains: Mapping[str, float]
    vector: str
    nearest: Mapping[str, tuple[str, float]]


def explained(again: ChosenAgain, facts: Facts, row: Any) -> dict[str, Any]:
    """Return the fields of `Explained` for a row of the decisions."""
    key, decision = row["id"], row["decision"]
    name, value, rows, chosen, own_cut = facts.groups.get(key, (None, None, None, None, None))
    # Where vectors are compared, clusters are no quota, but who is compared.
    quota = own_cut is not None and comparing(again.recipe) is None
    cut = own_cut if quota else facts.cut
    gain = row["gain"] if row["gain"] is not None else facts.gains.get(key)
    gain = None if gain is None or gain != gain else gain
    nearest, similarity = facts.nearest.get(key, (None, None))
    change = _change(again, facts, row, gain, cut)
    sentences = [f"{_id(key)} is {decision}: {_why(again, facts, row, gain, cut)}."]
    if name is not None:
        sentences.append(
            f"In its {name}, {printable(str(value))}, {chosen:,} of {rows:,} rows that can be ranked are chosen."
        )
    if nearest is not None:
        other = "nearest other chosen row" if decision == SELECTED else "nearest chosen row"
        sentences.append(f"The {other} by {facts.vector} is {_id(nearest)}, at cosine {similarity:.4f}.")
    known = [(n, v, q) for n, v, q in facts.scores.get(key, []) if v is not None][:SHOWN_SCORES]
    if known:
        said = ", ".join(
            f"{printable(n)} {v:.4g}" + (f" (quantile {q:.2f})" if q is not None else "") for n, v, q in known
        )
        sentences.append(f"Its scores: {said}.")
    sentences.append(f"To {'leave it out' if decision == SELECTED else 'choose it'}: {change}.")
    near = row["duplicate_of"] if decision == NEAR else None
    return {
        "id": key, "decision": decision, "reason": row["reason"], "text": " ".join(sentences), "change": change,
        "rank": row["rank"], "place": row["place"], "gain": gain, "cut": cut if gain is not None else None,
        "group_by": name, "group": value, "group_rows": rows, "group_chosen": chosen, "duplicate_of": near,
        "nearest": nearest, "similarity": similarity, "scores": tuple(facts.scores.get(key, [])),
    }  # fmt: skip


def _id(key: str) -> str:
    return repr(key if len(key) <= ID_CHARS else f"{key[: ID_CHARS - 1]}…")


def _why(again: ChosenAgain, facts: Facts, row: Any, gain: float | None, cut: float | None) -> str:
    """Return the reason of the decision in words."""
    decision, by = row["decision"], again.recipe.selector.kind
    if decision == INELIGIBLE:
        return "where: " + "; ".join(_clause(*clause) for clause in facts.clauses[row["id"]])
    if decision == SELECTED:
        gained = "" if gain is None else f", gain {gain:.6g}" + ("" if cut is None else f" where the cut is {cut:.6g}")
        chose = "its rounds" if again.recipe.refine else by
        return f"rank {row['rank']:,} of {again.selected:,} that {chose} chose from {again.rankable:,}{gained}"
    if decision == NEAR:
        return f"it comes after {_id(row['duplicate_of'])}, at cosine {row['similarity']:.4f}, and {by} drops such rows"
    if decision != BELOW:
        return printable(row["reason"])
    if row["place"] is not None:
        where = f"place {row['place']:,} in the order of {by}, which is cut at {again.selected:,}"
    elif facts.depth:
        where = f"not among the first {facts.depth:,} in the order of {by}, which is cut at {again.selected:,}"
    elif again.recipe.refine:
        where = f"none of its rounds chose it; they chose {again.selected:,} of {again.rankable:,}"
    else:
        where = f"not among the {again.selected:,} that {by} chose from {again.rankable:,}"
    if gain is not None and cut is not None and gain <= cut:
        where += f"; its gain {gain:.6g} is {cut - gain:.3g} below the cut of {cut:.6g}"
    return where


def _clause(sql: str, values: Mapping[str, str | None]) -> str:
    """Return a clause that does not hold, with the values that it reads."""
    read = ", ".join(f"{name} is {'null' if value is None else repr(value)}" for name, value in values.items())
    return f"{printable(sql)} does not hold" + (f" ({printable(read)})" if read else "")


def _change(again: ChosenAgain, facts: Facts, row: Any, gain: float | None, cut: float | None) -> str:
    """Return what would have to change for another decision."""
    decision = row["decision"]
    if decision == INELIGIBLE:
        clauses = facts.clauses[row["id"]]
        return "a where: without " + ", ".join(printable(sql) for sql, _ in clauses) + ", or other values of the row"
    if decision == UNDEFINED:
        return f"a value where {printable(row['reason'])}"
    if decision == NEAR:
        return f"{_id(row['duplicate_of'])} out of the pool, or a looser limit in select:"
    if decision == LEFT:
        return "other parameters of select:; a larger budget does not choose it"
    if decision == BEFORE:
        return "a start: without it"
    if why_no_order(again.recipe):
        return "another budget, or another seed"
    if decision == SELECTED:
        return f"a budget below {_budget(facts, row['rank'])}" if row["rank"] > 1 else "a where: that excludes it"
    place, score = row["place"], again.recipe.selector.own_gain(again.rows) is not None
    deepest = max(facts.depth, again.selected)
    budget = f"a budget of {_budget(facts, place)}" if place else f"a budget above {_budget(facts, deepest)}"
    return f"{budget}, or a gain above {cut:.6g}" if score and gain is not None and cut is not None else budget


def _budget(facts: Facts, place: int) -> str:
    """Return the budget that ends at a place of the order, in words: in tokens where the recipe's is."""
    if facts.tokens is None or not len(facts.tokens):
        return f"{place:,} rows"
    return f"{facts.tokens[min(place, len(facts.tokens)) - 1]:,} tokens"
