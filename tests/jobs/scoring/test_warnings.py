"""When a score that compares rows with a target is said to choose by length, and what is advised."""

from __future__ import annotations

import math

import pytest

from lakesift.jobs.scoring.warnings import said_of_length


@pytest.mark.parametrize(
    ("correlation", "rows", "summed", "advice"),
    [
        (-0.97, 1000, True, "set per: token"),
        (-0.5, 30, True, "set per: token"),
        (-0.97, 1000, False, "compare with the control length_matched"),
        (0.7, 1000, True, "compare with the control length_matched"),  # long rows first: the mean cures nothing
        (0.5, 30, False, "compare with the control length_matched"),
        (-0.49, 1000, True, ""),
        (0.49, 1000, False, ""),
        (-0.97, 29, True, ""),
        (math.nan, 1000, True, ""),
    ],
)
def test_what_is_said_of_length(correlation: float, rows: int, summed: bool, advice: str) -> None:
    said = said_of_length("logw", "tokens", correlation, rows, summed)
    assert bool(said) == bool(advice)
    if advice:
        start = f"logw: its rank correlation with tokens is {correlation:.2f} among {rows:,} eligible rows, so it"
        assert said.startswith(f"{start} chooses by length, too: {advice}")
        assert said.endswith("or bound the length in where:")
