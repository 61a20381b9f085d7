"""Rules across the blocks of a recipe that need no table: which scores read which, what selectors work with."""

from __future__ import annotations

import copy
from dataclasses import fields

from ...udfs.errors import RecipeError, nearest
from ...udfs.kernels.interval_search import METHODS
from ...udfs.kernels.refinement import rows_by_round
from ...udfs.scorer import DOCUMENT_INPUTS, Estimator, Scorer
from ..selectors import selectors
from ..selectors._cluster_quota import ClusterQuota
from ..selectors.interval import Interval
from ..selectors.kmeans_quota import KMQ, KMeansRandom
from ..selectors.needs import Fitted
from ..selectors.selector import Selector
from .recipe import Recipe, mentions, order
from .uses import uses_of_selectors

#: What an estimator calls the documents among the tables that it is fitted on; no target may be called so.
DOCUMENTS = "documents"
#: What a fold calls the hash of the id among the columns that it reads.
ID_HASH = "h"
#: What a scorer takes, in a message: the fact is "... reads 'tokens', which is bigint; <this>".
TAKEN = {
    "text": "text is needed: name a document input or a score of strings",
    "vector": "a vector is needed: name a score of kind embedding",
    "clusters": "clusters are needed: name a score of kind kmeans",
    "names": "names are needed: name a source column of lists of names, or set delimiter",
}


def check(recipe: Recipe) -> None:
    """Raise RecipeError for the first rule that is broken."""
    _check_names(recipe)
    for name, score in recipe.scores.items():
        _check_score(recipe, name, score)
    order(recipe)
    for name, score in recipe.scores.items():
        _check_kinds(recipe, name, score)
    _check_selector(recipe)
    _check_fitted(recipe)
    _check_budget(recipe)
    _check_tune(recipe)
    _check_start(recipe)
    _check_refine(recipe)


def _check_names(recipe: Recipe) -> None:
    if DOCUMENTS in recipe.targets:
        raise RecipeError(f"targets: {DOCUMENTS!r} cannot be a name, it stands for the documents; rename the target")
    taken = {column: "a column of the selection" for column, _, _ in recipe.extra_columns}
    for name in recipe.scores:
        if name.lower() in taken:
            raise RecipeError(f"scores: {name!r} cannot be a name, it is {taken[name.lower()]}; rename the score")
        taken[name.lower()] = f"the name of the score {name!r}, and names that differ in case only are the same column"


def _check_score(recipe: Recipe, name: str, score: Scorer | Estimator) -> None:
    """Check what a score reads and is fitted on, and refuse a condition on its own values."""
    columns, reads = score.columns, f"scores.{name} reads"
    for read in score.inputs:
        if read in columns and read in recipe.scores:
            raise RecipeError(f"{reads} the source column {read!r}, which a score is called, too; rename the score")
        if read == ID_HASH and isinstance(score, Estimator):
            raise RecipeError(f"{reads} {read!r}, which is what a fit calls the hash of the id; rename it")
        if read not in (*DOCUMENT_INPUTS, *recipe.scores, *columns):
            raise RecipeError(f"{reads} {read!r}; {nearest(read, {*DOCUMENT_INPUTS, *recipe.scores})}")
        if read in ("prompt", "completion") and not getattr(recipe.documents, read):
            raise RecipeError(f"{reads} {read!r}, which documents does not define; add {read}: <SQL>")
    for table in _targets_of(score) if isinstance(score, Estimator) else ():
        if table not in recipe.targets:
            raise RecipeError(f"scores.{name}: there is no target {table!r}; {nearest(table, recipe.targets)}")
    condition = recipe.score_where.get(name, "")
    if mentions(condition, name):
        raise RecipeError(
            f"scores.{name}: where is {condition!r}, which names the score itself; it may name columns and other scores"
        )


def _targets_of(score: Estimator) -> list[str]:
    """Return the targets that an estimator is fitted on: all of its tables but the documents, unless a field is them.

    `target: documents` names a target, and fitting a score of a target on the documents themselves says nothing.
    """
    named = []
    for field in fields(score):
        if getattr(score, field.name) == DOCUMENTS:
            twin = copy.copy(score)
            object.__setattr__(twin, field.name, f"{DOCUMENTS}?")
            named += [DOCUMENTS] if twin.fits_on != score.fits_on else []
    return [*(table for table in score.fits_on if table != DOCUMENTS), *named]


def _check_kinds(recipe: Recipe, name: str, score: Scorer | Estimator) -> None:
    """Refuse a score as input whose values are not what the scorer takes; source columns are checked when opened."""
    values = dict.fromkeys(DOCUMENT_INPUTS, "text") | {k: s.value for k, s in recipe.scores.items()}
    for read in score.inputs:
        takes = score.takes_of(read)
        if read in values and takes not in ("any", _kind_of(values[read])):
            fitting = [k for k, s in recipe.scores.items() if k != name and _kind_of(s.value) == takes]
            fitting += [n for n in DOCUMENT_INPUTS if takes == "text" and getattr(recipe.documents, n)]
            fact = f"scores.{name}: {score.kind} reads {read!r}, which is {values[read]}"
            raise RecipeError(f"{fact}; {TAKEN[takes]}; {nearest(read, fitting)}")
        if read in recipe.scores:
            score.check_read(read, recipe.scores[read])


def _kind_of(value: str) -> str:
    """Return "text", "vector", "clusters" or the type itself, of a score's DDL type.

    Examples
    --------
    >>> _kind_of("array<float>"), _kind_of("string"), _kind_of("bigint")
    ('vector', 'text', 'bigint')
    """
    kinds = {"array<float>": "vector", "string": "text", "struct<cluster:": "clusters"}
    return next((kind for start, kind in kinds.items() if value.startswith(start)), value)


