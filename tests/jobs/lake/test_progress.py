"""What a long step says: rows, rate, and how long the rest takes."""

from __future__ import annotations

import pytest

from lakesift.jobs.lake import pace as pace_of_work
from lakesift.jobs.lake.pace import Pace, duration


def test_the_first_unit_does_not_count_once_there_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(pace_of_work.time, "monotonic", lambda: now)
    pace = Pace(1000)
    now = 50.0  # workers start and load a model
    assert pace.after(100) == "100 of 1,000 rows, 2.0 rows/s, about 8 min left"
    now = 70.0
    assert pace.after(300) == "300 of 1,000 rows, 10 rows/s, about 70 s left"
    now = 140.0
    assert pace.after(1000) == "1,000 of 1,000 rows, 10 rows/s"


def test_no_rows_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_of_work.time, "monotonic", lambda: 0.0)
    assert Pace(10).after(0) == "0 of 10 rows, 0 s"


def test_durations() -> None:
    assert [duration(s) for s in (0, 119.4, 120, 7199, 7200)] == ["0 s", "119 s", "2 min", "120 min", "2.0 h"]
