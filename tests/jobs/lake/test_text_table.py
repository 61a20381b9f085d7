"""Tables at the width of a terminal: every line fits, figures stay whole, nothing changes where nobody looks."""

from __future__ import annotations

import pytest

from lakesift.jobs.commands.catalog import catalog
from lakesift.jobs.lake.text_table import Rows, fitting, rows_of, text_table
from lakesift.jobs.lake.text_width import folded, middle, width_of

HEAD = ("set", "rows", "mean", "0.05", "0.25", "0.5", "0.75", "0.95", "outcome")
ROWS = [
    ("pool", 16_112, 0.123457, *["0.500 +- 0.123*"] * 5, "unchanged, version 9"),
    ("a/long/path/" + "x" * 70 + "/file.py", 1_234_567_890, 2.5, *["0.25"] * 5, "wrote version 3"),
    ("\u6f22\u5b57" * 40, None, None, *[""] * 5, None),
    ("e\u0301" * 90, 1, 1e-9, *["-1"] * 5, "\x1b[2J\n"),
]


@pytest.mark.parametrize("width", [42, 60, 80, 100, 120])
@pytest.mark.parametrize("whole", [False, True])
def test_every_line_fits_and_every_figure_stays(width: int, whole: bool) -> None:
    with fitting(width):
        shown = text_table(HEAD, ROWS, whole)
    lines = shown.splitlines()
    assert max(map(width_of, lines)) <= width
    for figure in ("16,112", "1,234,567,890", "0.123457", "1e-09", "0.500 +- 0.123*", "unchanged, version 9"):
        assert figure in shown.replace("\n", " ") or (whole and figure.split(",")[0] in shown)
    parts = [part.splitlines() for part in shown.split("\n\n")]
    if not whole:
        assert {len(part) for part in parts} == {len(ROWS) + 2}, "a row is a line"
    assert {part[0].split()[0] for part in parts} == {"set"}, "each part begins with the first column"
    assert [name for part in parts for name in part[0].split()[1:]] == [*HEAD[1:]], "no column is lost"


def test_where_it_fits_or_nobody_looks_nothing_changes() -> None:
    plain = text_table(HEAD, ROWS)
    with fitting(None):
        assert text_table(HEAD, ROWS) == plain
    with fitting(10_000):
        assert text_table(HEAD, ROWS) == plain
    assert text_table(HEAD, ROWS) == plain
    assert text_table(("kind", "rows"), [("a", 1200), ("b", None)]) == "kind   rows\n-----------\na     1,200\nb"
    assert (text_table((), []), text_table(("a",), [])) == ("\n", "a\n-")


def test_names_keep_beginning_and_end_and_sentences_all_words() -> None:
    rows: Rows = rows_of(("id", "what"), [("delta." + "x" * 60 + "/docs", "one two " * 12 + "end")], whole=True)
    with fitting(60):
        shown = str(rows)
    assert "delta.xxx" in shown
    assert "xx/docs" in shown
    assert shown.split().count("one") == 12
    assert shown.rstrip().endswith("end")
    with fitting(60):
        cut = text_table(rows.columns, rows.rows)
    assert len(cut.splitlines()) == 3
    assert "one two" in cut
    assert "end" in cut


@pytest.mark.parametrize("what", ["scores", "selectors", "rewards", "recipes"])
def test_a_catalogue_is_read_at_60_columns(what: str) -> None:
    found = catalog(what)
    with fitting(60):
        shown = str(found)
    assert max(map(width_of, shown.splitlines())) <= 60
    last = found.columns[-1]
    for row in found.to_dict():
        for word in str(row[last]).split():
            assert len(word) > 20 or word in shown, "no sentence loses a word"


@pytest.mark.parametrize("text", ["", "abc", "a" * 100, "\u6f22" * 30, "a\u0301" * 50, "\U0001f642" * 9, "one two"])
@pytest.mark.parametrize("most", [1, 2, 3, 4, 7, 20, 21])
def test_a_text_is_shortened_to_a_width(text: str, most: int) -> None:
    short = middle(text, most)
    assert width_of(short) <= most
    assert (short == text) == (width_of(text) <= most)
    assert all(width_of(line) <= most for line in folded(text, most))


def test_long_texts_are_cut_like_all_others() -> None:
    with fitting(80):
        assert max(map(len, text_table(("id", "text"), [("x" * 1_000_000, "\u00e9 " * 50_000)]).splitlines())) <= 80
