"""Step 3, fitting: estimators learn from the recipe's targets and documents; what they learn is kept in `models`.

What learns from targets alone is fitted in every run: it is cheap, and the same targets give the same model. What
learns from documents is fitted once for its key and taken from `models` afterwards, until `refit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from itertools import count
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ..udfs.digests import digest
from ..udfs.fitted import FittedScore, input_name
from ..udfs.quoting import quoted_name
from ..udfs.scorer import Declared, DocumentEstimator, Estimator, Fold, Scorer, fingerprint, parameters
from ..udfs.spark import fold
from .inputs.documents import hash_name
from .inputs.opening import target_texts
from .inputs.run import Run, one_row_per_id
from .lake.digests import rows_digest
from .lake.manifest import Step
from .lake.progress import Meter
from .lake.tables import retry_on_conflict
from .ranking.vectors import collect_arrow, fits_on_driver, fold_on_driver
from .scoring.memos import values
from .scoring.models import Model, recall, remember
from .scoring.newer import newer_documents


def fit_on_targets(run: Run) -> dict[str, Scorer]:
    """Return, by name, the scorers that need no fitting and those that learn from targets alone."""
    scores = run.recipe.scores
    scorers = {name: s for name, s in scores.items() if isinstance(s, Scorer)}
    learning = {n: s for n, s in scores.items() if isinstance(s, Estimator) and not isinstance(s, DocumentEstimator)}
    if learning:
        with run.manifest.step("fit", "models") as step:
            scorers |= {name: score.fit(_folds(run, score, {})) for name, score in learning.items()}
            tables = {n: {"tables": [_at_version(run, t) for t in s.fits_on]} for n, s in learning.items()}
            _remember(run, step, [Model(_fingerprint(n, scorers), scorers[n], tables[n]) for n in learning])
            if read := [rows for n in learning if (rows := scorers[n].read())]:
                step.rows, step.undefined = (sum(counts) for counts in zip(*read, strict=True))
    return scorers


def _fingerprint(name: str, scorers: Mapping[str, Scorer]) -> str:
    """Return the fingerprint of a scorer, which has those of the scorers that it reads in it."""
    scorer = scorers[name]
    return fingerprint(scorer, {i: _fingerprint(i, scorers) for i in scorer.inputs if i in scorers})


def stored_model(run: Run, name: str, fitted: Mapping[str, FittedScore], refit: bool) -> Model | None:
    """Return the model that a score which learns from documents takes from `models`; None if it must be fitted."""
    score = run.recipe.scores[name]
    assert isinstance(score, DocumentEstimator)
    if refit or score.refit == "always":
        return None
    return recall(run.lake, fit_key(run, name, fitted), score, {n: f.fingerprint for n, f in fitted.items()})


def fit_on_documents(run: Run, name: str, fitted: Mapping[str, FittedScore]) -> Scorer:
    """Fit a score on the documents, and on scores that are computed; remember the model."""
    score = run.recipe.scores[name]
    assert isinstance(score, DocumentEstimator)
    with run.manifest.step(f"fit {name}", "models") as step:
        scorer = score.fit(_folds(run, score, fitted))
        reads = {i: fitted[i].fingerprint for i in scorer.inputs if i in fitted}
        tables = [_at_version(run, table) for table in score.fits_on]
        fitted_on = {"tables": tables, "documents": run.documents.state.version}
        _remember(run, step, [Model(fingerprint(scorer, reads), scorer, fitted_on, fit_key(run, name, fitted))])
    return scorer


def note_newer_rows(run: Run, name: str, model: Model, fitted: Mapping[str, FittedScore]) -> None:
    """Note how many documents are newer than a model that was reused: ids that its fit table did not have.

    And what of them the model does not know, where it can say so.
    """
    documents, before = run.documents, model.fitted_on.get("documents")
    if before == documents.state.version:
        return
    hint = "; lakesift run --refit makes a new one"
    table = run.recipe.documents.table
    try:
        if before is None:
            raise LookupError
        new, newer = newer_documents(run, before)
    except Exception:  # not pinned, or the version was vacuumed
        run.manifest.note(f"{name}: the model was fitted on an older state of {table}{hint}")
        return
    if new:
        count, said = run.hashes.summary.documents, ""
        if unknown := model.scorer.unknown():
            one_pass, words = unknown
            said = words(fold(_rows(run, run.recipe.scores[name], fitted, model.scorer.inputs, newer()), one_pass))
        share = f"{new:,} of {count:,} rows ({100 * new / count:.2g} %) are newer than the model"
        fact = f"{share}, fitted on version {before} of {table}{f'; {said}' if said else ''}"
        run.manifest.note(f"{name}: {fact}{hint}")


def fit_key(run: Run, name: str, fitted: Mapping[str, FittedScore]) -> str:
    """Return what a model that learns from documents is kept under: estimator, fit table, what it reads, targets."""
    recipe, documents = run.recipe, run.documents
    score = recipe.scores[name]
    body = {k: v for k, v in parameters(score).items() if k not in ("of", "target", "refit")}
    reads = [fitted[i].fingerprint if i in fitted else i for i in score.inputs]
    sql = documents.hashes[hash_name(recipe.source_inputs(name))]
    targets = [
        [recipe.targets[t].text, recipe.targets[t].where, _data_version(run, t)]
        for t in (score.fits_on if isinstance(score, Estimator) else ())
        if t != "documents"
    ]
    return digest([score.kind, score.revision, body, reads, documents.state.ref, sql, targets])


# -- passes over the tables --------------------------------------------------------------------------------------------


def _folds(run: Run, score: Estimator, fitted: Mapping[str, FittedScore]) -> Any:
    """Return `fold(f, table)` for an estimator: on the driver where its vectors fit there, else on Spark."""
    parents = [fitted[i] for i in score.inputs if i in fitted]
    widths = [p.scorer.width for p in parents]
    local = None
    all_vectors = bool(parents) and len(parents) == len(score.inputs) and all(widths)
    if all_vectors and fits_on_driver(run.hashes.summary.documents, sum(widths)):
        local = collect_arrow(_rows(run, score, fitted, ("h", *score.inputs))).combine_chunks()

    passes = count(1)

    def one_pass(f: Fold[Any], table: str) -> Any:
        if table != "documents":
            return fold(target_texts(run.targets[table].frame, run.documents, table), f)
        columns = f.reads or score.inputs
        if local is not None and set(columns) <= set(local.column_names):
            return fold_on_driver(local, f, columns)
        Meter(f"{score.kind}, pass {next(passes)}", documents := run.hashes.summary.documents).begins(documents)
        return fold(_rows(run, score, fitted, columns), f)

    return one_pass


def _rows(
    run: Run,
    score: Declared,
    fitted: Mapping[str, FittedScore],
    names: tuple[str, ...],
    within: DataFrame | None = None,
) -> DataFrame:
    """Return the columns that a fold reads, one row per document that the model may learn from; of some ids only."""
    documents, where = run.documents, score.fit_where if isinstance(score, DocumentEstimator) else ""
    columns = [F.xxhash64("id").alias("h") if n == "h" else F.col(quoted_name(input_name(n))).alias(n) for n in names]
    if any(i in fitted for i in score.inputs) and all(n in fitted or n == "h" for n in names):
        parts = [values(run, fitted[n]).withColumnRenamed("value", input_name(n)) for n in names if n in fitted]
        rows = reduce(lambda a, b: a.join(b, "id", "inner"), parts or [run.hashed.select("id")])
        if where:
            within = documents.frame.where(where).selectExpr(f"{documents.id} AS id").distinct()
            rows = rows.join(within, "id", "left_semi")
        return rows.select(*columns)
    inputs = documents.inputs(tuple(n for n in names if n != "h"))
    rows = documents.frame.where(where or "true").selectExpr(*documents.keys, *inputs)
    rows = rows if within is None else rows.join(within, "id", "left_semi")
    return one_row_per_id(run, rows).select(*columns)


def _at_version(run: Run, name: str) -> str:
    state = run.documents.state if name == "documents" else run.targets[name].state
    return f"{name}: {state.ref}@{state.version}"


def _data_version(run: Run, target: str) -> str:
    """Return what a target's rows are identified by: its state, or their digest where it has no versions."""
    opened = run.targets[target]
    if opened.state.data_version:
        return f"{opened.state.ref}:{opened.state.data_version}"
    return rows_digest(target_texts(opened.frame, run.documents, target), "coalesce(sha2(text, 256), 'N')")


def _remember(run: Run, step: Step, models: list[Model]) -> None:
    commit = retry_on_conflict("models", lambda: remember(run.lake, models))
    step.computed = commit.rows if commit else 0
    step.ends(commit.version if commit else run.lake.version("models"), bool(commit))
