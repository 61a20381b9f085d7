"""Computes what is missing in `memos`: all scores of a pass in one scan of the documents, one commit a unit.

A unit is a slice of the documents that lack something, by id hash: the first is small, then as many rows as take two
minutes. A crash costs at most a unit. A score whose parent is missing too is computed from the parent's value in
memory; where the parent was computed before, from `memos`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.fitted import FittedScore
from ..inputs.documents import BUCKETS, bucket_of
from ..inputs.run import Run, Touched
from ..lake.kept import finished
from ..lake.progress import Meter
from ..lake.schemas import MEMOS, memos
from ..lake.tables import retry_on_conflict
from ..lake.tuning import property_of
from .measures import Measured, observed
from .memos import BROADCAST_ROWS
from .rows import Source

#: CPU seconds of the first unit, by what the scores say of themselves.
FIRST_SECONDS = 20.0
#: Seconds that a unit takes at the measured rate. `spark.lakesift.unitRows` sets the rows of every unit instead.
UNIT_SECONDS = 120.0
#: Tries for a unit: runs that add to one fingerprint conflict over different rows too, and of 20 in a row one succeeds.
UNIT_TRIES = 20
#: Scores of a pass: bits of a bigint.
MOST_SCORES = 62


@dataclass(frozen=True)
class Pending:
    """How many documents lack which scores, bit i for scores[i], and the range of buckets that they lie in."""

    rows: Mapping[int, int]
    low: int
    end: int


def compute(
    run: Run,
    scores: Sequence[FittedScore],
    fitted: Mapping[str, FittedScore],
    within: DataFrame | None = None,
    touched: Touched | None = None,
) -> dict[str, Measured]:
    """Compute what is missing of some scores; returns what was computed, by name.

    Parameters
    ----------
    scores : sequence of FittedScore
        Each after those it reads.
    fitted : mapping
        Every fitted score of the run: those that `scores` read are computed already, or among `scores`.
    within : DataFrame, optional
        `id` of the only documents wanted.
    touched : Touched, optional
        The only documents that can lack these scores, instead of `within`.
    """
    within = touched.ids if touched else within
    done = {s.name: Measured() for s in scores}
    for together in passes(scores):
        for measured in _compute_pass(Source(run, together, fitted, within, touched=touched)):
            done |= {name: done[name] + own for name, own in measured.items()}
    return done


def passes(scores: Sequence[FittedScore]) -> list[list[FittedScore]]:
    """Return the scores by pass: a costly one alone, one model that a worker holds, each fingerprint once.

    A score stands in no earlier pass than those it reads.
    """
    grouped: list[list[FittedScore]] = []
    place: dict[str, int] = {}
    for score in scores:
        first = max((place[i] for i in score.scorer.inputs if i in place), default=0)
        number = next((n for n in range(first, len(grouped)) if _fits(score, grouped[n])), len(grouped))
        if number == len(grouped):
            grouped.append([])
        grouped[number].append(score)
        place[score.name] = number
    return grouped


def _fits(score: FittedScore, together: Sequence[FittedScore]) -> bool:
    held = {s.scorer.model_held for s in together} | {score.scorer.model_held}
    alone = score.scorer.alone or any(s.scorer.alone for s in together)
    twice = score.fingerprint in {s.fingerprint for s in together}
    return not alone and not twice and len(held - {None}) <= 1 and len(together) < MOST_SCORES


def _compute_pass(source: Source) -> Iterator[dict[str, Measured]]:
    """Compute from the documents what can be computed from them, then the rest from the values of its parents."""
    read = _ancestors(source.scores, source.fitted)
    if None in read:  # values of a score that was computed before are read, not texts
        from_texts = [score for score, bits in zip(source.scores, read, strict=True) if bits is not None]
        if from_texts:
            yield from _compute_pass(replace(source, scores=from_texts))
        yield from _of_parents(source, [score for score in source.scores if score not in from_texts])
        return
    scores, ancestors = source.scores, [bits for bits in read if bits is not None]
    source = source.looked_up()
    pending = _pending(source)
    here = {mask: _computable(mask, ancestors) for mask in pending.rows}
    rows = {mask: count for mask, count in pending.rows.items() if here[mask]}
    yield from _units(replace(source, computable=_computable_sql(ancestors)), replace(pending, rows=rows))
    left = {i for mask in here for i in range(len(scores)) if (mask & ~here[mask]) >> i & 1}
    yield from _of_parents(source, [scores[i] for i in sorted(left)])


def _of_parents(source: Source, scores: Sequence[FittedScore]) -> Iterator[dict[str, Measured]]:
    """Compute scores whose parents were there before this pass, from their values."""
    groups: dict[tuple[str, ...], list[FittedScore]] = {}
    for score in scores:
        groups.setdefault(score.scorer.inputs, []).append(score)
    for inputs, group in groups.items():
        parents = [source.fitted[i] for i in inputs if i in source.fitted]
        again = replace(source, scores=group, parents=parents, lacking=None).looked_up()
        yield from _units(again, _pending(again))


def _ancestors(scores: Sequence[FittedScore], fitted: Mapping[str, FittedScore]) -> list[int | None]:
    """Return for each score the bits of all scores that it reads in the end; None if one is not of this pass."""
    place = {s.name: i for i, s in enumerate(scores)}
    masks: list[int | None] = []
    for score in scores:
        bits: int | None = 0
        for parent in (i for i in score.scorer.inputs if i in fitted):
            above = masks[place[parent]] if parent in place else None
            bits = None if bits is None or above is None else bits | above | 1 << place[parent]
        masks.append(bits)
    return masks


def _computable(mask: int, ancestors: Sequence[int]) -> int:
    """Return those bits of a mask whose ancestors are all in the mask: they are computed in one scan."""
    return sum(1 << i for i, a in enumerate(ancestors) if mask >> i & 1 and mask & a == a)


def _computable_sql(ancestors: Sequence[int]) -> str:
    """Return `_computable` as SQL over `missing`."""
    parts = [(1 << i, 1 << i | a) for i, a in enumerate(ancestors)]
    if all(bit == needed for bit, needed in parts):
        return "missing"
    return " | ".join(f"IF((missing & {needed}L) = {needed}L, {bit}L, 0L)" for bit, needed in parts)


def _pending(source: Source) -> Pending:
    """Count the documents by what they lack, in one job; in none if nothing was ever computed."""
    run, scores = source.run, source.scores
    if source.within is None and run.lake.last_write(MEMOS) is None:
        return Pending({(1 << len(scores)) - 1: run.hashes.summary.documents}, 0, BUCKETS)
    bucket = F.expr(bucket_of("id"))
    counts = source.missing().groupBy("missing")
    rows = counts.agg(F.count("*").alias("rows"), F.min(bucket).alias("low"), F.max(bucket).alias("high")).collect()
    low, end = min((r["low"] for r in rows), default=0), max((r["high"] + 1 for r in rows), default=0)
    return Pending({r["missing"]: r["rows"] for r in rows}, low, end)


def _units(source: Source, pending: Pending) -> Iterator[dict[str, Measured]]:
    """Compute and append the pending rows, unit by unit."""
    name = ", ".join(s.name for s in source.scores)
    total = sum(pending.rows.values())
    if not total:
        return
    fixed = int(property_of(source.run.lake.spark, "spark.lakesift.unitRows", "0"))
    buckets, low, rows, meter = pending.end - pending.low, pending.low, 0, Meter(name, total)
    width = math.ceil(buckets * min(1.0, (fixed or first_rows(source.scores)) / total))
    while low < pending.end:
        high, began = min(pending.end, low + width), time.monotonic()
        meter.begins(rows + math.ceil(total * (high - low) / buckets))
        measured = retry_on_conflict(f"score {name}", partial(_unit, source, (low, high)), tries=UNIT_TRIES)
        done = max((m.rows for m in measured.values()), default=0)
        rows += done
        if done:
            finished(name, done)
        seconds = max(time.monotonic() - began, 0.001)
        meter.ends(rows)
        wanted = 0 if fixed else int(UNIT_SECONDS / seconds * (high - low))
        width = min(max(width, wanted), max(1, buckets * BROADCAST_ROWS // total))
        low = high
        yield measured


def first_rows(scores: Sequence[FittedScore]) -> float:
    """Return the rows of the first unit: about FIRST_SECONDS, and no more than a unit may have."""
    seconds = sum(s.scorer.seconds_per_row for s in scores)
    return min(FIRST_SECONDS / seconds, BROADCAST_ROWS) if seconds else BROADCAST_ROWS


def _unit(source: Source, buckets: tuple[int, int]) -> dict[str, Measured]:
    """Compute and append one slice; returns what was computed, {} if another run has computed all of it meanwhile."""
    scores, lake = source.scores, source.run.lake
    metadata = {"recipe": source.run.recipe.name, "fingerprints": sorted(s.fingerprint for s in scores)}
    with source.computed(buckets) as computed:
        frame, delivered = observed(computed, scores)
        commit = lake.append(memos(), frame, metadata)
    if commit is None:
        return {}
    # Where measures are unknown: the rows of the commit, as if all scores had been computed for the same ones.
    return delivered() or {s.name: Measured((commit.rows or 0) // len(scores)) for s in scores}
