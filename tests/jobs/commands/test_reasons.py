"""Why rows moved: each reason by hand, and that every row has exactly one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd

from lakesift.jobs.commands.made_from import _made_anew, exists, is_table, made, version_to_read
from lakesift.jobs.commands.reasons import EDITED, UNKNOWN, Moves, reasons
from lakesift.jobs.lake.commits import Commit, TableState

IDS = ["kept out", "let in", "edited", "edited out", "rescored", "plain", "gone", "fresh"]
OLD = pd.DataFrame(
    {"content": ["a", "b", "c", "d", "e", "f", "g"], "score": [1.0, 2.0, 3.0, 4.0, 5.0, None, 7.0]},
    index=[*IDS[:6], "gone"],
)
NEW = OLD.drop("gone").assign(
    content=["a", "b", "C", "D", "e", "f"], score=[1.0, 2.0, 3.0, 4.0, 5.5, None]
)  # fmt: skip
NEW.loc["fresh"] = ["h", 8.0]
THEN = Moves(OLD, set(OLD.index) - {"let in"})
NOW = Moves(NEW, set(NEW.index) - {"kept out", "edited out"})
MOVED = pd.DataFrame({"id": IDS})


def test_every_reason() -> None:
    found = reasons(MOVED, THEN, NOW, True, "others rank better", "another model", False)
    assert dict(zip(IDS, found, strict=True)) == {
        "kept out": "not eligible any more",
        "let in": "not eligible any more",
        "edited": EDITED,
        "edited out": "edited, and not eligible any more",
        "rescored": "another model",
        "plain": "others rank better",
        "gone": "not in the documents any more",
        "fresh": "not in the documents any more",
    }


def test_the_clause_that_excludes_a_row_is_named() -> None:
    now = Moves(NEW, set(NEW.index) - {"kept out", "edited out"}, {"kept out": "tokens > 3", "edited out": "q > 0"})
    found = dict(zip(IDS, reasons(MOVED, THEN, now, True, "x", "", False), strict=True))
    assert found["kept out"] == "not eligible any more: tokens > 3"
    assert found["edited out"] == "edited, and not eligible any more: q > 0"
    assert found["let in"] == "not eligible any more", "it was not eligible before"
    assert set(reasons(MOVED, THEN, now, True, "x", "", True)) == {UNKNOWN}


def test_what_is_not_known_is_not_told() -> None:
    blind = reasons(MOVED, Moves(OLD, None), NOW, False, "others made room", "", False)
    assert "eligible" not in " ".join(blind), "documents of then cannot be asked"
    assert blind[IDS.index("rescored")] == EDITED, "the same model: a score is a function of content"
    assert set(reasons(MOVED, THEN, NOW, False, "x", "", True)) == {UNKNOWN}
    nothing = pd.DataFrame({"id": []})
    assert reasons(nothing, THEN, NOW, True, "x", "", False).tolist() == []


def test_rounds_stand_where_nothing_else_is_known() -> None:
    moved = MOVED.assign(round=[1.0] * 7 + [2.0])
    found = dict(zip(IDS, reasons(moved, THEN, NOW, False, "others made room", "", False), strict=True))
    assert found["plain"] == "round 1 chose it"
    assert found["fresh"] == "new in the documents"


def test_a_version_is_of_the_run_before_it() -> None:
    run, other = {"scores": 4, "inputs": {"documents": {"version": 7}}}, {"scores": 9, "inputs": {}}
    commits = [
        Commit(5, "DELETE", {}, 3),
        Commit(4, "WRITE", other, 5),
        Commit(3, "OPTIMIZE", {}, None),
        Commit(2, "WRITE", run, 5),
        Commit(0, "CREATE TABLE", {}, None),
    ]
    assert (made(commits, 3).said, made(commits, 3).newest) == (run, False)
    assert (made(commits, 5).said, made(commits, 5).newest, made(commits, 5).rows) == (other, True, 3)
    assert made(commits, 0).said == {}


def test_a_table_that_was_dropped_and_made_anew_is_known() -> None:
    def lake(*commits: Commit) -> Any:
        return SimpleNamespace(history=lambda _: list(commits))

    first, other = Commit(1, "WRITE", {"attempt": "a"}, 5), Commit(1, "WRITE", {"attempt": "b"}, 5)
    begin = Commit(0, "CREATE TABLE", {}, None)
    assert not _made_anew(lake(first, begin), "docs", {"data_version": "a"})
    assert _made_anew(lake(other, begin), "docs", {"data_version": "a"})
    assert not _made_anew(lake(other), "docs", {"data_version": "a"}), "the beginning of its log was cleaned away"
    assert not _made_anew(lake(other, begin), "docs", {"data_version": "digest:of:files"})
    assert not _made_anew(lake(), "docs", {})
    assert exists(lake(first, begin), "docs", 0)
    assert not exists(lake(first, begin), "docs", 2)


def test_the_newest_version_is_read_while_its_rows_are_the_same() -> None:
    """OPTIMIZE and VACUUM take the files of older versions away and change no row."""
    states = {"same": TableState("", 9, "a", None), "edited": TableState("", 9, "b", None)}
    lake: Any = SimpleNamespace(state=lambda name: states[name])
    assert version_to_read(lake, "same", {"version": 2, "data_version": "a"}) == 9
    assert version_to_read(lake, "edited", {"version": 2, "data_version": "a"}) == 2
    assert version_to_read(lake, "view", {"version": None}) is None
    assert version_to_read(lake, "pinned by hand", {"version": 1}) == 1


def test_tables_of_a_lake_that_was_moved() -> None:
    assert is_table("delta.`/a/docs`", "delta.`/b/docs`", "docs")
    assert not is_table("delta.`/a/docs`", "delta.`/a/other`", "other")
    assert is_table("main.s.`docs`", "main.s.`docs`", "docs")
    assert not is_table("main.s.docs", "main.t.docs", "main.t.docs")
    assert not is_table("", "delta.`/a/docs`", "docs")
