"""Facts of a recipe's pool and targets, with the sample that they were taken from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pyspark.sql import functions as F

from ....udfs.arrays import Ints
from ....udfs.scorer import Estimator
from ....udfs.scores.embedding import Embedding
from ....udfs.scores.ngram_overlap import NgramOverlap
from ...inputs.documents import Documents, text_of
from ...inputs.opening import open_documents, open_target
from ...lake.tables import Lake
from ...recipe import Recipe
from ...recipe.recipe import LENGTHS
from ...selectors.kmeans_quota import KMeansRandom
from ...selectors.needs import Number, field_of
from ...selectors.selector import Selector
from ...selectors.sensitivity import Sensitivity
from ...selectors.sensitivity_regression import SensitivityRegression
from ..report_held_out import fitted_targets
from .blocks import CELLS
from .facts import Facts, Likeness, Quality, cells, explained, likeness, near_shares, variation, with_length
from .sample import Sample, draw_sample

#: Texts of a target that are read, chosen by the hash of the text.
TARGET_TEXTS = 2_000


class Gathered(NamedTuple):
    """Facts, the sample, and texts of the targets that methods may learn from, by name."""

    documents: Documents
    facts: Facts
    sampled: Sample
    targets: dict[str, list[str]]


def gather(lake: Lake, recipe: Recipe, rows: int, loss: str = "") -> Gathered:
    """Return the facts of a recipe; nothing is written.

    Parameters
    ----------
    rows : int
        Rows of the sample.
    loss : str
        Score, score.field or numeric column whose mean is to be estimated; by default what the selector calls a loss.
    """
    documents = open_documents(lake, recipe)
    read = numbers_read(recipe)
    losses = [loss] if loss else [name for name, field in read.items() if field == "loss"]
    wanted = [recipe.length_name(), *read, *losses, *([recipe.budget.length] if recipe.budget.tokens else [])]
    sample = draw_sample(lake, documents, rows, wanted)
    clusters = cells(sample.vectors, _k(recipe))
    targets = {name: seen_texts(lake, documents, name) for name in targets_of(recipe)}
    like = tuple(_likeness(sample, name, texts) for name, texts in targets.items())
    lengths = with_length(sample.numbers, recipe.length_name())
    lifted = [name for name, field in read.items() if field != "loss" and name in sample.numbers]
    known = [
        (n, r2) for n in losses if n in sample.numbers and (r2 := explained(sample.numbers[n], clusters)) is not None
    ]
    near_90, near_95 = near_shares(sample.vectors)
    facts = Facts(
        recipe=recipe.name,
        kind=recipe.stages[-1].selector.kind,
        documents=sample.documents,
        eligible=sample.eligible,
        sampled=len(sample.ids),
        budget=_budget(recipe, sample),
        near_90=near_90,
        near_95=near_95,
        qualities=tuple(_quality(recipe, sample, clusters, n, lengths.get(n)) for n in lifted),
        lengths=tuple(lengths.items()),
        dsir=tuple((n, rho) for n, rho in lengths.items() if n in recipe.scores and recipe.scores[n].kind == "dsir"),
        targets=like,
        loss=known[0] if known else None,
        estimates=bool(loss) or _estimates(recipe.stages[-1].selector),
    )
    return Gathered(documents, facts, sample, targets)


def numbers_read(recipe: Recipe) -> dict[str, str]:
    """Return the numbers that the selector's stages read, each with the field that names it, such as "quality"."""
    found = {}
    for stage in recipe.stages:
        for need in (*stage.selector.needs, *stage.selector.on_demand):
            if isinstance(need, Number):
                found[need.name] = field_of(stage.selector, need)
    return found


def targets_of(recipe: Recipe) -> list[str]:
    """Return the targets that say what is wanted: all but those that only a search for exam rows reads."""
    fitted, avoided = fitted_targets(recipe), set()
    for score in recipe.scores.values():
        avoided |= set(score.fits_on) if isinstance(score, NgramOverlap) else set()
    return [name for name in recipe.targets if name in fitted or name not in avoided]


def seen_texts(lake: Lake, documents: Documents, name: str) -> list[str]:
    """Return different texts of a target that methods learn from, in order of their hash, TARGET_TEXTS at most.

    Those for which its `where:` holds; without one, all that are not held out.
    """
    target = documents.recipe.targets[name]
    frame, _ = open_target(lake, documents, name)
    held_out = f"NOT coalesce(({target.held_out}\n), false)" if target.held_out else "true"
    texts = frame.where(target.where or held_out).selectExpr(f"{text_of(target.text)} AS text").where("text <> ''")
    some = texts.distinct().orderBy(F.xxhash64("text"), "text").limit(TARGET_TEXTS)
    return [row["text"] for row in some.collect()]


def _k(recipe: Recipe) -> int:
    """Return the clusters of the recipe's first k-means, CELLS where it has none or leaves their number open."""
    k = next((s.k for s in recipe.scores.values() if s.kind == "kmeans"), CELLS)  # type: ignore[union-attr]
    return CELLS if isinstance(k, str) else int(k)


def _likeness(sample: Sample, name: str, texts: list[str]) -> Likeness:
    vectors = Embedding().kernel()(texts) if texts else np.empty((0, Embedding().width), np.float32)
    return likeness(name, sample.vectors, vectors)


def _quality(recipe: Recipe, sample: Sample, clusters: Ints, name: str, length: float | None) -> Quality:
    values = sample.numbers[name]
    score = recipe.scores.get(name)
    judges = not (isinstance(score, Estimator) and set(score.fits_on) & set(recipe.targets))
    judges = judges and not (score and score.kind in LENGTHS)
    found = variation(values, clusters)
    cv, lift = found if found else (None, None)
    return Quality(name, cv, lift, 1.0 if name == recipe.length_name() else length, judges)


def _budget(recipe: Recipe, sample: Sample) -> int:
    """Return the rows of a budget; of one in tokens about how many, by the mean length of the sample."""
    budget = recipe.budget
    if budget.rows:
        return budget.rows
    if budget.tokens:
        lengths = sample.numbers.get(budget.length)
        mean = float(np.nanmean(lengths)) if lengths is not None and np.isfinite(lengths).any() else 1.0
        return max(1, round(budget.tokens / max(mean, 1.0)))
    return max(1, round(sample.documents * (budget.fraction or 0)))


def _estimates(selector: Selector) -> bool:
    strata = isinstance(selector, KMeansRandom) and selector.strata
    return strata or isinstance(selector, Sensitivity | SensitivityRegression)
