"""The budget of a selection: a block of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ...udfs.constraints import Above, AtLeast

Count = Annotated[int, AtLeast(1)]
Share = Annotated[float, Above(0, most=1)]


@dataclass(frozen=True)
class Budget:
    """Rows, a fraction of the documents, or tokens as the score `length` counts them."""

    rows: Count | None = None
    fraction: Share | None = None
    tokens: Count | None = None
    length: str = ""
    truncate_last: bool = False
