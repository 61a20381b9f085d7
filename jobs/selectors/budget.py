"""The budget of a selection: a block of a recipe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Rows, a fraction of the documents, or tokens counted by a label."""

    rows: int | None = None
    fraction: float | None = None
    tokens: int | None = None
    count: str = ""
    truncate_last: bool = False
