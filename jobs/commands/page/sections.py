"""The sections of a page, from the top to the bottom; where the lake has nothing for one, a line says what would."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from ..report_result import Report
from . import charts, held_out
from .content import Changes, Content, Example
from .markup import Html, escaped, folded, name, number, paragraph, passage, percent, section, table


def changes(content: Content) -> str:
    """Return what changed since the version before, by reason."""
    found = content.changes
    if isinstance(found, str):
        return section("What changed", paragraph(found, "soft"))
    went, came = sum(found.went.values()), sum(found.came.values())
    cut = ""
    if None not in found.cut:
        cut = f" The cut was {number(found.cut[0], 5)} and is {number(found.cut[1], 5)}."
    head = f"<p><strong>{came:,} rows came, {went:,} went</strong>, {found.stayed:,} stayed.{cut}</p>"
    said = paragraph(f"Since the run before: {'; '.join(found.said)}.") if found.said else ""
    rows = [*_reasons("went", found), *_reasons("came", found)]
    return section(f"What changed since version {found.version}", head, said, table(("", "rows", "why"), rows))


def _reasons(word: str, found: Changes) -> Iterator[tuple[str, int, str]]:
    for reason, count in (found.went if word == "went" else found.came).items():
        yield word, count, reason


def funnel(report: Report, content: Content) -> str:
    """Return the way from the documents through each clause of `where:` to the rows selected."""
    counts = report.counts
    left = rows = counts.get("documents", 0)
    lines = [("documents", None, left)]
    ineligible = counts.get("ineligible", 0)
    clauses = content.excluded or ((("where: holds", ineligible),) if ineligible else ())
    steps = [*clauses, ("can be ranked: what the selector needs is defined", counts.get("unranked", 0))]
    steps += [("not chosen before: start:", counts["chosen_before"])] if "chosen_before" in counts else []
    for what, out in steps:
        left -= out
        lines.append((what, out, left))
    lines.append(("selected within the budget", None, counts.get("selected", 0)))
    body = [(what, "" if out is None else -out, n, _bar(n, rows)) for what, out, n in lines]
    return section("From documents to selection", table(("", "left out", "rows", ""), body))


def _bar(part: int, whole: int) -> Html:
    return Html(f'<span class="track"><span class="bar" style="width:{100 * part / max(1, whole):.2f}%"></span></span>')


def scores(report: Report, content: Content) -> str:
    """Return the distribution of the score, the score against length, held-out bits, and all quantiles."""
    found = report.held_out_bits_per_byte
    figures = [
        held_out.bits(report, t) for t, of_target in found.items() if of_target["bits"].get("selection") is not None
    ]
    figures += [held_out.worth(report, t) for t, of_target in found.items() if "curve" in of_target["worth"]]
    numbers = content.numbers
    if numbers and numbers.points.get("pool"):
        figures.append(charts.histogram(numbers, report.sets))
        if numbers.score != numbers.length:
            figures.append(charts.score_against_length(numbers, report.sets))
    missing = (
        ""
        if figures
        else paragraph("No score of the recipe is a number: name one under scores: to see its distribution.", "soft")
    )
    drawn = f'<div class="pair">{"".join(figures)}</div>' if figures else missing
    return section("Scores", drawn, folded("Quantiles of every score", *_quantiles(report)))


def _quantiles(report: Report) -> Iterator[str]:
    for score, by_set in report.quantiles.items():
        body = [(s, *map(number, values)) for s, values in by_set.items()]
        yield f"<h3>{name(score)}</h3>" + table(("set", "5 %", "25 %", "median", "75 %", "95 %"), body)


def shares(report: Report) -> str:
    """Return the shares of every column of `report: shares:` as ratios to the pool."""
    if not report.shares:
        told = "The recipe names no column: report: {shares: [source]} shows what the selection is made of."
        return section("Shares", paragraph(told, "soft"))
    parts = []
    for column, by_set in report.shares.items():
        drawn = charts.ratios(report, column) if by_set.get("pool") else ""
        parts.append(f'<div class="pair">{drawn}<div class="ratios">{_shares(report, column)}</div></div>')
    return section("Shares, beside the pool", *parts)


def _shares(report: Report, column: str) -> str:
    by_set, halves = report.shares[column], report.plus_minus["shares"].get(column, {})
    pool, own = by_set.get("pool", {}), by_set.get("selection", {})
    rows, every = [], len({*pool, *own})
    for value in charts.shown_values(by_set):
        ratio = f"{own.get(value, 0.0) / pool[value]:.2f}" if pool.get(value) else "new"
        controls = [_of_draws(by_set.get(c, {}).get(value, 0.0), halves.get(c, {}).get(value)) for c in report.draws]
        rows.append((value, percent(pool.get(value, 0.0)), percent(own.get(value, 0.0)), ratio, *controls))
    more = f"The {len(rows)} largest of {every:,}." if every > len(rows) else ""
    return table((column, "pool", "selection", "ratio", *report.draws), rows) + paragraph(more, "soft")


def _of_draws(mean: float, half: float | None) -> str:
    return percent(mean) if not half else f"{percent(mean)}\xa0±\xa0{number(100 * half, 2)}"


def pool_map(report: Report, content: Content) -> str:
    """Return the map of the pool and the curves of coverage and gain."""
    figures = []
    if content.map:
        figures += [charts.pool_map(content.map, report.sets)]
        figures += [charts.cover(content.map, report.sets)] if content.map.cover else []
    if len(content.gains) > 1:
        figures.append(charts.gain(content.gains))
    told = (
        ""
        if content.map
        else paragraph("A map and the coverage need vectors: add a score such as vector: {kind: embedding}.", "soft")
    )
    gains = (
        ""
        if len(content.gains) > 1
        else paragraph("The rows were drawn, or all gains are one: there is no curve of gains.", "soft")
    )
    return section("Map and curves", f'<div class="pair">{"".join(figures)}</div>', told, gains)


def examples(content: Content) -> str:
    """Return rows to read."""
    score = content.numbers.score if content.numbers else ""
    parts = []
    for title, rows in content.examples.items():
        shown = "".join(example(row, score) for row in rows) or paragraph("none", "soft")
        parts.append(f'<h3>{escaped(title)}</h3><div class="rows">{shown}</div>')
    return section("Rows to read", *parts)


def example(row: Example, score: str = "") -> str:
    """Return a row to read, under what is known of it."""
    facts = [name(row.id)]
    facts += [f"rank {row.rank:,}"] if row.rank is not None else []
    facts += [f"{name(score)} {number(row.score)}"] if row.score is not None else []
    facts += [f"{row.characters:,} characters"] if row.text is not None else ["no text"]
    text = row.text or ""
    more = "…" if len(text) < row.characters else ""
    return f'<div class="row"><div class="soft">{" · ".join(facts)}</div>{passage(text + more)}</div>'


def health(report: Report, content: Content) -> str:
    """Return what was looked at, and the notes of the run."""
    rows = [(what, found, _light(light)) for what, found, light in content.checks]
    notes = "".join(f"<li>{escaped(note)}</li>" for note in (*report.notes, *report.hints))
    said = f"<h3>Notes</h3><ul>{notes}</ul>" if notes else ""
    return section("Health", table(("", "found", ""), rows), said)


def _light(light: str) -> Html:
    words = {"good": "good", "look": "look at it", "unknown": "not known"}
    return Html(f'<span class="{light}">{words[light]}</span>')


def foot(report: Report, content: Content) -> str:
    """Return how to get exactly this again: commands, recipe, versions."""
    manifest, version = content.manifest, report.selection_version
    lake = shlex.quote(content.lake)
    commands = "\n".join((
        f"lakesift recipe {report.recipe} --version {version} --lake {lake} > {report.recipe}_v{version}.yaml",
        f"lakesift run {report.recipe}_v{version}.yaml --lake {lake}",
        f"lakesift export {report.recipe} --version {version} --to jsonl --out rows.jsonl --lake {lake}",
    ))  # fmt: skip
    parts = [paragraph("In a shell:"), passage(commands), paragraph("Its rows:"), passage("\n".join(content.reads))]
    inputs = [(use, i.get("table", ""), i.get("version")) for use, i in manifest.get("inputs", {}).items()]
    facts: list[tuple[str, object]] = [("run", report.run_id or ""), ("committed, UTC", content.at)]
    facts += [(key, value) for key, value in sorted(manifest.get("made_by", {}).items())]
    facts += [(f"version of {key}", value) for key, value in sorted(manifest.get("versions", {}).items())]
    facts += [(f"fingerprint of {key}", value) for key, value in sorted(manifest.get("fingerprints", {}).items())]
    parts += [table(("input", "table", "version"), [(a, b, str(c)) for a, b, c in inputs])] if inputs else []
    parts.append(folded("The recipe with every default", passage(content.recipe)) if content.recipe else "")
    parts.append(folded("Run, packages and fingerprints", table(("", ""), [(k, str(v)) for k, v in facts])))
    return section("How to get exactly this", *parts)


def order(report: Report, content: Content) -> Sequence[str]:
    """Return all sections in their order."""
    return (
        changes(content), funnel(report, content), scores(report, content), shares(report), pool_map(report, content),
        examples(content), health(report, content), foot(report, content),
    )  # fmt: skip
