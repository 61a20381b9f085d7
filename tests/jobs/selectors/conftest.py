"""Small samples: so that a pool of hundreds of rows takes the same path as one of millions."""

from __future__ import annotations

import pytest

from lakesift.jobs.ranking import quantiles, top


@pytest.fixture(autouse=True)
def _small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "RATES", (0.25,))
    for module in (top, quantiles):
        # A margin of 1 misses often: the second one must then find the rows.
        monkeypatch.setattr(module, "MARGINS", (0.5, 1.0, 1e9))
