"""What a run makes of the stages of a chain: counts, notes, errors and lines of the closing table. Without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from lakesift.jobs import select
from lakesift.jobs.commands.diff import _stages as stages_of_versions
from lakesift.jobs.commands.made_from import Made
from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.recipe import parse
from lakesift.jobs.selectors.chain import Chain
from lakesift.jobs.selectors.stages import Stage
from lakesift.udfs.errors import BoundError, InputError
from tests.jobs.selectors.test_chain import FRAME, Best, in_pandas

__all__ = ["in_pandas"]
DOCUMENTS = 10  # two of them are not eligible


class Rows(pd.DataFrame):
    """A pandas frame of which SQL conditions choose every row."""

    def where(self, *_: Any) -> Any:
        return self


class Nothing:
    """Values on demand, of which none are computed."""

    own: frozenset[str] = frozenset()

    def __init__(self, *_: Any) -> None: ...

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __call__(self, _: Any, ids: Sequence[str] | None = None) -> pd.DataFrame:
        return pd.DataFrame({"id": list(ids or [])})


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch, in_pandas: list[Sequence[str]]) -> Any:
    """Choose by stages; returns the ids, the counts and the notes of the run."""
    monkeypatch.setattr(select, "count_rankable", lambda rows, _: (len(rows), int(rows["a"].notna().sum()), "true"))
    monkeypatch.setattr(select, "count_excluded", lambda *_: [])
    monkeypatch.setattr(select, "warn_of_scores", lambda *_: None)
    monkeypatch.setattr(select, "OnDemand", Nothing)

    def chosen(
        *stages: Stage, budget: int = 3, frame: pd.DataFrame = FRAME
    ) -> tuple[list[str], dict[str, Any], Manifest]:
        raw = {"name": "c", "documents": {"table": "d"}, "select": "random", "budget": {"rows": budget}}
        selector = Chain(stages) if len(stages) > 1 else stages[0].selector
        recipe, manifest = replace(parse(raw), selector=selector), Manifest("c", "")
        summary = SimpleNamespace(documents=DOCUMENTS)
        run: Any = SimpleNamespace(
            recipe=recipe, hashes=SimpleNamespace(summary=summary), manifest=manifest, start=None
        )
        picks, said = select.choose(run, {}, Rows(frame), None)  # type: ignore[arg-type]
        assert said["notes"] == manifest.notes
        manifest.counts |= said["counts"]
        assert in_pandas is not None
        return picks["id"].tolist(), said["counts"], manifest

    return chosen


def test_counts_and_lines_by_stage(choose: Any) -> None:
    ids, counts, manifest = choose(Stage(Best(floor=2)), Stage(Best("b")))
    assert ids == ["b", "d", "e"]
    assert {k: v for k, v in counts.items() if k != "stages"} == {
        "documents": 10, "ineligible": 2, "unranked": 1, "selected": 3
    }  # fmt: skip
    assert counts["stages"] == [
        {"kind": "best", "rows": 8, "undefined": 1, "kept": 6},
        {"kind": "best", "rows": 6, "undefined": 1, "kept": 3},
    ]
    with manifest.step("select", "selection_c") as step:
        step.ends(4, True)
        manifest.add_stages(step)
    lines = [(s.step, s.rows, s.computed, s.undefined, s.outcome) for s in manifest.steps[1:]]
    assert lines == [
        ("select, stage 1: best", 8, 6, 1, "wrote version 4"), ("select, stage 2: best", 6, 3, 1, "wrote version 4")
    ]  # fmt: skip
    alone = choose(Stage(Best("a", floor=2)))
    assert "stages" not in alone[1]
    assert alone[2].notes == ["salt 'c best', values of []"]


def test_less_than_the_budget_is_noted_with_its_cause(choose: Any) -> None:
    ids, _, manifest = choose(Stage(Best(floor=2)), Stage(Best("b", floor=4)), budget=9)
    assert ids == ["b", "d", "e"]
    assert manifest.notes[-1] == (
        "budget is 9 rows, 3 could be selected (2 ineligible, 1 unranked, 1 left out by stage 1 (best), 1 unranked by "
        "stage 2, 2 left out by best)"
    )


def test_nothing_left_is_one_sentence(choose: Any) -> None:
    with pytest.raises(InputError) as caught:
        choose(Stage(Best(floor=99)), Stage(Best("b")))
    assert str(caught.value) == (
        "no row of 10 can be selected (2 ineligible, 1 unranked, 7 left out by stage 1 (best)); widen where:, or look "
        "at scores_c"
    )
    with pytest.raises(InputError, match=r"1 unranked, 1 left out by stage 1 \(best\), 6 unranked by stage 2\); widen"):
        choose(Stage(Best(floor=2)), Stage(Best("b")), frame=FRAME.assign(b=float("nan")))
    with pytest.raises(InputError, match=r"\(2 ineligible, 8 unranked\); widen where:"):
        choose(Stage(Best()), Stage(Best("b")), frame=FRAME.assign(a=float("nan")))


def test_diff_compares_stages_of_the_same_chain() -> None:
    def version(*stages: tuple[str, int, int]) -> Made:
        said = [{"kind": kind, "rows": rows, "undefined": 0, "kept": kept} for kind, rows, kept in stages]
        return Made(1, {"counts": {"stages": said} if said else {}}, True, 3)

    old, new = (version(("semdedup", 2000, kept), ("k_center", kept, 3)) for kept in (1234, 900))
    assert stages_of_versions((old, new)) == (
        "stage 1, semdedup: kept 1,234 of 2,000 rows, keeps 900 of 2,000",
        "stage 2, k_center: kept 3 of 1,234 rows, keeps 3 of 900",
    )
    for other in (version(), version(("deita", 9, 3), ("k_center", 3, 3)), Made(1, {}, True, 3)):
        assert stages_of_versions((old, other)) == stages_of_versions((other, old)) == ()


def test_an_error_of_the_last_stage_names_it(choose: Any) -> None:
    with pytest.raises(BoundError, match=r"^select, stage 2: floor is -1"):
        choose(Stage(Best()), Stage(Best("b", floor=-1)))
    with pytest.raises(BoundError, match=r"^floor is -1"):
        choose(Stage(Best(floor=-1)))
