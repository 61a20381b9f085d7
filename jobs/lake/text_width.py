"""Texts in the columns of a terminal: how wide they are, and how they are shortened or folded where they do not fit."""

from __future__ import annotations

import unicodedata


def width_of(text: str) -> int:
    """Return the columns that a terminal takes for a text: two for East Asian wide signs, none for combining ones.

    Examples
    --------
    >>> width_of("abc"), width_of("\\u6f22\\u5b57"), width_of("e\\u0301")
    (3, 4, 1)
    """
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(sign: str) -> int:
    if unicodedata.combining(sign) or unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def middle(text: str, most: int) -> str:
    """Return a text of at most `most` columns: beginning and end of one that is too wide, around an ellipsis.

    Examples
    --------
    >>> middle("selection_zipfit_code", 12), middle("short", 12), middle("abc", 1)
    ('select…_code', 'short', '…')
    """
    if width_of(text) <= most:
        return text
    # Far more signs than columns are never shown: combining ones are few.
    begin, end = _first(text[: 4 * most], most // 2), _first(text[: -4 * most - 1 : -1], (most - 1) // 2)
    while end and not _columns(end[-1]):  # what stood on a sign that is left out
        end = end[:-1]
    return f"{begin}…{end[::-1]}"


def _first(text: str, most: int) -> str:
    """Return the beginning of a text that fits."""
    taken = ""
    for sign in text:
        if width_of(taken + sign) > most:
            break
        taken += sign
    return taken


def folded(text: str, most: int) -> list[str]:
    """Return the lines of a text that is broken between words; a word that is too wide is shortened in the middle.

    Examples
    --------
    >>> folded("one two three", 7), folded("", 7)
    (['one two', 'three'], [''])
    """
    lines: list[str] = []
    for word in (middle(word, most) for word in text.split(" ")):
        if lines and width_of(lines[-1]) + 1 + width_of(word) <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def padded(text: str, width: int, right: bool = False) -> str:
    """Return a text with blanks after it, or before it, up to a width."""
    blanks = " " * (width - width_of(text))
    return blanks + text if right else text + blanks
