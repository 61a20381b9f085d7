"""Small samples: so that a pool of hundreds of rows takes the same path as one of millions."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakesift.jobs.ranking.top.RATES", (0.25,))
    monkeypatch.setattr("lakesift.jobs.ranking.quantiles.RATES", (0.25,))
    # A margin of 1 misses often: the second one must then find the rows.
    monkeypatch.setattr("lakesift.jobs.ranking.top.MARGINS", (0.5, 1.0, 1e9))
    monkeypatch.setattr("lakesift.jobs.ranking.quantiles.MARGINS", (0.5, 1.0, 1e9))
