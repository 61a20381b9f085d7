"""How fast scores were computed: CPU-seconds a row, by the earlier runs of a recipe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pyspark.sql import functions as F

from ..lake.tables import Lake

#: Runs that are looked back on, and rows of a score from which its rate is believed: seconds are kept to a hundredth.
RUNS, FEWEST_ROWS = 20, 1_000


def measured_rates(lake: Lake, recipe: str) -> dict[str, float]:
    """Return CPU-seconds a row of each score that earlier runs of a recipe computed for at least FEWEST_ROWS rows."""
    if lake.last_write("runs") is None:
        return {}
    runs = lake.read("runs").where(F.col("recipe") == recipe).orderBy(F.desc("sequence")).limit(RUNS)
    return rates_of(json.loads(row["manifest"]) for row in runs.select("manifest").collect())


def rates_of(manifests: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return CPU-seconds a row by score, over all runs together that had the fingerprint of the newest one.

    Examples
    --------
    >>> lines = [{"step": "score a", "computed": 500, "kernel": 2.0}, {"step": "publish", "computed": None}]
    >>> run = {"fingerprints": {"a": "f1"}, "steps": lines}
    >>> rates_of([run, run]), rates_of([run])
    ({'a': 0.004}, {})
    """
    newest: dict[str, str] = {}
    sums: dict[str, tuple[int, float]] = {}
    for manifest in manifests:
        prints = manifest.get("fingerprints", {})
        for step in manifest.get("steps", ()):
            kind, _, name = step["step"].partition(" ")
            if kind != "score" or not step.get("computed") or step.get("kernel") is None:
                continue
            if newest.setdefault(name, prints.get(name)) == prints.get(name):
                rows, seconds = sums.get(name, (0, 0.0))
                sums[name] = rows + step["computed"], seconds + step["kernel"]
    return {name: seconds / rows for name, (rows, seconds) in sums.items() if rows >= FEWEST_ROWS}
