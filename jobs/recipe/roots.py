"""What a score reads in the end: document inputs (text, prompt, completion) and source columns, and their hashes."""

from __future__ import annotations

import re

from ...udfs.scorer import DOCUMENT_INPUTS
from .recipe import Recipe


def roots(recipe: Recipe, label: str) -> tuple[str, ...]:
    """Return the document inputs, in fixed order, and the source columns at the root of a score."""
    found: set[str] = set()
    for name in recipe.scores[label].inputs:
        found |= set(roots(recipe, name)) if name in recipe.scores else {name}
    return (*(n for n in DOCUMENT_INPUTS if n in found), *sorted(found - {*DOCUMENT_INPUTS}))


def input_sets(recipe: Recipe) -> list[tuple[str, ...]]:
    """Return the distinct sets of roots, text alone first."""
    return list(dict.fromkeys([("text",), *(roots(recipe, label) for label in recipe.scores)]))


def hash_name(names: tuple[str, ...]) -> str:
    """Return the column of keys that holds the hash of these inputs.

    Examples
    --------
    >>> hash_name(("text",)), hash_name(("text", "my vector"))
    ('hash_text', 'hash_text_my_vector')
    """
    return "hash_" + "_".join(re.sub(r"\W", "_", n) for n in names)


def source_columns(recipe: Recipe) -> tuple[str, ...]:
    """Return the source columns that scores read as they are."""
    return tuple(dict.fromkeys(n for s in input_sets(recipe) for n in s if n not in DOCUMENT_INPUTS))
