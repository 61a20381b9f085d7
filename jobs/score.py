"""Step 4, scoring: fits what must be fitted, computes what is missing in `memos`, publishes `scores_<recipe>`.

A score is a pure function of (content, fingerprint), so only (id, content_hash) pairs that `memos` lacks are computed:
all fitted scores in one pass over the documents. A pass ends only where a fit, or a score's own condition, reads a
score that is not computed yet. Scores that are only computed on demand are left to the selector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ..udfs.encoding import is_vector, struct_fields
from ..udfs.fitted import FittedScore
from ..udfs.quoting import quoted_name
from ..udfs.scorer import Scorer, fingerprint
from .fit import fit_on_documents, fit_on_targets, note_newer_rows, stored_model
from .inputs.conditions import satisfying
from .inputs.run import Run, Touched
from .inputs.tables import published_names
from .lake.manifest import Step
from .lake.schemas import MEMOS
from .recipe import order
from .recipe.recipe import mentions
from .scoring.measures import Measured
from .scoring.memos import BROADCAST_ROWS, memo_rows, wide
from .scoring.models import fitted_score
from .scoring.passes import compute
from .scoring.published import current_scores, documents_origin, settled_scores
from .scoring.publishing import publish
from .scoring.recent import recent


@dataclass(frozen=True)
class Scores:
    """The fitted scores of a run, by name, and the version of `scores_<recipe>`."""

    fitted: Mapping[str, FittedScore]
    version: int


def score(run: Run, refit: bool = False) -> Scores:
    """Make every score of the recipe current; returns them and the version of `scores_<recipe>`."""
    recipe, on_demand = run.recipe, run.recipe.on_demand_only()
    scorers, changed, since = fit_on_targets(run), cache(partial(recent, run)), run.lake.state(MEMOS)
    fitted: dict[str, FittedScore] = {}
    steps: dict[str, Step] = {}
    waiting: list[str] = []  # the pass that is being gathered
    reused = {}

    def compute_waiting() -> None:
        if waiting:
            steps.update(_compute(run, [fitted[n] for n in waiting], fitted, changed))
            for n in waiting:
                fitted[n] = replace(fitted[n], current_at=steps[n].version)
            waiting.clear()

    for name in order(recipe):
        if name not in scorers and (model := stored_model(run, name, fitted, refit)):
            scorers[name], reused[name] = model.scorer, model
        elif name not in scorers:
            if set(waiting) & set(recipe.scores[name].inputs):  # the fit reads a score that is not computed yet
                compute_waiting()
            scorers[name] = fit_on_documents(run, name, fitted)
        one = fitted[name] = _fitted(run, name, scorers[name], fitted)
        if name in on_demand:
            continue
        if one.where:
            if any(mentions(one.where, other) for other in waiting) or set(scorers[name].inputs) & set(waiting):
                compute_waiting()
            asked = _asked(run, one, fitted)
            steps |= _compute(run, [one], fitted, changed, asked)
            steps[name].not_asked = run.hashes.summary.documents - asked.count()
        else:
            waiting.append(name)
    compute_waiting()
    for name, model in reused.items():
        note_newer_rows(run, name, model, fitted)
    for name, one in fitted.items():
        for note in one.scorer.notes():
            run.manifest.note(f"{name}: {note}")
    run.manifest.fingerprints = {n: s.fingerprint for n, s in fitted.items()}
    version = publish(run, fitted, changed, since if _all_computed(run, steps, changed) else None)
    undefined = _undefined(run, version, fitted, steps)
    for name, step in steps.items():
        step.rows, step.undefined = run.hashes.summary.documents, undefined[name]
    run.manifest.counts["undefined"] = undefined
    return Scores(fitted, version)


def _fitted(run: Run, name: str, scorer: Scorer, fitted: Mapping[str, FittedScore]) -> FittedScore:
    reads = {n: s.fingerprint for n, s in fitted.items()}
    return fitted_score(run.recipe, name, scorer, fingerprint(scorer, reads))


def _asked(run: Run, score: FittedScore, fitted: Mapping[str, FittedScore]) -> DataFrame:
    """Return the ids for which a score's own condition holds."""
    known = [s for n, s in fitted.items() if n != score.name and mentions(score.where, n)]
    return satisfying(run, wide(run, known), score.where, ()).select("id")


