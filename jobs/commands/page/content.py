"""What a page shows beside the numbers of its report: plain data, gathered by jobs/commands/report_content.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Sets of points by name, as a report names sets: "pool", "selection", controls.
Points = Mapping[str, tuple[tuple[float, float], ...]]


@dataclass(frozen=True)
class Example:
    """A row to read: its id, its value of the score that is shown, and the beginning of its text.

    `rank` is that in the selection, None outside of it; `characters` is the length of the whole text.
    """

    id: str
    rank: int | None
    score: float | None
    text: str | None
    characters: int


@dataclass(frozen=True)
class Numbers:
    """A score and a length of a sample of every set, chosen by the hash of the id; rows without either left out.

    `use` is a sentence on what the selector does with the score; `cut` is the score of the last row selected, where the
    selector takes the best ones. A point is (length, score).
    """

    score: str
    length: str
    use: str
    cut: float | None
    points: Points


@dataclass(frozen=True)
class Map:
    """Vectors of a sample of every set in the two directions in which those of the pool vary most.

    `explained` are the shares of the variance of the pool's sample along both. `cover` is by set other than the pool,
    in order of rank: how many of the sampled rows are taken, and the mean cosine of the pool's rows to the nearest one.
    """

    vector: str
    explained: tuple[float, float]
    points: Points
    cover: Points


@dataclass(frozen=True)
class Changes:
    """What changed since an earlier version: `said` names edited keys and inputs; rows by reason."""

    version: int
    said: tuple[str, ...]
    went: Mapping[str, int]
    came: Mapping[str, int]
    stayed: int
    cut: tuple[float | None, float | None]


@dataclass(frozen=True)
class Content:
    """What a page shows beside its report; what the lake has nothing for is None or empty.

    Parameters
    ----------
    lake : str
        Its root, as a command names it.
    at : str
        When the version was committed, UTC.
    chosen_by : str
        The selector and its parameters.
    excluded : tuple of (str, int)
        The clauses of `where:` in order, and how many documents each leaves out that those before let in.
    examples : mapping
        By title, rows to read.
    gains : tuple of (float, float)
        Ranks and gains, some hundred at most.
    checks : tuple of (str, str, str)
        Of the selection's health: what was looked at, what was found, and "good", "look" or "unknown".
    reads : tuple of str
        What reads the rows of the selection, a line each.
    changes : Changes or str
        Since the version before; a sentence where there is nothing to compare.
    recipe : str
        As YAML that runs again; "" where the version does not keep it.
    manifest : mapping
        JSON values of the run's account of itself.
    """

    lake: str
    at: str
    chosen_by: str
    excluded: tuple[tuple[str, int], ...]
    numbers: Numbers | None
    map: Map | None
    gains: tuple[tuple[float, float], ...]
    examples: Mapping[str, tuple[Example, ...]]
    checks: tuple[tuple[str, str, str], ...]
    reads: tuple[str, ...]
    changes: Changes | str
    recipe: str
    manifest: Mapping[str, Any] = field(default_factory=dict)
