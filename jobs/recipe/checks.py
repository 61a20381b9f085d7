"""Rules across the blocks of a recipe that need no table: which scores read which, what selectors work with."""

from __future__ import annotations

from ...udfs.errors import RecipeError, nearest
from ...udfs.scorer import DOCUMENT_INPUTS, Estimator, Scorer
from ..selectors.needs import Fitted
from .recipe import Recipe, mentions, order
from .uses import where_of

#: What a scorer takes, in a message: the fact is "... reads 'tokens', which is bigint; <this>".
TAKEN = {
    "text": "text is needed: name a document input or a score of strings",
    "vector": "a vector is needed: name a score of kind embedding",
}


def check(recipe: Recipe) -> None:
    """Raise RecipeError for the first rule that is broken."""
    _check_names(recipe)
    for name in recipe.scores:
        _check_inputs(recipe, name)
        _check_tables(recipe, name)
        _check_condition(recipe, name)
    order(recipe)
    for name in recipe.scores:
        _check_kinds(recipe, name)
    _check_fitted(recipe)
    _check_budget(recipe)


def _check_names(recipe: Recipe) -> None:
    taken = {column: "a column of the selection" for column, _, _ in recipe.selector.extra_columns}
    for name in recipe.scores:
        if name.lower() in taken:
            raise RecipeError(f"scores: {name!r} cannot be a name, it is {taken[name.lower()]}; rename the score")
        taken[name.lower()] = f"the name of the score {name!r}, and names that differ in case only are the same column"


def _check_inputs(recipe: Recipe, name: str) -> None:
    score = recipe.scores[name]
    columns = score.columns if isinstance(score, Scorer) else ()
    for read in score.inputs:
        if read in columns and read in recipe.scores:
            raise RecipeError(
                f"scores.{name} reads the source column {read!r}, which a score is called, too; rename the score"
            )
        if read not in (*DOCUMENT_INPUTS, *recipe.scores, *columns):
            raise RecipeError(f"scores.{name} reads {read!r}; {nearest(read, {*DOCUMENT_INPUTS, *recipe.scores})}")
        if read in ("prompt", "completion") and not getattr(recipe.documents, read):
            raise RecipeError(f"scores.{name} reads {read!r}, which documents does not define; add {read}: <SQL>")


def _check_tables(recipe: Recipe, name: str) -> None:
    score = recipe.scores[name]
    for table in score.fits_on if isinstance(score, Estimator) else ():
        if table != "documents" and table not in recipe.targets:
            raise RecipeError(f"scores.{name}: there is no target {table!r}; {nearest(table, recipe.targets)}")


def _check_condition(recipe: Recipe, name: str) -> None:
    """Refuse a condition of a score on its own values."""
    condition = recipe.score_where.get(name, "")
    if condition and mentions(condition, name):
        raise RecipeError(
            f"scores.{name}: where is {condition!r}, which names the score itself; it may name columns and other scores"
        )


def _check_kinds(recipe: Recipe, name: str) -> None:
    """Refuse a score as input whose values are not what the scorer takes; source columns are checked when opened."""
    score = recipe.scores[name]
    for read in score.inputs:
        if read not in recipe.scores and read not in DOCUMENT_INPUTS:
            continue
        value = recipe.scores[read].value if read in recipe.scores else "text"
        if score.takes not in ("any", _kind_of(value)):
            fitting = [k for k, s in recipe.scores.items() if k != name and _kind_of(s.value) == score.takes]
            fitting += [n for n in DOCUMENT_INPUTS if score.takes == "text" and getattr(recipe.documents, n)]
            raise RecipeError(
                f"scores.{name}: {score.kind} reads {read!r}, which is {value}; {TAKEN[score.takes]}; "
                f"{nearest(read, fitting)}"
            )


def _kind_of(value: str) -> str:
    """Return "text", "vector" or the type itself, of a score's DDL type.

    Examples
    --------
    >>> _kind_of("array<float>"), _kind_of("string"), _kind_of("bigint")
    ('vector', 'text', 'bigint')
    """
    return "vector" if value.startswith("array<") else {"string": "text"}.get(value, value)


def _check_fitted(recipe: Recipe) -> None:
    """Check scores whose scorer a selector works with: kind, and parameters that must not be set."""
    for place, selector in recipe.selectors().items():
        for need in (*selector.needs, *selector.on_demand):
            if not isinstance(need, Fitted):
                continue
            where, score = where_of(place, selector, need), recipe.scores.get(need.name)
            if score is None or score.kind != need.kind:
                fact = "which is no score" if score is None else f"which is of kind {score.kind}"
                fitting = [name for name, s in recipe.scores.items() if s.kind == need.kind]
                raise RecipeError(
                    f"{where} names {need.name!r}, {fact}; a score of kind {need.kind} is needed; "
                    f"{nearest(need.name, fitting)}"
                )
            for parameter in need.without:
                if value := getattr(score, parameter):
                    raise RecipeError(
                        f"{where} names {need.name!r}, which has {parameter}: {value}; a score without {parameter} is "
                        f"needed: take it out of scores.{need.name}"
                    )


def _check_budget(recipe: Recipe) -> None:
    length = recipe.budget.length
    if length and length not in recipe.scores:
        raise RecipeError(f"budget: length is {length!r}; {nearest(length, recipe.scores)}")
    if length and recipe.scores[length].value not in ("int", "bigint"):
        counting = [name for name, score in recipe.scores.items() if score.value in ("int", "bigint")]
        raise RecipeError(
            f"budget: length is {length!r}, which is {recipe.scores[length].value}; a score that counts tokens is "
            f"needed, such as one of kind length_tokens; {nearest(length, counting)}"
        )
    if recipe.budget.tokens and not recipe.selector.prefix_stable:
        raise RecipeError(
            f"budget: tokens needs a ranking whose prefixes are selections; {recipe.selector.kind} has none; use rows"
        )
