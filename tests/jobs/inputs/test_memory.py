"""What does not fit the driver is refused where that is certain, and by the bounds that a run would meet. No JVM."""

from __future__ import annotations

from typing import Any

import pytest

from lakesift.jobs.inputs import memory
from lakesift.jobs.inputs.memory import bounded, check_memory, held_by_driver, not_fitting
from lakesift.jobs.lake.memory import machine_bytes
from lakesift.jobs.ranking.centres_in_rounds import most_centres
from lakesift.jobs.ranking.label_rows import ROW_BYTES
from lakesift.jobs.ranking.vectors import VECTOR_BYTES, vector_bytes
from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.selectors import selectors
from lakesift.udfs.errors import BoundError
from lakesift.udfs.kernels.facility_location import DENSE_ROWS
from lakesift.udfs.kernels.neighbours import NEIGHBOURS_ROWS
from lakesift.udfs.kernels.racing import MOST_ROWS

VECTOR = {"vector": {"kind": "embedding"}}
CELLS = {**VECTOR, "cells": {"kind": "kmeans", "k": 10}}
#: Rows of 256 numbers that the driver takes.
MOST = VECTOR_BYTES // vector_bytes(1, 256)


def recipe(select: dict[str, Any] | str, scores: dict[str, Any], **more: Any) -> Recipe:
    raw = {"name": "r", "documents": {"table": "docs"}, "scores": scores, "select": select, "budget": {"rows": 9}}
    return parse({**raw, "controls": [], **more})


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with room for everything."""
    monkeypatch.setattr(memory, "machine_bytes", lambda: 10**15)


RACE: dict[str, Any] = {"targets": {"goals": {"table": "goals"}}}
#: Selector, scores, more of the recipe, and the rows that it takes at most.
BOUNDED = [
    ({"kind": "k_center"}, VECTOR, {}, None),
    ({"kind": "facility_location"}, VECTOR, {}, None),
    ({"kind": "facility_location", "mode": "dense"}, VECTOR, {}, DENSE_ROWS),
    ({"kind": "facility_location", "mode": "neighbours"}, VECTOR, {}, NEIGHBOURS_ROWS),
    ({"kind": "deita", "by": "tokens"}, VECTOR | {"tokens": "length_tokens"}, {}, None),
    ({"kind": "semdedup", "cluster": "cells"}, CELLS, {}, None),
    (
        {"kind": "mig", "labels": "topics", "gain": "exact"},
        VECTOR | {"topics": {"kind": "tags"}},
        {},
        VECTOR_BYTES // ROW_BYTES,
    ),
    ({"kind": "zipfit_race", "by": "fit"}, {"fit": {"kind": "zipfit", "target": "goals"}}, RACE, MOST_ROWS),
    ({"kind": "top_k", "by": "tokens"}, {"tokens": "length_tokens"}, {"controls": ["random"]}, None),
    ({"kind": "kmeans_random", "cluster": "cells"}, CELLS, {}, None),
]


@pytest.mark.parametrize(("select", "scores", "more", "most"), BOUNDED, ids=lambda v: str(v)[:40])
def test_rows_are_refused_from_the_bound_on_unless_some_may_be_left_out(
    select: dict[str, Any], scores: dict[str, Any], more: dict[str, Any], most: int | None
) -> None:
    one = recipe(select, scores, **more)
    assert bounded(one) == (most is not None or bool(one.selector.collects))
    check_memory(one, most or 10**11)
    check_memory(one, None)
    if most is None:
        return
    with pytest.raises(BoundError, match=rf"{select['kind']} holds at most {most:,} rows .* there are {most + 1:,}"):
        check_memory(one, most + 1)
    fewer = recipe(select, scores, **more, where="length(text) > 9")
    check_memory(fewer, most + 1)
    assert not_fitting(fewer, most + 1)
    assert not not_fitting(fewer, most)


def test_every_selector_that_holds_vectors_is_in_the_table() -> None:
    named = {select["kind"] for select, _, _, _ in BOUNDED}
    assert {kind for kind, cls in selectors().items() if cls.collects} <= named


def test_a_control_and_a_machine_are_bounds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    beside = recipe(
        {"kind": "top_k", "by": "tokens"},
        VECTOR | {"tokens": "length_tokens"},
        controls=[{"kind": "facility_location", "mode": "dense"}],
    )
    with pytest.raises(BoundError, match="controls: facility_location holds at most 10,000 rows"):
        check_memory(beside, DENSE_ROWS + 1)
    monkeypatch.setattr(memory, "machine_bytes", lambda: 10**9)
    with pytest.raises(BoundError, match=r"holds about 1,224,000,000 bytes of 1,000,000 rows .* has 1,000,000,000"):
        check_memory(recipe({"kind": "k_center"}, VECTOR), 1_000_000)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"cells": {"kind": "kmeans", "k": 16_000, "fit_rows": 1}}, "scores.cells: 16000 centroids of 256 values"),
        ({"cells": {"kind": "kmeans", "k": 3_000}}, "scores.cells: the sample of 600000 rows of 256 values"),
        ({"cells": {"kind": "leverage"}}, ""),
    ],
)
def test_what_no_fit_can_hold_is_refused_whatever_the_table(scores: dict[str, Any], said: str) -> None:
    one = recipe({"kind": "random"}, VECTOR | scores)
    if not said:
        check_memory(one, None)
        return
    with pytest.raises(BoundError, match=said):
        check_memory(one, None)


def test_a_budget_above_the_driver_is_refused_before_anything_runs() -> None:
    with pytest.raises(BoundError, match="the budget is 5,000,001 rows; the driver holds at most 5,000,000"):
        check_memory(recipe({"kind": "random"}, {"tokens": "length_tokens"}, budget={"rows": 5_000_001}), None)
    with pytest.raises(BoundError, match="the budget is 6,000,000 rows"):
        check_memory(recipe({"kind": "random"}, {"tokens": "length_tokens"}, budget={"fraction": 0.6}), 10**7)


def test_of_vectors_above_the_limit_the_driver_holds_as_many_as_it_takes() -> None:
    for rows in (MOST, MOST + 1, 100 * MOST):
        held = {h.what: h.bytes for h in held_by_driver(recipe({"kind": "k_center"}, VECTOR), rows)}
        assert held["select k_center"] == MOST * vector_bytes(1, 256)


def test_more_picks_than_rounds_make_are_refused_before_anything_is_scored() -> None:
    """As the selector would refuse them, after hours of scores."""
    most, many = most_centres(256), {"rows": most_centres(256) + 1}
    for select, within in (({"kind": "k_center"}, {}), ("random", {"controls": [{"kind": "k_center"}]})):
        check_memory(recipe(select, VECTOR, budget={"rows": most}, **within), MOST + 1)
        check_memory(recipe(select, VECTOR, budget=many, **within), MOST)  # one driver holds all vectors
        with pytest.raises(BoundError, match=f"k_center picks at most {most:,} of {MOST + 1:,} rows, and {most + 1:,}"):
            check_memory(recipe(select, VECTOR, budget=many, **within), MOST + 1)
    with pytest.raises(BoundError, match=rf"k_center picks at most {most:,} of 10,000,000 rows, and 1,000,000 are"):
        check_memory(recipe({"kind": "k_center"}, VECTOR, budget={"fraction": 0.1}), 10**7)
    kept = recipe({"kind": "deita", "by": "n"}, VECTOR | {"n": "length_tokens"}, budget={"rows": 900_000})
    check_memory(kept, 10**7)  # unless enough of them are near-duplicates
    assert "deita picks at most" in not_fitting(kept, 10**7)[0]


def test_what_is_held_is_told_in_bytes() -> None:
    held = {h.what: h.bytes for h in held_by_driver(recipe({"kind": "k_center"}, CELLS), 100_000)}
    assert held == {
        "the fit of cells": 100_000 * (4 * 256 + 200) + 4 * 256 * 10 * 200,
        "select k_center": 100_000 * (4 * 256 + 200),
        "the selection": 9 * 150,
    }
    assert (machine_bytes() or 0) > 2**28
