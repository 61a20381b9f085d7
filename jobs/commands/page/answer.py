"""The answer of a page in words: what was chosen of what and by what, and how it compares with its controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..report_result import Report, said_of_worth, side
from .content import Content
from .markup import escaped, name, number, percent


def answer(report: Report, content: Content) -> str:
    """Return the answer as HTML: a sentence on what was chosen, one on each target, in the colour of the verdict."""
    verdicts = [_of_target(report, target) for target in report.held_out_bits_per_byte]
    said = [sentence for sentence, _ in verdicts] or [_without_target(report)]
    colours = {colour for _, colour in verdicts}
    colour = "look" if "look" in colours else colours.pop() if len(colours) == 1 else "unknown"
    paragraphs = "".join(f"<p>{sentence}</p>" for sentence in (_chosen(report, content), *said))
    return f'<div class="answer {colour}">{paragraphs}</div>'


def _chosen(report: Report, content: Content) -> str:
    counts = report.counts
    documents, selected = counts.get("documents", 0), counts.get("selected", 0)
    eligible = documents - counts.get("ineligible", 0)
    share = f" ({percent(selected / documents)})" if documents else ""
    among = f", of which {eligible:,} are eligible," if eligible < documents else ""
    of = f"<strong>{selected:,} of {documents:,} documents</strong>{share}"
    return f"{of}{among} were chosen by {name(content.chosen_by)}."


def _of_target(report: Report, target: str) -> tuple[str, str]:
    """Return the sentence on a target, and the colour of its verdict."""
    found = report.held_out_bits_per_byte[target]
    figures, halves = found["bits"], report.plus_minus["bits"].get(target, {})
    own = figures.get("selection")
    if own is None:
        return f"Of {name(target)} there is nothing to compare: the sets have too few bytes.", "unknown"
    sides = {control: side(control, figures, halves) for control in report.draws}
    compared = "; ".join(_beside(report, control, figures, halves, sides[control]) for control in sides)
    head = (
        f"On {found['held_out_rows']:,} held-out rows of {name(target)} the selection takes "
        f"<strong>{own:.3f} bits per byte</strong>"
    )
    known = {s for s in sides.values() if s is not None}
    colour = "unknown" if not known else "good" if known == {"below"} else "look"
    within = "; 95 % of further draws lie within ±" if known else ""
    worth = f" It is <strong>{escaped(said_of_worth(found['worth']))}</strong>." if "times" in found["worth"] else ""
    return f"{head}{f'; {compared}' if compared else ''}. Fewer are closer to the target{within}.{worth}", colour


def _beside(
    report: Report, control: str, figures: Mapping[str, Any], halves: Mapping[str, Any], where: str | None
) -> str:
    mean, half, draws = figures.get(control), halves.get(control), report.draws[control]
    if mean is None:
        return f"{name(control)} was not measured"
    if where is None or half is None:
        return f"{name(control)} takes {mean:.3f} (one draw, without an interval)"
    verdict = {
        "below": "the selection is better",
        "above": "<strong>the selection is worse</strong>",
        "inside": "<strong>the selection could be one of them</strong>",
    }[where]
    return f"{draws} draws of {name(control)} take {mean:.3f} ± {number(half, 2)}: {verdict}"


def _without_target(report: Report) -> str:
    if not report.draws:
        return escaped("It stands beside no control: name controls: [random, length_matched] in the recipe.")
    drawn = ", ".join(f"{n} of {control}" for control, n in report.draws.items())
    return escaped(
        f"Whether it is better than chance is not measured here: name held_out: in a target of the recipe. It is shown "
        f"beside draws of its controls: {drawn}."
    )
