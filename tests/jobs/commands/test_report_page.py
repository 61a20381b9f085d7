"""The page of a report, without Spark: no data is read as HTML, nothing is fetched, the same bytes again."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakesift.jobs.cli import main
from lakesift.jobs.commands.page.answer import answer
from lakesift.jobs.commands.page.content import Changes, Content, Example, Numbers
from lakesift.jobs.commands.page.document import page
from lakesift.jobs.commands.page.sections import changes, examples, funnel
from lakesift.jobs.commands.report_map import drawn
from lakesift.jobs.commands.report_result import Report
from lakesift.udfs.errors import InputError, PlatformError

pytest.importorskip("matplotlib")

#: Texts that would act if they were not escaped: elements, attributes, entities, mathematics, terminals, directions.
HOSTILE = [
    "<script>alert(1)</script>", '"><img src=http://evil.example/x onerror=alert(1)>', "</pre></svg></style><b>x",
    "&lt;script&gt; &amp; &#x3c;", "$\\frac{a}{b}$ $unclosed", "\x1b[31mred\x1b[0m\x07\x00", "a\u202eb\u2066c\u200f",
    "שלום עולם", "<!-- <style>*{display:none}</style>", "]]> <![CDATA[ x", "\ud800 half a pair", "' onload='x",
    "x" * 1_000_000, "#010101 url(#a) href=\"#b\" id=\"c\" font: 9px x;", "javascript:alert(1)",
]  # fmt: skip
#: The elements that a page is made of.
OURS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "strong", "div", "section"),
    *("table", "thead", "tbody", "tr", "th", "td", "span", "details", "summary", "pre", "ul", "li"),
    *("figure", "figcaption", "svg", "g", "path", "defs", "clippath", "rect", "use", "text", "tspan"),
}


class Elements(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, page_text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(page_text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def points(seed: int, rows: int = 60) -> tuple[tuple[float, float], ...]:
    rng = np.random.default_rng(seed)
    return tuple((float(a), float(b)) for a, b in zip(rng.integers(5, 900, rows), rng.normal(size=rows), strict=True))


def report(bad: str = "text", **changed: Any) -> Report:
    sets = ("pool", "selection", "random")
    shares: dict[str, dict[str, float]] = {
        "pool": {bad: 0.5, "b": 0.5}, "selection": {bad: 0.75, "b": 0.25}, "random": {bad: 0.5, "b": 0.5},
    }  # fmt: skip
    given: dict[str, Any] = {
        "recipe": "mine", "run_id": "feed", "selection_version": 2, "sets": sets, "draws": {"random": 10},
        "counts": {"documents": 1000, "ineligible": 400, "unranked": 100, "selected": 50},
        "shares": {bad: shares}, "rows": {"pool": 1000, "selection": 50, "random": 50},
        "quantiles": {bad: {s: [0.0, 1.0, 2.0, 3.0, None] for s in sets}}, "correlation_with_length": {bad: 0.1},
        "length": "tokens", "pool_sample": 1000, "undefined": {bad: 0.02}, "hints": (bad,), "notes": (bad,),
        "held_out_bits_per_byte": {bad: {
            "bytes": 100, "held_out_rows": 30, "held_out_texts": 30, "found_in_documents": 0, "found_in_selection": 0,
            "bits": {"pool": 2.5, "selection": 2.0, "random": 2.5},
            "worth": {"times": 2.2, "low": 1.7, "high": 4.0, "bytes": 100, "bits": 2.0,
                      "curve": [[0.25, 3.0], [0.5, 2.8], [1.0, 2.5], [2.0, 2.1], [4.0, 1.8]]},
        }},
        "plus_minus": {"shares": {bad: {"random": {bad: 0.1, "b": 0.1}}}, "bits": {bad: {"random": 0.25}}},
    }  # fmt: skip
    return Report(**{**given, **changed})


def content(bad: str = "text") -> Content:
    sets = {"pool": points(1), "selection": points(2, 20), "random": points(3, 20)}
    vectors = {s: np.random.default_rng(i).normal(size=(9, 4)) for i, s in enumerate(sets)}
    return Content(
        lake=bad, at="2026-11-26 10:00:00", chosen_by=bad, excluded=((bad, 300), ("b", 100)),
        numbers=Numbers(bad, "tokens", bad, 0.5, sets), map=drawn(bad, vectors), gains=((1.0, 3.0), (2.0, 1.0)),
        examples={"rows": (Example(bad, 1, 0.5, bad[:600], len(bad)), Example("none", None, None, None, 0))},
        checks=((bad, bad, "look"), ("a", "b", "good")), reads=(bad,),
        changes=Changes(1, (bad,), {bad: 3}, {bad: 4}, 40, (0.1, 0.2)), recipe=f"name: {bad}",
        manifest={"inputs": {bad: {"table": bad, "version": 3}}, "fingerprints": {bad: bad}, "made_by": {bad: bad}},
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("bad", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_of_any_text_is_read_as_html(bad: str) -> None:
    check_harmless(page(report(bad), content(bad)))


@pytest.mark.parametrize("text", ["\n".join(HOSTILE), "</svg>\\g<0>$\\frac{a}{b}$ \ud800\x1b"])
def test_nothing_of_the_data_is_read_as_html(text: str) -> None:
    """Texts that are shown in part begin with what acts; rows to read show all of the hostile ones."""
    rows = {bad: (Example(bad, 1, 0.5, bad[:600], len(bad)),) for bad in HOSTILE}
    made = page(report(text), replace(content(text), examples=rows))
    check_harmless(made)
    shown = "".join(Elements(made).text)
    for bad in HOSTILE[:4]:
        assert bad in shown


def check_harmless(made: str) -> None:
    read = Elements(made)
    assert read.tags <= OURS
    assert not [a for a in read.attributes if a[0].startswith("on") or a[0] in ("src", "action", "formaction")]
    assert all((value or "").startswith("#") for name, value in read.attributes if name in ("href", "xlink:href"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", made)
    assert len(made.encode()) < 500_000


def test_text_of_rows_is_shown_as_it_is() -> None:
    bad = "<b>5 < 6 & 7</b>\n\tשלום"
    rows = {"rows": (Example("a", 1, 0.5, bad, len(bad)),)}
    shown = "".join(Elements(examples(replace(content(), examples=rows))).text)
    assert "<b>5 < 6 & 7</b>\n    שלום" in shown


@cache
def plain() -> str:
    return page(report(), content())


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    made = plain()
    assert "http" not in made.replace("http-equiv", "")
    assert "<script" not in made
    assert "url(" not in re.sub(r"url\(#", "", made)
    assert "default-src 'none'" in made


def test_the_same_report_gives_the_same_bytes_and_every_reference_has_its_target() -> None:
    made = plain()
    assert made == page(report(), content())
    read = Elements(made)
    targets = {value for name, value in read.attributes if name == "id"}
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', made)) <= targets
    assert "#0102" not in made, "every colour of a drawing is one of the style"


def test_figures_are_in_both_themes_colours() -> None:
    made = plain()
    assert {"var(--pool)", "var(--selection)", "var(--c0)", "currentColor"} <= set(
        re.findall(r"var\(--\w+\)|currentColor", made)
    )


@pytest.mark.parametrize(
    ("own", "half", "colour", "said"),
    [
        (2.0, 0.25, "good", "2.500 ± 0.25: the selection is better"),
        (2.4, 0.25, "look", "could be one of them"),
        (3.0, 0.25, "look", "the selection is worse"),
        (2.0, None, "unknown", "one draw, without an interval"),
        (None, 0.25, "unknown", "nothing to compare"),
    ],
)
def test_the_answer_is_what_the_numbers_say(own: float | None, half: float | None, colour: str, said: str) -> None:
    given = report()
    held_out = {"goals": {**given.held_out_bits_per_byte["text"], "bits": {"selection": own, "random": 2.5}}}
    shown = answer(
        replace(given, held_out_bits_per_byte=held_out, plus_minus={"bits": {"goals": {"random": half}}}), content()
    )
    assert f'class="answer {colour}"' in shown
    assert said in shown
    assert "50 of 1,000 documents</strong> (5\xa0%)" in shown
    assert "600 are eligible" in shown


def test_without_held_out_texts_the_answer_says_what_would_show_it() -> None:
    shown = answer(report(held_out_bits_per_byte={}), content())
    assert "held_out:" in shown
    assert "10 of random" in shown


def test_the_funnel_ends_where_the_counts_say() -> None:
    """1000 documents, 300 and 100 out by clauses, 100 unranked: 500 are left to choose 50 from."""
    cells = re.findall(r'<td class="number">([^<]*)</td>', funnel(report(), content()))
    assert cells == ["1,000", "-300", "700", "-100", "600", "-100", "500", "50"]
    one = re.findall(r'<td class="number">([^<]*)</td>', funnel(report(), replace(content(), excluded=())))
    assert one == ["1,000", "-400", "600", "-100", "500", "50"]


def test_changes_are_counted_by_reason() -> None:
    shown = "".join(Elements(changes(content("new"))).text)
    assert "4 rows came, 3 went, 40 stayed. The cut was 0.1 and is 0.2." in shown
    assert "went3new" in shown


def test_a_lake_with_nothing_says_what_would_show_it() -> None:
    bare = replace(
        content(),
        numbers=None,
        map=None,
        gains=(),
        excluded=(),
        changes="This is the first version.",
        recipe="",
        manifest={},
    )
    none = report(shares={}, held_out_bits_per_byte={}, draws={}, sets=("pool", "selection"), quantiles={})
    made = page(none, bare)
    for said in ("first version", "shares: [source]", "embedding", "controls: [random, length_matched]"):
        assert said in made
    assert "<svg" not in made


def test_values_that_no_axis_can_hold_are_drawn() -> None:
    """All equal, one row, a ratio of 0, a value that the pool has and no set."""
    flat = dict.fromkeys(("pool", "selection", "random"), ((5.0, 1.0),))
    shares = {"pool": {"a": 0.9, "b": 0.1}, "selection": {"a": 1.0}, "random": {"a": 1.0}}
    given = report(shares={"kind": shares}, plus_minus={"shares": {}, "bits": {}})
    assert page(given, replace(content(), numbers=Numbers("s", "tokens", "", 1.0, flat))).count("<svg") >= 4


def test_a_report_without_a_lake_has_no_page() -> None:
    with pytest.raises(InputError, match=r"take the one that Lake\.report returns"):
        report().to_html()
    assert report()._repr_html_() is None


def test_without_matplotlib_a_sentence_says_what_to_do_before_spark_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakesift.jobs.commands.page.drawing.find_spec", lambda _: None)
    with pytest.raises(PlatformError, match=r"not installed; do this: pip install 'lakesift\[html\]'"):
        report(content=content).to_html()
    for command in ("report", "run"):
        with pytest.raises(SystemExit, match=r"pip install 'lakesift\[html\]'"):
            main([command, "zipfit_code", "--html", "report.html"])


def test_a_place_that_cannot_be_written_is_refused_before_spark_starts(tmp_path: Path) -> None:
    for command in ("report", "run"):
        with pytest.raises(SystemExit, match=r"--html .* cannot be written"):
            main([command, "zipfit_code", "--html", str(tmp_path / "none" / "report.html")])


def test_a_notebook_shows_the_page_in_a_frame_of_its_own() -> None:
    bare = replace(content("<script>"), numbers=None, map=None, gains=())
    shown = report(content=lambda: bare, shares={}, held_out_bits_per_byte={})._repr_html_()
    assert shown is not None
    assert Elements(shown).tags == {"iframe"}


def test_the_map_lies_along_what_varies_most_and_cover_is_that_of_the_nearest() -> None:
    """Points along one line in the plane: all of the variance is along it; both rows taken cover theirs."""
    pool = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 2.0]])
    found = drawn("vector", {"pool": pool, "selection": pool[:2]})
    assert found is not None
    assert found.explained == pytest.approx((1.0, 0.0), abs=1e-12)
    assert [x for x, _ in found.points["pool"]] == pytest.approx([math.sqrt(2), 0, -math.sqrt(2)], abs=1e-12) or [
        x for x, _ in found.points["pool"]
    ] == pytest.approx([-math.sqrt(2), 0, math.sqrt(2)], abs=1e-12)
    nearest = 2 / math.sqrt(5)  # of the third row to (0, 1)
    assert found.cover["selection"] == (
        (1.0, pytest.approx((1 + 0 - 1 / math.sqrt(5)) / 3)),
        (2.0, pytest.approx((2 + nearest) / 3)),
    )
    assert drawn("vector", {"pool": pool[:2]}) is None
