"""The clauses of an SQL condition: what AND joins at its top level, so that each can be counted; and its end."""

from __future__ import annotations

import re

#: Comments; strings and quoted names, in which a doubled quote is one, as after a backslash; words; blanks; the rest.
_TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:\\.|''|[^'\\])*'|\"(?:\\.|\"\"|[^\"\\])*\"|`(?:``|[^`])*`|\w+|\s+|.", re.DOTALL
)


def clauses(condition: str) -> list[str]:
    """Return the conditions that AND joins at the top level of one; itself where that is none or an OR.

    Examples
    --------
    >>> clauses("tokens BETWEEN 20 AND 2000 AND (a OR b) AND note <> 'x AND y'")
    ['tokens BETWEEN 20 AND 2000', '(a OR b)', "note <> 'x AND y'"]
    >>> clauses("(a AND b)"), clauses("a AND b OR c")
    (['a', 'b'], ['a AND b OR c'])
    """
    parts, depth, between = [""], 0, 0
    for token in _TOKEN.findall(condition):
        word = token.upper()
        if word in ("(", "[", "CASE"):
            depth += 1
        elif word in (")", "]", "END"):
            depth -= 1
        elif depth == 0 and word == "OR":
            return [condition.strip()]
        elif depth == 0 and word == "BETWEEN":
            between += 1
        elif depth == 0 and word == "AND" and between:
            between -= 1
        elif depth == 0 and word == "AND":
            parts.append("")
            continue
        if depth < 0:
            return [condition.strip()]
        parts[-1] += token
    found = [part.strip() for part in parts]
    if len(found) == 1 and (bare := _unwrapped(found[0])):
        return clauses(bare)
    return found if all(found) else [condition.strip()]


def ended(sql: str) -> str:
    """Return SQL with an end of line behind a comment that it ends on, so that more SQL can follow.

    Examples
    --------
    >>> ended("a > 1 -- enough"), ended("note <> '--'")
    ('a > 1 -- enough\\n', "note <> '--'")
    """
    return f"{sql}\n" if (_TOKEN.findall(sql) or [""])[-1].startswith("--") else sql


def _unwrapped(condition: str) -> str:
    """Return what stands in the brackets that enclose a whole condition; "" if none do."""
    if condition[:1] != "(" or condition[-1:] != ")":
        return ""
    depth, tokens = 0, _TOKEN.findall(condition)
    for place, token in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth == 0 and place < len(tokens) - 1:
            return ""
    return condition[1:-1].strip()
