"""Where ingest takes a table from: a block of a recipe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Where ingest takes a table from: files of a format, or a sample that a package ships."""

    files: tuple[str, ...] = ()
    format: str = ""
    sample: str = ""
