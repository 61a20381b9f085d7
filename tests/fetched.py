"""Models that are not at hand everywhere: tests of them are skipped where their files are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakesift.udfs.errors import LakeSiftError
from lakesift.udfs.models import files


def fetched(name: str) -> Path:
    """Return the folder of a model; skips the test, with what is missing, where it has not been fetched."""
    try:
        return files.verified(name)
    except LakeSiftError as error:
        pytest.skip(str(error))
