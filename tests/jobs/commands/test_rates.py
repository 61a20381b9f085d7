"""Rates of earlier runs: summed over runs of one fingerprint, believed from a thousand rows on, and told by a plan."""

from __future__ import annotations

from typing import Any

from lakesift.jobs.commands.predicted_costs import ROUGH, Cost, Rate, cost_table, rates_of_scores, said_of
from lakesift.jobs.commands.predicted_steps import _more
from lakesift.jobs.commands.probe import Measures
from lakesift.jobs.commands.rates import rates_of
from lakesift.jobs.recipe import parse


def manifest(prints: dict[str, str], **steps: tuple[int | None, float | None]) -> dict[str, Any]:
    lines = [{"step": f"score {name}", "computed": n, "kernel": s} for name, (n, s) in steps.items()]
    return {"fingerprints": prints, "steps": [{"step": "compute", "computed": 9, "kernel": None}, *lines]}


def test_rates_are_of_the_newest_fingerprint_and_of_enough_rows() -> None:
    newest = manifest({"a": "f2", "b": "g"}, a=(600, 3.0), b=(10, 0.0))
    middle = manifest({"a": "f2", "b": "g"}, a=(600, 0.6), b=(0, 0.0))
    oldest = manifest({"a": "f1", "b": "g"}, a=(10_000, 900.0), b=(990, 5.0))
    assert rates_of([newest, middle, oldest]) == {"a": 3.6 / 1200, "b": 5.0 / 1000}
    assert rates_of([newest]) == {}
    assert rates_of([manifest({}, a=(None, None))]) == {}
    assert rates_of([]) == {}


def test_a_plan_tells_rows_and_time() -> None:
    recipe = parse({
        "name": "told",
        "documents": {"table": "docs"},
        "scores": {"tokens": {"kind": "length_tokens"}},
        "select": {"kind": "top_k", "by": "tokens"},
        "budget": {"rows": 5},
    })  # fmt: skip
    own = recipe.scores["tokens"].seconds_per_row
    rough = rates_of_scores(recipe, {}, Measures())["tokens"]
    assert rough == (own, ROUGH)
    probed = Measures(400, {"tokens": 0.02}, {})
    assert rates_of_scores(recipe, {"tokens": 0.01}, probed)["tokens"] == (0.01, "earlier runs")
    assert rates_of_scores(recipe, {}, probed)["tokens"] == (0.02, "a probe of 400 rows")
    earlier = Rate(0.01, "earlier runs")
    assert Cost("tokens", 3_600_000, earlier).hours == 10
    assert Cost("tokens", None, earlier).hours == 0
    assert Cost("tokens", 9, Rate(None, "unknown")).cpu_seconds is None
    assert said_of(Cost("tokens", 1_000, rough), 4) == ": 1,000 rows"
    said = ": 3,600,000 rows, about 10 CPU-hours as measured in earlier runs, 150 minutes on 4 cores"
    assert said_of(Cost("tokens", 3_600_000, earlier), 4) == said
    assert " CPU-hours roughly, " in said_of(Cost("tokens", 10**9, rough), 4)
    assert said_of(Cost("tokens", None, rough), 4) == ""
    table = cost_table([Cost("tokens", 60_000, earlier), Cost("cells", 60_000, Rate(None, "unknown"))], 4)
    assert table.rows[0] == ("tokens", 60_000, 10_000.0, 600.0, 2.5, "earlier runs")
    assert table.rows[1:] == (
        ("cells", 60_000, None, None, None, "unknown"),
        ("all", None, None, 600.0, 2.5, "without 1 that are unknown"),
    )
    assert _more(1_100, {"counts": {"documents": 1_000}}) == "; +100 documents since the last run"
    assert _more(None, {"counts": {"documents": 1_000}}) == _more(5, {}) == ""
