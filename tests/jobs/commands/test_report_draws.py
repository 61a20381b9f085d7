"""What a report says of several draws: means, intervals, and which figures of the selection lie outside."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import pytest

from lakesift.jobs.commands.report_draws import Sets
from lakesift.jobs.commands.report_result import QUANTILES, Report
from lakesift.jobs.selectors import selectors
from lakesift.jobs.selectors.selector import Selector

DRAWS = {"random": ["random", "random, draw 2", "random, draw 3"], "top_k": ["top_k"]}
#: t of two degrees of freedom at .975, times sqrt(1 + 1/3).
THREE = 4.302652729911275 * math.sqrt(4 / 3)


def means(by_set: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return Sets(cast(Any, None), DRAWS).means(by_set)


def of_sets(pool: Any, selection: Any, *draws: Any, top_k: Any) -> dict[str, Any]:
    return {"pool": pool, "selection": selection, **dict(zip(DRAWS["random"], draws, strict=True)), "top_k": top_k}


def test_numbers_lists_and_shares() -> None:
    mean, half = means(of_sets(0.5, 0.7, 0.4, 0.5, 0.6, top_k=0.9))
    assert mean == {"pool": 0.5, "selection": 0.7, "random": pytest.approx(0.5), "top_k": 0.9}
    assert half == {"random": pytest.approx(0.1 * THREE), "top_k": None}
    mean, half = means(of_sets([1.0, None], [2.0, None], [1.0, None], [2.0, 7.0], [3.0, 7.0], top_k=[5.0, None]))
    assert (mean["random"], half["random"]) == ([2.0, 7.0], [pytest.approx(THREE), 0.0])
    assert (mean["top_k"], half["top_k"]) == ([5.0, None], [None, None])
    mean, half = means(of_sets({"a": 1.0}, {"a": 1.0}, {"a": 1.0}, {"a": 0.7, "b": 0.3}, {"a": 1.0}, top_k={"b": 1.0}))
    assert mean["random"] == {"a": pytest.approx(0.9), "b": pytest.approx(0.1)}, "a value that a draw lacks is 0 there"
    assert half["random"] == dict.fromkeys("ab", pytest.approx(0.3 / math.sqrt(3) * THREE))
    assert means({"pool": 1.0, "selection": 2.0}) == ({"pool": 1.0, "selection": 2.0}, {})


def report(**changes: Any) -> Report:
    sets = ("pool", "selection", "random", "top_k")
    given: dict[str, Any] = {
        "recipe": "r", "run_id": "x", "selection_version": 1, "counts": {"documents": 9}, "sets": sets,
        "draws": {"random": 10, "top_k": 1}, "rows": dict.fromkeys(sets, 4),
        "shares": {"kind": {"pool": {"a": 0.5, "b": 0.5}, "selection": {"a": 1.0}, "random": {"a": 0.6, "b": 0.4},
                            "top_k": {"a": 1.0}}},
        "quantiles": {"tokens": {s: [float(i)] * len(QUANTILES) for i, s in enumerate(sets)}},
        "correlation_with_length": {}, "length": "tokens", "pool_sample": 9, "undefined": {"tokens": 0.0},
        "held_out_bits_per_byte": {
            "exam": {"bytes": 1000, "held_out_rows": 5, "held_out_texts": 4, "found_in_documents": 3,
                     "found_in_selection": 2, "worth": {"why_not": "4 texts are too few"},
                     "bits": {"pool": 3.0, "selection": 2.5, "random": 2.9, "top_k": 2.8}},
        },
        "plus_minus": {
            "shares": {"kind": {"random": {"a": 0.3, "b": 0.5}, "top_k": {"a": None}}},
            "quantiles": {"tokens": {"random": [0.5, 1.0, 1.5, 123.4, 0.0], "top_k": [None] * len(QUANTILES)}},
            "bits": {"exam": {"random": 0.05, "top_k": None}},
        },
        "hints": (), "notes": (),
    }  # fmt: skip
    return Report(**{**given, **changes})


def test_the_text_says_how_many_draws_and_what_lies_outside() -> None:
    lines = str(report()).splitlines()
    said = "draws of controls: 10 of random; mean +- half of the interval that holds 95 % of further draws, * where the"
    assert any(line.startswith(said) for line in lines)
    assert "one draw, without an interval: top_k" in lines
    words = [line.split() for line in lines]
    assert ["a", "0.500", "1.000", "0.600", "+-", "0.300*", "1.000"] in words
    assert ["b", "0.500", "0.000", "0.400", "+-", "0.500", "0.000"] in words, "0 is inside of .4 +- .5"
    lengths = next(" ".join(w) for w in words if w[:2] == ["random", "4"])
    assert lengths == "random 4 2 +- 0.5* 2 +- 1 2 +- 1.5 2 +- 120 2 +- 0*", "the selection has 1 everywhere"
    assert ["random", "2.9", "0.05", "below"] in words
    assert ["top_k", "2.8"] in words
    assert any(line.startswith("3 of 4 different held-out texts stand among the documents, 2 in the") for line in lines)


@pytest.mark.parametrize(("selection", "side"), [(2.86, "inside"), (2.949, "inside"), (2.96, "above"), (None, None)])
def test_sides(selection: float | None, side: str | None) -> None:
    shown = report()
    exam = shown.held_out_bits_per_byte["exam"]
    shown = replace(shown, held_out_bits_per_byte={"exam": {**exam, "bits": {**exam["bits"], "selection": selection}}})
    (line,) = (line for line in str(shown).splitlines() if line.startswith("random") and "2.9" in line)
    assert line.split()[3:] == ([side] if side else [])


def test_every_selector_says_whether_a_report_draws_it_again() -> None:
    made: dict[str, dict[str, Any]] = {
        "top_k": {"by": "s"}, "interval": {"bounds": {"s": [0, 1]}}, "random": {}, "stratified": {"column": "c"},
        "length_matched": {"length": "n"}, "resample": {"by": "w"}, "zipfit_race": {"by": "s"},
        "kmq": {"cluster": "c", "quality": "q"}, "kmeans_random": {"cluster": "c"}, "kmeans_closest": {"cluster": "c"},
        "k_center": {}, "facility_location": {}, "semdedup": {"cluster": "c", "by": "s"}, "deita": {"by": "s"},
        "sensitivity": {"cluster": "c", "loss": "s"}, "sensitivity_regression": {"cluster": "c", "label": "s"},
        "mig": {"labels": "l", "quality": "q"},
    }  # fmt: skip
    classes: dict[str, type[Selector]] = selectors()
    assert set(made) == set(classes)
    again = {kind for kind, cls in classes.items() if cls(**made[kind]).redraws}
    assert again == {"random", "length_matched", "resample", "stratified", "interval", "kmq", "kmeans_random"}
    assert not classes["stratified"](column="c", by="s").redraws
    assert not classes["interval"](bounds={"s": [0, 1]}, within="middle").redraws
