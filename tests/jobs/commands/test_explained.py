"""The words of explain and at, from facts by hand: each decision has its reason, and data makes no lines of its own."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lakesift.jobs.commands.absent_rows import is_text
from lakesift.jobs.commands.explain import Explained, Explanation
from lakesift.jobs.commands.explained import Facts, explained
from lakesift.jobs.commands.other_budget import Choice, _checked, _curve, _total
from lakesift.jobs.selectors.kmeans_quota import KMQ, KMeansClosest
from lakesift.jobs.selectors.selector import Selector
from lakesift.jobs.selectors.sensitivity import Sensitivity
from lakesift.jobs.selectors.top_k import TopK
from lakesift.udfs.errors import InputError

ROW: dict[str, Any] = dict.fromkeys(("rank", "place", "gain", "duplicate_of", "similarity", "selection_rank"))


def told(selector: Selector, row: dict[str, Any], **known: Any) -> dict[str, Any]:
    """Return what is said of a row under a selector that chose 10 of 40 rows."""
    rows = SimpleNamespace(select=lambda *_: None)
    recipe = SimpleNamespace(selector=selector, refine=None, name="few")
    again: Any = SimpleNamespace(recipe=recipe, selected=10, rankable=40, rows=rows)
    facts: dict[str, Any] = {
        "depth": 20,
        "tokens": None,
        "cut": 0.5,
        "scores": {},
        "clauses": {},
        "groups": {},
        "gains": {},
    }
    return explained(again, Facts(**{**facts, "vector": "", "nearest": {}, **known}), {"reason": "", **ROW, **row})


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TopK, "own_gain", lambda *_: "a column")
    monkeypatch.setattr(KMeansClosest, "own_gain", lambda *_: "a column")


def test_rows_below_the_cut_say_by_how_much() -> None:
    near = told(TopK("q"), {"id": "a", "decision": "below the cut", "place": 12, "gain": 0.25})
    assert near["text"] == (
        "'a' is below the cut: place 12 in the order of top_k, which is cut at 10; its gain 0.25 is 0.25 below the cut "
        "of 0.5. To choose it: a budget of 12 rows, or a gain above 0.5."
    )
    far = told(TopK("q"), {"id": "a", "decision": "below the cut"}, gains={"a": -1.5})
    assert "not among the first 20 in the order of top_k" in far["text"]
    assert "its gain -1.5 is 2 below the cut of 0.5" in far["text"]
    assert far["change"] == "a budget above 20 rows, or a gain above 0.5"
    drawn = told(KMQ("cells", quality="q"), {"id": "a", "decision": "below the cut", "place": 12}, cut=None)
    assert (drawn["change"], drawn["cut"]) == ("a budget of 12 rows", None)
    group = ("cells", "3", 8, 2, 0.75)
    own = told(
        KMeansClosest("cells"), {"id": "a", "decision": "below the cut", "place": 15, "gain": 0.5}, groups={"a": group}
    )
    assert own["cut"] == 0.75, "the cut of its own cluster, which has a quota"
    assert "In its cells, 3, 2 of 8 rows that can be ranked are chosen." in own["text"]


def test_other_decisions_say_why() -> None:
    clauses = [("q > 1", {"q": "0.5"}), ("m <> 'a\nb'", {"m": "a\nb"})]
    out = told(TopK("q"), {"id": "a\nnote: b", "decision": "ineligible"}, clauses={"a\nnote: b": clauses})
    assert "q > 1 does not hold (q is '0.5'); m <> 'a\\nb' does not hold" in out["text"]
    assert "\n" not in out["text"]
    twin = {"id": "a", "decision": "near-duplicate", "duplicate_of": "b" * 200, "similarity": 0.98765}
    said = told(TopK("q"), twin)
    assert f"it comes after '{'b' * 79}…', at cosine 0.9877" in said["text"]
    assert said["duplicate_of"] == "b" * 200
    known = {"scores": {"a": [("q", 0.25, 0.5), ("none", None, None)]}, "nearest": {"a": ("c", 0.9)}, "vector": "v"}
    chosen = told(TopK("q"), {"id": "a", "decision": "selected", "rank": 3, "place": 3, "gain": 0.75}, **known)
    assert chosen["text"] == (
        "'a' is selected: rank 3 of 10 that top_k chose from 40, gain 0.75 where the cut is 0.5. The nearest other "
        "chosen row by v is 'c', at cosine 0.9000. Its scores: q 0.25 (quantile 0.50). To leave it out: a budget "
        "below 3 rows."
    )
    drawn = told(Sensitivity("cells", loss="q"), {"id": "a", "decision": "selected", "rank": 1, "gain": float("nan")})
    assert (drawn["gain"], drawn["change"]) == (None, "another budget, or another seed")
    for decision in ("undefined", "left out", "chosen before"):
        plain = told(TopK("q"), {"id": "a", "decision": decision, "reason": "q is\x1b undefined"})
        assert plain["text"].startswith(f"'a' is {decision}: q is\\x1b undefined. To choose it: ")


def test_explanations_are_text_and_json() -> None:
    row = told(TopK("q"), {"id": "a", "decision": "selected", "rank": 1, "place": 1, "gain": float("inf")})
    rows = (Explained(**row), Explained("\udc80\u202e", "not in the pool", "x", "y", "z"))
    shown = Explanation("few", 3, 10, rows, ("a note",))
    assert str(shown).startswith("selection_few, version 3: 10 rows\nnote: a note\n\n'a' is selected")
    assert "\u202e" not in str(shown)
    body = json.loads(json.dumps(shown.to_dict(), allow_nan=False))
    assert [(r["id"], r["gain"]) for r in body["rows"]] == [("a", "inf"), ("\udc80\u202e", None)]
    assert [is_text(text) for text in ("", "a", "\udc80")] == [True, True, False]


def test_the_curve_bends_where_rows_bring_less_than_the_mean() -> None:
    gain = np.array([np.nan, 9, 8, 1, 1, 1, 1, 1, 1, 1.0])
    order = pd.DataFrame({"id": list("abcdefghij"), "rank": range(1, 11), "gain": gain})
    total = _total(order)
    assert total is not None
    assert total[:3].tolist() == [9, 18, 26], "the first row of k-center has no gain: that of the second"
    assert _total(order.assign(gain=np.nan)) is None
    assert _curve(order, total).rows[-1] == (10, 1.0, 33.0)
    choice = Choice("few", 1, 5, 3, None, order.head(3), _curve(order, total), 3, ("a note",))
    assert "3 rows, fewer than the 5 of selection_few, version 1; nothing is written\nnote: a note" in str(choice)
    assert "the curve bends at 3 rows" in str(choice)
    body = json.loads(json.dumps(choice.to_dict(), allow_nan=False))
    assert body["picks"] == [
        {"id": "a", "rank": 1, "gain": None}, {"id": "b", "rank": 2, "gain": 9.0}, {"id": "c", "rank": 3, "gain": 8.0},
    ]  # fmt: skip


def test_what_to_change_of_a_budget_in_tokens_is_told_in_tokens() -> None:
    known = {"tokens": np.array([5, 8, 16, 18])}
    below = told(TopK("q"), {"id": "a", "decision": "below the cut", "place": 3, "gain": 0.25}, **known)
    assert below["change"] == "a budget of 16 tokens, or a gain above 0.5"
    assert told(TopK("q"), {"id": "a", "decision": "below the cut"}, **known)["change"] == "a budget above 18 tokens"
    chosen = told(TopK("q"), {"id": "a", "decision": "selected", "rank": 2, "place": 2}, **known)
    assert chosen["change"] == "a budget below 8 tokens"


@pytest.mark.parametrize("wrong", [0, -3, 0.0, 1.5, True, float("nan"), float("inf")])
def test_budgets_that_are_none_are_refused(wrong: float) -> None:
    with pytest.raises(InputError, match=r"the budget is .*; give rows from 1"):
        _checked(wrong)


@pytest.mark.parametrize("wrong", [0, -3, 1.5, True, "9"])
def test_tokens_that_are_none_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"the budget is .* tokens; give an int of 1 or more"):
        _checked(None, wrong)
    with pytest.raises(InputError, match="the budget is 3 and 9 tokens; give one of them"):
        _checked(3, 9)
