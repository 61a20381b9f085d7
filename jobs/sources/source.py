"""A source: the `from:` block of a recipe, which names the files or the sample that a table is ingested from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Files of a format, or a sample that a package ships."""

    files: tuple[str, ...] = ()
    format: str = ""
    sample: str = ""
