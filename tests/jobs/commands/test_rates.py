"""Rates of earlier runs: summed over runs of one fingerprint, believed from a thousand rows on, and told by a plan."""

from __future__ import annotations

from typing import Any

from lakesift.jobs.commands.predicted_steps import _more, _numbers, cpu_hours
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
    assert cpu_hours(recipe, "tokens", 3_600_000, {"tokens": 0.01}) == 10
    assert cpu_hours(recipe, "tokens", None, {"tokens": 0.01}) == 0
    assert _numbers(recipe, "tokens", 1_000, {}, 4) == ": 1,000 rows"
    said = ": 3,600,000 rows, about 10 CPU-hours as measured in earlier runs, 150 minutes on 4 cores"
    assert _numbers(recipe, "tokens", 3_600_000, {"tokens": 0.01}, 4) == said
    assert " CPU-hours roughly, " in _numbers(recipe, "tokens", 10**9, {}, 4)
    assert _more(1_100, {"counts": {"documents": 1_000}}) == "; +100 documents since the last run"
    assert _more(None, {"counts": {"documents": 1_000}}) == _more(5, {}) == ""
