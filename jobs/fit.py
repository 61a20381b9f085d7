"""Fitting: estimators learn from the recipe's targets and documents, and what they learnt is kept in `models`.

What learns from targets alone is fitted in every run: it is cheap, and the same targets give the same model. What
learns from documents is fitted once for its key and taken from `models` afterwards, until `refit`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..udfs.scorer import Estimator, Fold, OnDocuments, Scorer, digest, fingerprint, parameters
from ..udfs.spark import fold
from .inputs.documents import Documents, hash_name
from .inputs.opening import open_target, target_texts
from .lake.commits import TableState
from .lake.manifest import Manifest, Step
from .lake.tables import retry_on_conflict
from .ranking.vectors import collect_arrow, fits_on_driver, fold_on_driver
from .scoring.memos import Memos
from .scoring.models import Model, recall, remember

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

log = logging.getLogger("lakesift")


class Fitting:
    """The fitted scorers of one run."""

    def __init__(self, memos: Memos, manifest: Manifest, refit: bool = False) -> None:
        self.memos, self.manifest, self.refit = memos, manifest, refit
        self.lake, self.documents = memos.lake, memos.documents
        self.reused: dict[str, Model] = {}
        self._targets: dict[str, tuple[DataFrame, TableState]] = {}

    def from_targets(self) -> dict[str, Scorer]:
        """Return, by label, the scorers that need no fitting and those that learn from targets alone."""
        scores = self.documents.recipe.scores
        made = {label: s for label, s in scores.items() if isinstance(s, Scorer)}
        ours = {k: s for k, s in scores.items() if isinstance(s, Estimator) and "documents" not in s.fits_on}
        if ours:
            with self.manifest.step("fit", "models") as step:
                made |= {label: score.fit(self._pass(score)) for label, score in ours.items()}
                learnt = {k: {"tables": [self._named(n) for n in s.fits_on]} for k, s in ours.items()}
                self._remember(step, [Model(fingerprint(made[k]), made[k], learnt[k]) for k in ours])
        return made

    def from_documents(self, label: str, fingerprints: dict[str, str]) -> Scorer:
        """Return the model of a label: the newest of its key, or a new one; by the fingerprints of what it reads."""
        score = self.documents.recipe.scores[label]
        assert isinstance(score, OnDocuments)
        for name in score.fits_on:
            self._open(name)
        targets = {n: self._stamp(n) for n in score.fits_on if n != "documents"}
        key = fit_key(self.documents, label, fingerprints, targets)
        model = None if self.refit or score.refit == "always" else recall(self.lake, key, score)
        if model:
            self.reused[label] = model
            return model.scorer
        log.info("  %s: fitting on %s", label, ", ".join(score.fits_on))
        with self.manifest.step(f"fit {label}", "models") as step:
            made = score.fit(self._pass(score))
            tables = [self._named(n) for n in score.fits_on]
            learnt = {"tables": tables, "documents": self.documents.state.version}
            reads = {i: fingerprints[i] for i in made.inputs if i in fingerprints}
            self._remember(step, [Model(fingerprint(made, reads), made, learnt, key)])
        return made

    def newer(self, label: str) -> None:
        """Note how many documents are newer than a model that was reused: ids that its fit table did not have."""
        model, documents = self.reused.get(label), self.documents
        before = model.learnt.get("documents") if model else None
        if model is None or before == documents.state.version:
            return
        hint = "; lakesift run --refit makes a new one"
        table = documents.recipe.documents.table
        try:
            if before is None:
                raise LookupError
            old = self.lake.read(table, before).selectExpr(f"{documents.id} AS id").where("id IS NOT NULL")
            now = self.lake.read(*self.memos.keys).select("id")
            count, new = now.count(), now.join(old, "id", "left_anti").count()
        except Exception:  # not pinned, or the version was vacuumed
            self.manifest.notes.append(f"{label}: the model was fitted on an older state of {table}{hint}")
            return
        if new:
            newer = f"{new:,} of {count:,} rows ({100 * new / count:.2g} %) are newer than the model"
            self.manifest.notes.append(f"{label}: {newer}, fitted on version {before} of {table}{hint}")

    # -- passes --------------------------------------------------------------------------------------------------

    def _pass(self, score: Estimator) -> Any:
        held = self._held(score) if isinstance(score, OnDocuments) else None

        def one_pass(f: Fold[Any], name: str) -> Any:
            if name == "documents":
                assert isinstance(score, OnDocuments)
                columns = f.reads or score.inputs
                return fold_on_driver(held, f, columns) if held is not None else fold(self._rows(score, columns), f)
            return fold(target_texts(self._open(name)[0], self.documents, name), f)

        return one_pass

    def _held(self, score: OnDocuments) -> pa.Table | None:
        """Return the vectors that an estimator learns from, if it reads nothing else and they fit the driver."""
        scored = [self.memos.scored.get(name) for name in score.inputs]
        widths = [getattr(item.scorer, "width", 0) if item else 0 for item in scored]
        if not all(widths) or not fits_on_driver(self.memos.documents_count, sum(widths)):
            return None
        return collect_arrow(self._rows(score, ("h", *score.inputs))).combine_chunks()

    def _rows(self, score: OnDocuments, names: tuple[str, ...]) -> DataFrame:
        """Return the columns that a fold reads, one row per document that the model may learn from."""
        from pyspark.sql import functions as F

        documents, memos, scored = self.documents, self.memos, self.memos.scored
        read = [n for n in score.inputs if n in scored]
        within = None
        if read and score.fit_where:
            within = documents.frame.where(score.fit_where).selectExpr(f"{documents.id} AS id").distinct()
        h = F.xxhash64("id").alias("h")
        if read:
            rows = memos.lake.read(*memos.keys).select("id") if set(names) == {"h"} else None
            for name in (n for n in names if n in scored):
                part = memos.values(scored[name]).withColumnRenamed("value", name)
                rows = part if rows is None else rows.join(part, "id", "inner")
            assert rows is not None
            rows = rows.join(within, "id", "left_semi") if within is not None else rows
            return rows.select(*(h if n == "h" else F.col(f"`{n}`") for n in names))
        frame = documents.frame.where(score.fit_where) if score.fit_where else documents.frame
        inputs = documents.inputs(tuple(n for n in names if n != "h"))
        rows = frame.selectExpr(f"{documents.id} AS id", f"{documents.row_hash()} AS row_hash", *inputs)
        if documents.repeated:
            taken = memos.lake.read(*memos.keys).select("id", "row_hash")
            rows = rows.join(taken, ["id", "row_hash"], "left_semi").dropDuplicates(["id"])
        return rows.where("id IS NOT NULL").select(*(h if n == "h" else F.col(f"`{n}`") for n in names))

    # -- targets and models ----------------------------------------------------------------------------------------

    def _open(self, name: str) -> tuple[DataFrame, TableState]:
        if name == "documents":
            return self.documents.frame, self.documents.state
        if name not in self._targets:
            frame, state = open_target(self.lake, self.documents, name)
            self._targets[name] = frame, state
            self.manifest.inputs[f"target {name}"] = {"table": state.ref, "version": state.version}
        return self._targets[name]

    def _named(self, name: str) -> str:
        state = self._open(name)[1]
        return f"{name}: {state.ref}@{state.version}"

    def _stamp(self, name: str) -> str:
        frame, state = self._open(name)
        if state.data_version:
            return state.data_version
        texts = target_texts(frame, self.documents, name).selectExpr("count(*) AS n", "bit_xor(xxhash64(text)) AS x")
        return str(texts.collect()[0].asDict())

    def _remember(self, step: Step, made: list[Model]) -> None:
        commit = retry_on_conflict("models", lambda: remember(self.lake, made))
        step.computed = commit.rows if commit else 0
        if commit is None:
            step.unchanged(self.lake.version("models"))
        else:
            step.wrote(commit.version)


def fit_key(documents: Documents, label: str, fingerprints: dict[str, str], targets: dict[str, str]) -> str:
    """Return what a model that learns from documents is kept under: estimator, fit table, what it reads, targets."""
    recipe = documents.recipe
    score = recipe.scores[label]
    body = {k: v for k, v in parameters(score).items() if k not in ("of", "target", "refit")}
    reads = [fingerprints.get(i) or i for i in score.inputs]
    sql = documents.hashes()[hash_name(recipe.source_inputs(label))]
    chosen = [[recipe.targets[n].text, recipe.targets[n].where, stamp] for n, stamp in targets.items()]
    return digest([score.kind, score.revision, body, reads, documents.state.ref, sql, chosen])
