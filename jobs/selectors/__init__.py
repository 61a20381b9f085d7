"""Selectors: one file = one family; a new file in this folder is found without any other change."""

from __future__ import annotations

from ...udfs.discovery import discover
from .selector import Selector


def selectors() -> dict[str, type]:
    """Return every selector by kind."""
    return discover("lakesift.jobs.selectors", "lakesift.selectors", (Selector,))
