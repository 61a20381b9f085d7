"""Clauses of a condition: what AND joins at its top level, whatever stands in strings, names, comments and brackets."""

from __future__ import annotations

import pytest

from lakesift.jobs.recipe.clauses import clauses

CASES: dict[str, list[str]] = {
    "tokens >= 20": ["tokens >= 20"],
    "a = 1 AND b = 2": ["a = 1", "b = 2"],
    "a = 1 and\n  b = 2 And c": ["a = 1", "b = 2", "c"],
    "a = 1 AND b = 2 OR c": ["a = 1 AND b = 2 OR c"],
    "a = 1 AND (b = 2 OR c)": ["a = 1", "(b = 2 OR c)"],
    "(a OR b) AND (c OR d)": ["(a OR b)", "(c OR d)"],
    "((a AND b))": ["a", "b"],
    "(a AND b) AND c": ["(a AND b)", "c"],
    "NOT a AND b": ["NOT a", "b"],
    "n BETWEEN 1 AND 2": ["n BETWEEN 1 AND 2"],
    "n BETWEEN 1 AND 2 AND m NOT BETWEEN x AND y AND z": ["n BETWEEN 1 AND 2", "m NOT BETWEEN x AND y", "z"],
    "CASE WHEN a AND b THEN c ELSE d END AND e": ["CASE WHEN a AND b THEN c ELSE d END", "e"],
    "exists(tags, t -> t = 'x' AND t <> 'y') AND tags[0 AND 1]": [
        "exists(tags, t -> t = 'x' AND t <> 'y')",
        "tags[0 AND 1]",
    ],
    "a = 'x AND y' AND b = \"p AND q\"": ["a = 'x AND y'", 'b = "p AND q"'],
    "a = 'it''s AND' AND b = 'c\\' AND'": ["a = 'it''s AND'", "b = 'c\\' AND'"],
    "`x AND y` = 1 AND `q``AND` = 2": ["`x AND y` = 1", "`q``AND` = 2"],
    "a -- x AND y\nAND b /* OR c AND d */": ["a -- x AND y", "b /* OR c AND d */"],
    "land = 1 AND orders = 2 AND band": ["land = 1", "orders = 2", "band"],
    "a || 'b' = c AND d": ["a || 'b' = c", "d"],
    # What is not understood is one clause: counts of parts would be wrong.
    "a AND": ["a AND"],
    "a) AND (b": ["a) AND (b"],
    "t.end = 1 AND b": ["t.end = 1 AND b"],
    "": [""],
}


@pytest.mark.parametrize("condition", CASES)
def test_clauses(condition: str) -> None:
    assert clauses(condition) == CASES[condition]
