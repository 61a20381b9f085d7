"""A comparison of selections as a page: overlaps beside chance, sizes, scores, shares, and rows to read."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ..comparison import FIGURES, Comparison, Pair, shown_shares
from .compared_charts import ALL_SCORES, figures, overlaps, parts
from .document import whole_page
from .drawing import check_drawing
from .markup import Html, escaped, folded, name, number, paragraph, passage, percent, section, table
from .sections import example


def comparison_page(found: Comparison) -> str:
    """Return the page of a comparison; the same comparison gives the same bytes.

    Raises
    ------
    PlatformError
        If matplotlib is not installed.
    """
    check_drawing()
    said = f"selections from {name(found.documents)}"
    body = (_answer(found), _overlaps(found), _sizes(found), _scores(found), _shares(found), _rows(found), _foot(found))
    return whole_page(name(f"Comparison of {found.title}"), said, *body)


def _answer(found: Comparison) -> str:
    said = "".join(f"<p>{_sentence(pair)}</p>" for pair in found.pairs[:3])
    more = paragraph(f"and {len(found.pairs) - 3} more pairs below") if len(found.pairs) > 3 else ""
    return f'<div class="answer">{said}{more}</div>'


def _sentence(pair: Pair) -> str:
    rows = "no row" if not pair.both else "1 row" if pair.both == 1 else f"{pair.both:,} rows"
    if not pair.choosable:
        return f"No row could be chosen by both {name(pair.first)} and {name(pair.second)}, and they share {rows}."
    chance = f"two random draws of their sizes share {number(pair.expected, 3)} [{pair.low:,} to {pair.high:,}]"
    return (
        f"{name(pair.first)} and {name(pair.second)} share <strong>{rows}</strong>; {chance}: "
        f"<strong>{escaped(pair.verdict)}</strong>."
    )


def _overlaps(found: Comparison) -> str:
    head = ("pair", "both", "by chance", "95 %", "Jaccard", "by chance", "only the first", "only the second")
    lines = [
        (f"{p.first} and {p.second}", p.both, _figure(p.expected), f"{p.low:,} to {p.high:,}",
         _figure(p.jaccard), _figure(p.expected_jaccard), p.only_first, p.only_second)
        for p in found.pairs
    ]  # fmt: skip
    told = (
        "By chance: the rows that two random draws share which take as many of the rows that both could choose; the "
        "range holds 95 % of the probability (hypergeometric law). Jaccard is shared rows by all rows of the two."
    )
    return section("Overlap", overlaps(found.pairs), table(head, lines), paragraph(told, "soft"))


def _figure(value: float) -> Html:
    return Html(f'<span class="number">{number(value, 3)}</span>')


def _sizes(found: Comparison) -> str:
    head, lines = found.totals_table()
    told = "From: the rows that the selector could choose. Bytes are of the text, as often as a row is chosen."
    return section("Sizes", table(head, lines), paragraph(told, "soft"))


def _scores(found: Comparison) -> str:
    drawn = "".join(figures(score, by_set) for score, by_set in [*found.scores.items()][:ALL_SCORES])
    tables = [
        f"<h3>{name(score)}</h3>{table(('set', *FIGURES), [(s, *figure) for s, figure in by_set.items()])}"
        for score, by_set in found.scores.items()
    ]
    if not tables:
        return section("Scores", paragraph("No score of the recipes is a number.", "soft"))
    return section("Scores", f'<div class="pair">{drawn}</div>', folded("Figures of every score", *tables))


def _shares(found: Comparison) -> str:
    if not found.shares:
        told = "The recipes name no column: report: {shares: [source]} shows what a selection is made of."
        return section("Shares", paragraph(told, "soft"))
    labels, shown = [one.label for one in found.selections], []
    for column, by_set in found.shares.items():
        values, more = shown_shares(by_set, labels)
        lines = [(value, *(percent(by_set[s].get(value, 0.0)) for s in by_set)) for value in values]
        told = paragraph(f"{more[0].upper()}{more[1:]}.", "soft") if more else ""
        shown.append(parts(column, by_set, values) + table((column, *by_set), lines) + told)
    return section("Shares of rows", *shown)


def _rows(found: Comparison) -> str:
    blocks = []
    for one in found.selections:
        rows = found.examples.get(one.label, ())
        first = f"the first {len(rows)} of {one.only_here:,}" if one.only_here > len(rows) else f"{one.only_here:,}"
        title = f"Rows of {one.label} alone: {first if one.only_here else 'none'}"
        blocks.append(folded(title, *(example(row) for row in rows)))
    return section("Rows that one alone chose", *blocks)


def _foot(found: Comparison) -> str:
    head = ("set", "run", "chosen by", "version of the documents")
    documents = [str("" if one.documents_version is None else one.documents_version) for one in found.selections]
    lines = [(one.label, one.run_id, one.chosen_by, v) for one, v in zip(found.selections, documents, strict=True)]
    command = shlex.join(["lakesift", "compare", *(one.label for one in found.selections)])
    return section("How to get this again", passage(command), table(head, lines), *_notes(found))


def _notes(found: Comparison) -> Iterator[str]:
    if found.notes:
        yield f"<h3>Notes</h3><ul>{''.join(f'<li>{escaped(note)}</li>' for note in found.notes)}</ul>"
