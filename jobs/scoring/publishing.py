"""Publishing: `scores_<recipe>` holds exactly one row per document, with one column per score.

The value of a score is a function of content and fingerprint. So where the fingerprints are those of the newest
publication only the rows of documents that changed since are written; else, and where scores have conditions of their
own (which may read other columns), all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.fitted import FittedScore
from ...udfs.quoting import quoted_name
from ..inputs.conditions import satisfying
from ..inputs.hash_summary import as_metadata
from ..inputs.run import Run, Touched
from ..inputs.tables import published_names, score_columns
from ..lake.commits import TableState
from ..lake.manifest import Step
from ..lake.replacement import replace_rows
from ..lake.schemas import MEMOS, Table
from ..lake.schemas import scores as scores_schema
from ..lake.state import data_version_at
from ..lake.tables import retry_on_conflict
from ..recipe import order
from .memos import wide
from .published import origin, scores_stand


def publish(
    run: Run, fitted: Mapping[str, FittedScore], recent: Callable[[], Touched | None], since: TableState | None = None
) -> int:
    """Make `scores_<recipe>` current; returns its version.

    Parameters
    ----------
    recent : callable
        The documents that changed since the newest publication, None if it is not known which.
    since : TableState, optional
        A state of `memos` after which all values of these documents were written.
    """
    scores = [fitted[name] for name in published_names(run.recipe)]
    table = scores_schema(run.recipe.name, score_columns(scores), run.recipe.keep_versions)
    with run.manifest.step("publish", table.name) as step:
        version, written = retry_on_conflict(
            "publish", lambda: _publish(run, table, scores, fitted, recent, since, step)
        )
        step.rows = run.hashes.summary.documents
        step.ends(version, written)
    return version


def _publish(
    run: Run,
    table: Table,
    scores: Sequence[FittedScore],
    fitted: Mapping[str, FittedScore],
    recent: Callable[[], Touched | None],
    since: TableState | None,
    step: Step,
) -> tuple[int, bool]:
    """Return the version of the table, and whether it was written here."""
    lake, present = run.lake, run.lake.state(table.name)
    metadata, base = (
        origin(lake, run.recipe, run.hashes.summary.digest, run.manifest.fingerprints),
        present.version or 0,
    )
    if scores_stand(lake, run.recipe, metadata):
        return base, False
    touched = recent() if _carried_on(run, table, scores, metadata["fingerprints"]) else None
    metadata |= as_metadata(run.hashes.summary)
    metadata["memos"] = lake.data_versions(MEMOS, metadata["fingerprints"].values())
    metadata["hashes_state"] = data_version_at(lake, run.hashes.table, run.hashes.version)
    metadata["hashes_version"] = run.hashes.version
    if touched is None:
        step.computed = run.hashes.summary.documents
        return lake.overwrite(table, _rows(run, scores, fitted), metadata, base).version, True
    step.computed = touched.count
    rows = _rows(run, scores, fitted, touched, since)
    return replace_rows(lake, table, touched.ids, rows, metadata, base, touched.grew), True


def _carried_on(run: Run, table: Table, scores: Sequence[FittedScore], fingerprints: Mapping[str, str]) -> bool:
    """Tell whether the newest publication differs in nothing but the rows of documents that changed since."""
    last = run.lake.last_write(table.name)
    return last is not None and last.says({"fingerprints": fingerprints}) and not any(s.where for s in scores)


def _rows(
    run: Run,
    scores: Sequence[FittedScore],
    fitted: Mapping[str, FittedScore],
    touched: Touched | None = None,
    since: TableState | None = None,
) -> DataFrame:
    """Return the rows of the table: of documents that changed, or of all."""
    frame = wide(run, scores, touched, since)
    for score in (fitted[n] for n in order(run.recipe) if fitted[n].where and fitted[n] in scores):
        # `memos` may hold a value of a row outside: another recipe may have asked for it.
        asked = satisfying(run, frame, score.where, ()).select("id", F.lit(True).alias("is asked"))
        value = F.when(F.col("`is asked`"), F.col(quoted_name(score.name)))
        frame = frame.join(asked, "id", "left").withColumn(score.name, value).drop("is asked")
    return frame.select("id", "content_hash", *(quoted_name(s.name) for s in scores))
