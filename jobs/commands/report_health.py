"""The health of a selection: what was rejected, repeated, undefined, or found where it should not be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.quoting import quoted_name
from ..inputs.run import Run
from .made_from import Made
from .report_result import Report

#: Share of the documents that a score may leave undefined without a word.
FEW_UNDEFINED = 0.01


def checks(
    run: Run, of: Made, scores: DataFrame, chosen: DataFrame, report: Report, manifest: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """Yield what was looked at, what was found, and "good", "look" (at it) or "unknown".

    Parameters
    ----------
    chosen : DataFrame
        `id` of the selection.
    manifest : mapping
        The run's account of itself.
    """
    summary = of.said["inputs"]["documents"]
    rejected, repeated = summary.get("null_ids", 0), summary.get("duplicates", 0)
    yield "rows without an id, rejected", f"{rejected:,}", "look" if rejected else "good"
    yield "rows of repeated ids, collapsed", f"{repeated:,}", "look" if repeated else "good"
    for name, share in report.undefined.items():
        if share or name in {need.name for need in run.recipe.selector.needs}:
            yield (
                f"{name} undefined",
                f"{100 * share:.2g} % of the documents",
                "look" if share > FEW_UNDEFINED else "good",
            )
    unranked = report.counts.get("unranked", 0)
    yield "eligible documents that cannot be ranked", f"{unranked:,}", "look" if unranked else "good"
    yield from _exams(run, scores, chosen)
    for target, found in report.held_out_bits_per_byte.items():
        there, inside = found["found_in_documents"], found["found_in_selection"]
        said = f"{there:,} among the documents, {inside:,} in the selection, of {found['held_out_texts']:,}"
        yield f"held-out texts of {target} that stand elsewhere", said, "look" if inside else "good"
    newer = dict.fromkeys(n for n in (*report.notes, *manifest.get("notes", ())) if "newer than the model" in n)
    yield "documents newer than a model", "; ".join(newer) or "none", "look" if newer else "good"


def _exams(run: Run, scores: DataFrame, chosen: DataFrame) -> Iterator[tuple[str, str, str]]:
    """Yield how many rows hold text of a target that an ngram_overlap looks for."""
    names = [n for n, s in run.recipe.scores.items() if s.kind == "ngram_overlap" and n in scores.columns]
    if not names:
        yield "rows that hold text of an exam", "not looked for: add a score of kind ngram_overlap", "unknown"
        return
    counts = [F.count_if(F.col(quoted_name(n)) > 0) for n in names]
    every = scores.agg(*counts).collect()[0]
    own = scores.join(chosen.select("id"), "id", "left_semi").agg(*counts).collect()[0]
    for name, there, inside in zip(names, every, own, strict=True):
        yield (
            f"rows that hold text of {name}",
            f"{there:,} of the documents, {inside:,} selected",
            "look" if inside else "good",
        )