def _all_computed(run: Run, steps: Mapping[str, Step], changed: Callable[[], Touched | None]) -> bool:
    """Tell whether every value of the documents that changed was computed by this run, none was there before."""
    names = published_names(run.recipe)
    if not all(steps[name].computed for name in names) or not (touched := changed()):
        return False
    return all(steps[name].computed == touched.there for name in names)


def _compute(
    run: Run,
    scores: Sequence[FittedScore],
    fitted: Mapping[str, FittedScore],
    changed: Callable[[], Touched | None],
    within: DataFrame | None = None,
) -> dict[str, Step]:
    """Compute what is missing of some scores; returns the line of each in the closing table."""
    fingerprints, digest = {s.name: s.fingerprint for s in scores}, run.hashes.summary.digest
    with run.manifest.step("compute", MEMOS) as step:
        current = current_scores(run.lake, run.recipe, documents_origin(run.lake, run.recipe, digest), fingerprints)
        pending = [s for s in scores if s.name not in current]
        settled, touched = _settled(run, pending, fitted, changed, within)
        measured: dict[str, Measured] = {}
        if touched and touched.there:
            measured = compute(run, settled, fitted, touched=touched)
        measured |= compute(run, [s for s in pending if s not in settled], fitted, within)
        version = run.lake.version(MEMOS)
        step.rows, step.computed = run.hashes.summary.documents, sum(m.rows for m in measured.values())
        step.ends(version, step.computed > 0)
    lines = {}
    for score in scores:
        own = measured.get(score.name, Measured())
        line = lines[score.name] = run.manifest.line(f"score {score.name}", MEMOS)
        line.computed, line.kernel = own.rows, round(own.seconds, 2)
        line.ends(version, own.rows > 0)
    return lines


def _settled(
    run: Run,
    pending: Sequence[FittedScore],
    fitted: Mapping[str, FittedScore],
    changed: Callable[[], Touched | None],
    within: DataFrame | None,
) -> tuple[list[FittedScore], Touched | None]:
    """Return the scores that only documents lack which changed since they were published, and these documents.

    None of those that they read may lack more.
    """
    names = settled_scores(run.lake, run.recipe, {s.name: s.fingerprint for s in fitted.values()})
    more = {s.name for s in pending if s.where or s.name not in names}
    settled: list[FittedScore] = []
    for one in pending:
        if one.name not in more and not set(one.scorer.inputs) & more:
            settled.append(one)
        else:
            more.add(one.name)
    touched = changed() if settled and within is None else None
    return (settled, touched) if touched else ([], None)


def _undefined(run: Run, version: int, fitted: Mapping[str, FittedScore], steps: Mapping[str, Step]) -> dict[str, int]:
    """Return by score how many documents were asked for and have no value; of a struct the first field counts."""
    published = published_names(run.recipe)
    values = {n: ".".join(map(quoted_name, (n, *list(struct_fields(fitted[n].scorer.value))[:1]))) for n in published}
    nulls = (f"count(*) - count({value}) AS {quoted_name(n)}" for n, value in values.items())
    row = run.lake.read(f"scores_{run.recipe.name}", version).selectExpr(*nulls).collect()[0]
    counts = {n: row[n] - (steps[n].not_asked or 0) for n in published}
    for name in set(steps) - set(published):  # arrays, which are not published: only their definedness is read
        score = fitted[name]
        defined = "number" if is_vector(score.scorer.value) else "numbers"
        rows = memo_rows(run, [score], steps[name].version).where(f"{defined} IS NULL").select("id", "content_hash")
        present = run.hashed.selectExpr("id", f"{score.hash_column} AS content_hash")
        few = rows.count()  # rows of documents that are gone as well
        near = F.broadcast(rows) if few <= BROADCAST_ROWS else rows
        counts[name] = present.join(near, ["id", "content_hash"], "left_semi").count() if few else 0
    return counts
