"""What a selection is worth in bytes of random rows, by target, on its held-out texts: kernels/bytes_worth.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.kernels.bytes_worth import BYTES, TIMES, Worth, worth
from ..inputs.documents import text_of
from ..inputs.run import Run, columns_of
from ..scoring.eligible import eligible_columns
from .report_samples import first_texts

#: Random rows that are read at most, bytes of them, and characters of a text.
ROWS, RANDOM_BYTES, TEXT_CHARS = 20_000, 2 * int(BYTES * max(TIMES)), 20_000


def worth_of(
    run: Run, scores: DataFrame, selection: Sequence[str], held_out: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Return by target what a selection is worth, or as `why_not` why that cannot be told, as JSON values.

    Parameters
    ----------
    scores : DataFrame
        `scores_<recipe>`, as the version was made from it: random rows are those that `where:` lets in.
    selection : sequence of str
        Texts of the selection in random order.
    """
    found = worth(selection, _random_texts(run, scores), held_out, run.recipe.seed_of("worth"))
    return {name: _values(of_target) for name, of_target in found.items()}


def _values(found: Worth | str) -> dict[str, Any]:
    if isinstance(found, str):
        return {"why_not": found}
    return {**found._asdict(), "curve": [list(point) for point in found.curve]}


def _random_texts(run: Run, scores: DataFrame) -> list[str]:
    """Return texts of eligible rows in the order of a hash of their id."""
    key = F.xxhash64("id", F.lit("worth"))
    share = min(1.0, ROWS / max(1, run.hashes.summary.documents))
    some = eligible_columns(run, scores, []).where(F.pmod(key, F.lit(1_000_000)) < int(1e6 * share + 1))
    text = F.substring(F.expr(text_of(run.recipe.documents.text)), 1, TEXT_CHARS).alias("text")
    rows = columns_of(run, text).join(F.broadcast(some.select("id")), "id", "left_semi").where("text <> ''")
    kept = first_texts(rows.withColumn("set", F.lit("random")), "worth", RANDOM_BYTES)
    return [str(text) for text in kept["text"]]
