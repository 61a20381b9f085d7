"""How many bytes a run reads and writes, about: of files as they lie on disk. Nothing is read for it."""

from __future__ import annotations

from collections.abc import Sequence

from ...udfs.encoding import is_published, is_vector, struct_fields
from ..inputs.memory import Held, width_of
from ..inputs.tables import published_names
from ..lake.schemas import MEMOS
from ..lake.tables import Lake
from ..lake.text_table import Rows, rows_of
from ..recipe import Recipe
from ..selectors.budget import rows_wanted
from .predicted_costs import Cost

#: Bytes on disk (measured, bench_plan) of an id, of a content hash, and of a number: hashes do not shrink.
ID_BYTES, HASH_BYTES, NUMBER_BYTES = 8, 33, 6


def sizes_of(lake: Lake, recipe: Recipe, costs: Sequence[Cost], count: int | None) -> Rows:
    """Return (table, bytes read, bytes written) of a run; None where that is not known.

    Parameters
    ----------
    costs : sequence of Cost
        With the rows that are computed of each score.
    count : int or None
        Documents.
    """
    source, budget = lake.size(recipe.documents.table), recipe.budget
    chosen = None if count is None or budget.tokens else min(count, rows_wanted(budget, count))
    new = [c for c in costs if c.rows]
    row = ID_BYTES + HASH_BYTES
    memos = sum(c.rows * (row + _value_bytes(recipe, c.score)) for c in new if c.rows)
    published = sum(_value_bytes(recipe, name) for name in published_names(recipe))
    rows = [
        (recipe.documents.table, source, None),
        *((t.table, lake.size(t.table), None) for t in recipe.targets.values()),
        (f"hashes_{recipe.name}", None, count and count * (ID_BYTES + HASH_BYTES * (1 + len(recipe.input_sets())))),
        (MEMOS, memos, memos),
        (f"scores_{recipe.name}", count and count * (row + published), count and count * (row + published)),
        (f"selection_{recipe.name}", None, _selected(source, count, chosen)),
    ]
    return rows_of(("table", "bytes read", "bytes written, about"), rows)


def _selected(source: int | None, count: int | None, chosen: int | None) -> int | None:
    """Return the bytes of the chosen rows: as many a row as the documents have."""
    return None if not (source and count and chosen) else source * chosen // count


def _value_bytes(recipe: Recipe, name: str) -> int:
    """Return the bytes of a value; of an array whose length is not known, those of one number."""
    score = recipe.scores[name]
    if is_vector(score.value):
        return 4 * max(1, width_of(recipe, name))
    fields = len(struct_fields(score.value)) if is_published(score.value) and "struct" in score.value else 1
    return NUMBER_BYTES * fields


def memory_table(held: Sequence[Held]) -> Rows:
    """Return what the driver holds at different times of a run; Spark's JVM is not counted."""
    return rows_of(
        ("holds", "rows", "bytes, about", "rows, at most"), [(h.what, h.rows, h.bytes, h.most_rows) for h in held]
    )
