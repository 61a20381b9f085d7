"""Files to Delta, nothing lost: every line becomes a row of <table> or a line of <table>_rejected with its reason.

The files are the truth: a table is unchanged while its newest data-changing commit carries the identity of its
source, so DELETE, UPDATE or RESTORE on it heal on the next run. `_rejected` is written after the table and carries the
same identity, so a run that stopped between the two is finished by the next. Rows in = rows written + rejected.
Left out: duplicate ids (the key pass finds them) and null text (a row like any other).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..udfs.errors import InputError, RecipeError
from .lake.commits import NO_DATA, Commit
from .lake.manifest import Manifest, Step
from .lake.schemas import Col, Table, rejected_lines
from .lake.tables import Lake, retry_on_conflict
from .lake.tuning import cores
from .recipe import Recipe, Source
from .sources import sources_digest
from .sources.reader import Lines, read

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["ingest", "ingest_table", "sources_digest"]

#: A smaller table is one file; a larger one at least 2 x cores files, each of at most `FILE_BYTES` of source.
SMALL_ROWS, SMALL_BYTES, FILE_BYTES = 2_000, 16 << 20, 256 << 20


def ingest(lake: Lake, recipe: Recipe, manifest: Manifest) -> None:
    """Ingest the documents and every target that has a `from:`.

    Raises
    ------
    RecipeError
        If one table is to come from two sources.
    InputError
        If a source is missing, empty, or holds no row at all.
    """
    wanted: dict[str, tuple[Source, str | None]] = {}
    uses = [(recipe.documents.table, recipe.documents.source, recipe.documents.id or None)]
    uses += [(t.table, t.source, None) for t in recipe.targets.values()]
    for table, source, id_sql in uses:
        if source is None:
            continue
        if wanted.setdefault(table, (source, id_sql))[0] != source:
            raise RecipeError(f"table {table!r} has two different 'from:'; give one of them another table name")
    for table, (source, id_sql) in wanted.items():
        ingest_table(lake, table, source, id_sql, manifest)


def ingest_table(lake: Lake, table: str, source: Source, id_sql: str | None, manifest: Manifest) -> None:
    """Bring one table in line with its source: in one commit if anything differs, in none otherwise.

    Parameters
    ----------
    id_sql : str or None
        SQL over the source's columns; lines where it is null are rejected, shown as the JSON of the row.

    Raises
    ------
    InputError
        If the source is missing, empty or broken, holds no row at all, or no column that `id_sql` names.
    """
    with manifest.step("ingest", table) as step:
        identity = sources_digest(lake.spark, source, id_sql)
        found: list[Lines] = []

        def lines() -> Lines:
            if not found:
                found.append(read(lake.spark, source, manifest.notes))
            return found[0]

        retry_on_conflict(f"ingest of {table}", lambda: _decide(lake, table, identity, lines, id_sql, step))


def _decide(lake: Lake, table: str, identity: str, lines: Callable[[], Lines], id_sql: str | None, step: Step) -> None:
    base, commit = _present(lake, table)
    if commit is None or commit.metadata.get("source") != identity:
        commit = _write(lake, table, identity, lines(), id_sql, base)
        step.wrote(commit.version)
        step.computed = _rows(lake, table, commit)
    else:
        step.unchanged(base)
    step.rows = int(commit.metadata["lines"])
    step.rejected = step.rows - _rows(lake, table, commit)
    _write_rejected(lake, table, identity, lines, id_sql, step.rejected)
    if step.rejected == step.rows:
        raise InputError(
            f"none of the {step.rows:,} lines that table {table} comes from is a row; {table}_rejected holds each with "
            "the reason: correct the files, or documents: id"
        )


def _write_rejected(
    lake: Lake, table: str, identity: str, lines: Callable[[], Lines], id_sql: str | None, count: int
) -> None:
    side = rejected_lines(table)
    base, commit = _present(lake, side.name)
    if (commit is None and count == 0) or (commit is not None and commit.metadata.get("source") == identity):
        return
    lake.create(side)
    bad = _split(lines(), id_sql, table)[1].coalesce(1)
    lake.overwrite(side, bad, {"source": identity}, lake.version(side.name) or 0 if base is None else base)


def _write(lake: Lake, table: str, identity: str, lines: Lines, id_sql: str | None, base: int | None) -> Commit:
    good, _ = _split(lines, id_sql, table)
    declared = tuple(Col(f.name, _type(f.dataType), "source column") for f in good.schema)
    made = Table(table, "rows of the source files", declared)
    if base is None:
        lake.create(made)
        base = lake.version(table) or 0
    many = max(2 * cores(lake.spark), math.ceil(lines.size / FILE_BYTES))
    spread = good.coalesce(1) if lines.count < SMALL_ROWS and lines.size < SMALL_BYTES else good.repartition(many)
    return lake.overwrite(made, spread, {"source": identity, "lines": lines.count}, base)


def _present(lake: Lake, table: str) -> tuple[int | None, Commit | None]:
    """Return the present version and the newest commit that changed data: mostly the same, then one query."""
    latest = lake.history(table, 1)
    if not latest:
        return None, None
    return latest[0].version, lake.last_write(table) if latest[0].operation in NO_DATA else latest[0]


def _rows(lake: Lake, table: str, commit: Commit) -> int:
    return lake.read(table, commit.version).count() if commit.rows is None else commit.rows


def _split(lines: Lines, id_sql: str | None, table: str) -> tuple[DataFrame, DataFrame]:
    """Return the rows, and what is rejected (reason, raw, file)."""
    from pyspark.sql import functions as F

    kept = "lakesift_line"
    rows = lines.parsed.where("reason IS NULL").select("row.*", F.struct("row", "file").alias(kept))
    bad = lines.parsed.where("reason IS NOT NULL").select("reason", "raw", "file")
    if not id_sql:
        return rows.drop(kept), bad
    try:
        missing = rows.where(F.expr(id_sql).isNull())
        good = rows.where(F.expr(id_sql).isNotNull()).drop(kept)
    except Exception as error:
        names = ", ".join(n for n in rows.columns if n != kept)
        raise InputError(
            f"the id {id_sql!r} of table {table} is no expression over the columns of {lines.what} ({names}); "
            "correct documents: id"
        ) from error
    line = F.to_json(f"{kept}.row", {"ignoreNullFields": "false"})
    return good, bad.union(missing.select(F.lit("id is null"), line, f"{kept}.file"))


def _type(data_type: Any) -> str:
    """Return the DDL of a type with quoted field names (simpleString quotes none)."""
    from pyspark.sql import types as T

    if isinstance(data_type, T.ArrayType):
        return f"array<{_type(data_type.elementType)}>"
    if isinstance(data_type, T.MapType):
        return f"map<{_type(data_type.keyType)},{_type(data_type.valueType)}>"
    if isinstance(data_type, T.StructType):
        return f"struct<{','.join(f'`{f.name}`:{_type(f.dataType)}' for f in data_type)}>"
    return str(data_type.simpleString())
