"""Held-out texts of the targets: which are read, whether a score saw them, where else they stand, and bits per byte.

Held-out bits per byte (methods: ZIP-FIT): a byte 5-gram model is fitted on each set at equal bytes and read on the
held-out rows of a target; lower means closer to the target. They say nothing where a score was fitted on the same
texts, so that is refused; held-out texts among the documents are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ...udfs.found_texts import FoundTexts, text_key
from ...udfs.kernels.ngram_model import bits_per_byte, cut, fit
from ...udfs.scorer import Estimator
from ...udfs.scores.ngram_overlap import NgramOverlap
from ...udfs.spark import fold
from ..inputs.documents import Documents, text_of
from ..inputs.opening import target_texts
from ..inputs.run import Run, Target, columns_of
from ..lake.tuning import spread
from ..recipe import Recipe
from .report_draws import defined

#: Held-out rows of a target that are read, chosen by the hash of their text.
HELD_OUT_ROWS = 5_000
#: Bytes that a model is fitted on at most.
FIT_BYTES = 2_000_000


def held_out_texts(documents: Documents, targets: Mapping[str, Target]) -> dict[str, list[str]]:
    """Return the held-out texts of every target that has any, HELD_OUT_ROWS at most, in order of a hash of the text.

    A text that stands in several rows is there as often: the sample is one of rows.

    Raises
    ------
    InputError
        If `held_out:` leaves no text, or leaves one that scores are fitted on.
    """
    named = {name: target for name, target in documents.recipe.targets.items() if target.held_out}
    return {name: _held_out_texts(documents, targets, name) for name in named}


def _held_out_texts(documents: Documents, targets: Mapping[str, Target], name: str) -> list[str]:
    target, texts = documents.recipe.targets[name], _held_out(documents, targets, name)
    total, fitted = texts.agg(F.count("*"), F.count_if("fitted")).collect()[0]
    if not total:
        raise InputError(f"targets.{name}.held_out leaves no row of {target.table}; widen it")
    if fitted:
        own = f"where: {target.where!r}" if target.where else "without where: every row is"
        others = [f"targets.{other}" for other in fitted_targets(documents.recipe) if other != name]
        by = ", ".join([own, *others])
        raise InputError(
            f"targets.{name}: {fitted:,} of {total:,} held-out texts are also among those that scores are fitted on "
            f"({by}), so that held-out bits per byte would say nothing; keep them apart by their text, such as where: "
            f"pmod(xxhash64({target.text}), 2) = 0 and held_out: pmod(xxhash64({target.text}), 2) = 1, and run again"
        )
    copies = F.sequence(F.lit(1).cast("bigint"), F.least("copies", F.lit(HELD_OUT_ROWS)))
    rows = texts.select("text", F.explode(copies).alias("copy"))
    some = rows.orderBy(F.xxhash64("text", "copy"), "text", "copy").limit(HELD_OUT_ROWS)
    return [row["text"] for row in some.select("text").collect()]


def _held_out(documents: Documents, targets: Mapping[str, Target], name: str) -> DataFrame:
    """Return each held-out text of a target once: `text`, `copies`, and whether it is `fitted` on, too."""
    target, fitted = documents.recipe.targets[name], fitted_targets(documents.recipe)
    fits = f"coalesce(({target.where}\n), false)" if target.where else str(name in fitted).lower()
    columns = (f"coalesce(({target.held_out}\n), false) AS held_out", f"{fits} AS fitted")
    rows = [targets[name].frame.selectExpr(f"{text_of(target.text)} AS text", *columns)]
    rows += [
        target_texts(targets[other].frame, documents, other).selectExpr("text", "false AS held_out", "true AS fitted")
        for other in fitted
        if other != name
    ]
    every = reduce(DataFrame.unionByName, rows).where("text <> ''").groupBy("text")
    return every.agg(F.count_if("held_out").alias("copies"), F.bool_or("fitted").alias("fitted")).where("copies > 0")


def fitted_targets(recipe: Recipe) -> list[str]:
    """Return the targets that scores or the reward learn from; what ngram_overlap looks for is meant to stay out."""
    scores = [s for s in recipe.scores.values() if isinstance(s, Estimator) and not isinstance(s, NgramOverlap)]
    named = [table for score in scores for table in score.fits_on]
    named += recipe.refine.reward.targets if recipe.refine else ()
    return [name for name in recipe.targets if name in named]


def count_found(
    run: Run, held_out: Mapping[str, Sequence[str]], selected: DataFrame
) -> dict[str, tuple[int, int, int]]:
    """Return by target how many different held-out texts there are, stand among the documents, and in the selection.

    In the spelling in which decontamination compares (udfs/found_texts.py); one pass over the documents.

    Parameters
    ----------
    selected : DataFrame
        `id` of the selection.
    """
    of_target = {name: {text_key(text) for text in texts} for name, texts in held_out.items()}
    keys = sorted(set().union(*of_target.values()) - {b""})
    text = F.expr(text_of(run.recipe.documents.text)).alias("text")
    chosen = F.broadcast(selected.select("id", F.lit(1).alias("chosen")))
    with spread(run.lake.spark, run.few_files) as deal_out:
        rows = columns_of(run, text).join(chosen, "id", "left").select("text", F.coalesce("chosen", F.lit(0)))
        found = fold(deal_out(rows), FoundTexts(keys))
    flags = dict(zip(keys, found.T.tolist(), strict=True))
    counts = {}
    for name, own in of_target.items():
        there = [flags[key] for key in own if key]
        counts[name] = (len(own), sum(document for document, _ in there), sum(selection for _, selection in there))
    return counts


def evidence(
    texts: Mapping[str, Sequence[str]],
    held_out: Mapping[str, Sequence[str]],
    found: Mapping[str, tuple[int, int, int]],
) -> dict[str, dict[str, Any]]:
    """Return by target the bits per byte of its held-out texts after each set was read, and what was counted.

    Parameters
    ----------
    texts : mapping of str to sequence of str
        By set, in the order in which they are cut to equal bytes.
    """
    size = min(FIT_BYTES, *(sum(len(t.encode("utf-8", "replace")) for t in part) for part in texts.values()))
    bits: dict[str, dict[str, float | None]] = {name: {} for name in held_out}
    for of_set, name, value in _bits(texts, held_out, size) if size else ():
        bits[name][of_set] = defined(value)
    said = {}
    for name, rows in held_out.items():
        known, documents, selection = found[name]
        said[name] = {"bytes": size, "held_out_rows": len(rows), "bits": bits[name], "held_out_texts": known}
        said[name] |= {"found_in_documents": documents, "found_in_selection": selection}
    return said


def _bits(
    texts: Mapping[str, Sequence[str]], held_out: Mapping[str, Sequence[str]], size: int
) -> Iterator[tuple[str, str, float]]:
    """Yield set, target and bits per byte; a model is fitted once for all targets."""
    for of_set, part in texts.items():
        model = fit(cut(part, size))
        for name, rows in held_out.items():
            yield of_set, name, bits_per_byte(model, rows)