def _check_fitted(recipe: Recipe) -> None:
    """Check scores whose scorer a selector works with: kind, and parameters that must not be set."""
    for use in uses_of_selectors(recipe):
        need, names = use.need, f"{use.where} names {use.need.name!r}"
        if not isinstance(need, Fitted):
            continue
        score = recipe.scores.get(need.name)
        if score is None or score.kind not in need.kinds:
            fact = "no score" if score is None else f"of kind {score.kind}"
            fitting = nearest(need.name, [name for name, s in recipe.scores.items() if s.kind in need.kinds])
            kinds = " or ".join(need.kinds)
            raise RecipeError(f"{names}, which is {fact}; a score of kind {kinds} is needed; {fitting}")
        for parameter in need.without:
            if value := getattr(score, parameter):
                remedy = f"a score without {parameter} is needed: take it out of scores.{need.name}"
                raise RecipeError(f"{names}, which has {parameter}: {value}; {remedy}")


def _check_selector(recipe: Recipe) -> None:
    for place, stage in recipe.chains()["select"].items():
        if stage.selector.matches:
            raise RecipeError(
                f"{place}: {stage.selector.kind} matches another selection; name it under controls:, and another one "
                "here"
            )


def _check_budget(recipe: Recipe) -> None:
    length, fact = recipe.budget.length, f"budget: length is {recipe.budget.length!r}"
    if length and length not in recipe.scores:
        raise RecipeError(f"{fact}; {nearest(length, recipe.scores)}")
    counting = [name for name, score in recipe.scores.items() if score.value in ("int", "bigint")]
    if length and length not in counting:
        need = "a score that counts tokens is needed, such as one of kind length_tokens"
        raise RecipeError(f"{fact}, which is {recipe.scores[length].value}; {need}; {nearest(length, counting)}")
    if recipe.budget.tokens and not recipe.selector.prefix_stable:
        kind = recipe.stages[-1].selector.kind
        raise RecipeError(f"budget: tokens needs a ranking whose prefixes are selections; {kind} has none; use rows")


def _named(recipe: Recipe) -> str:
    kinds = [stage.selector.kind for stage in recipe.stages]
    return f"a chain of {', then '.join(kinds)}" if len(kinds) > 1 else f"of kind {kinds[0]}"


def _check_tune(recipe: Recipe) -> None:
    tune, known = recipe.tune, [name for name, score in recipe.scores.items() if score.kind == "embedding"]
    if tune is None:
        return
    if not isinstance(recipe.selector, Interval):
        raise RecipeError(f"tune: select is {_named(recipe)}; tune searches bounds of kind interval, and of that alone")
    if not tune.shares:
        raise RecipeError("tune: shares is empty; write shares: [0.5, 0.3]")
    if unknown := sorted(set(tune.finetune_shares) - set(tune.shares)):
        raise RecipeError(f"tune: finetune_shares has {unknown[0]}, which is not one of shares: {list(tune.shares)}")
    if taken := sorted(set(METHODS) & set(recipe.selector.bounds)):
        raise RecipeError(f"tune: bounds name {taken[0]!r}, which is a method of its own here; rename the score")
    if tune.embedding and tune.embedding not in known:
        raise RecipeError(
            f"tune: embedding is {tune.embedding!r}, no score of kind embedding; {nearest(tune.embedding, known)}"
        )
    if not recipe.embedding_name():
        several = f"it has {', '.join(known)}: name one as embedding" if known else "add vector: {kind: embedding}"
        raise RecipeError(f"tune: its classifier learns from one score of kind embedding; {several}")


def _check_start(recipe: Recipe) -> None:
    start, selector = recipe.start, recipe.selector
    if start is None:
        return
    if not selector.starts:
        classes: dict[str, type[Selector]] = selectors()
        able = ", ".join(sorted(kind for kind, cls in classes.items() if cls.starts))
        raise RecipeError(
            f"start: select is {_named(recipe)}, which takes no account of rows chosen earlier; kinds that do: {able}"
        )
    if start.table == f"selection_{recipe.name}" and start.version is None:
        raise RecipeError(
            "start: the newest version of the recipe's own selection changes with every run; name the version to go on "
            "from"
        )


def _check_refine(recipe: Recipe) -> None:
    refine, selector, documents = recipe.refine, recipe.selector, recipe.documents
    if refine is None:
        return
    if not isinstance(selector, ClusterQuota):
        raise RecipeError(
            f"refine: select is {_named(recipe)}, which has no clusters to give weights to; take kmq, "
            "kmeans_random or kmeans_closest"
        )
    if selector.quota != "proportional":
        raise RecipeError(
            f"select: quota is {selector.quota!r}, and refine sets the weights itself; leave quota out: refine: start "
            "says how the first round begins"
        )
    if isinstance(selector, KMeansRandom) and selector.strata:
        raise RecipeError(
            "select: strata is true, and refine chooses rows by their rewards, from which no mean of the pool follows; "
            "leave it out"
        )
    if isinstance(selector, KMQ) and selector.replacement:
        raise RecipeError("select: replacement is true, and refine chooses no row twice; leave it out")
    if recipe.budget.tokens:
        raise RecipeError("budget: tokens cannot be divided into the rounds of refine; use rows or fraction")
    if recipe.budget.rows:
        rows_by_round(recipe.budget.rows, refine.rounds)
    reward, fact = refine.reward, f"refine: reward {refine.reward.kind}"
    for key in ("prompt", "completion") if reward.about_answers else ():
        if not getattr(documents, key):
            raise RecipeError(f"{fact} reads the {key} of a row, which documents does not define; add {key}: <SQL>")
    for target in reward.targets:
        if target not in recipe.targets:
            raise RecipeError(f"{fact}: there is no target {target!r}; {nearest(target, recipe.targets)}")
