"""What the driver must hold of a recipe's rows, known before anything runs; what cannot fit is refused.

Counted are the picks, vectors and rows that selectors hold, and samples of fits: not Spark's own JVM. A `where:` makes
the eligible rows fewer, nobody knows how many: then what would not fit is no refusal, but a warning of `plan`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...udfs.errors import BoundError
from ...udfs.scorer import DOCUMENT_INPUTS, Estimator, Scorer
from ..lake.memory import machine_bytes
from ..ranking.top import PICK_BYTES
from ..ranking.vectors import fits_on_driver, vector_bytes
from ..recipe import Recipe
from ..selectors.budget import rows_wanted
from ..selectors.selector import Selector


@dataclass(frozen=True)
class Held:
    """What the driver holds for one purpose: of at most `rows` rows about `bytes`; `most_rows` fit, None: any."""

    what: str
    rows: int
    bytes: int
    most_rows: int | None = None

    def too_much(self, machine: int | None) -> str:
        """Return why it does not fit, "" if it does."""
        if self.most_rows is not None and self.rows > self.most_rows:
            return f"{self.what} holds at most {self.most_rows:,} rows on the driver, and there are {self.rows:,}"
        if machine is not None and self.bytes > machine:
            return (
                f"{self.what} holds about {self.bytes:,} bytes of {self.rows:,} rows on the driver, and this machine "
                f"has {machine:,}"
            )
        return ""


def bounded(recipe: Recipe) -> bool:
    """Tell whether it depends on the number of documents what the driver must hold, beside the picks."""
    return any(s.collects or s.most_rows(0) is not None for s in recipe.selectors().values())


def held_by_driver(recipe: Recipe, documents: int) -> list[Held]:
    """Return what the driver holds at different times of a run, if every document is eligible.

    Raises
    ------
    BoundError
        If the budget is above what the driver takes.
    """
    held = []
    for name, score in recipe.scores.items():
        if isinstance(score, Estimator):
            width = sum(width_of(recipe, i) for i in score.inputs)
            # A fit whose inputs are all vectors reads them once, where they fit: see ranking/vectors.py.
            local = vector_bytes(documents, width) if width and fits_on_driver(documents, width) else 0
            held.append(Held(f"the fit of {name}", documents, local + score.held_bytes(documents, width)))
    for place, selector in recipe.selectors().items():
        width = _collected_width(recipe, selector)
        most = selector.most_rows(width)
        what = place if place.endswith(selector.kind) else f"{place} {selector.kind}"
        held.append(Held(what, documents, selector.driver_bytes(documents, width), most))
    if not recipe.budget.tokens:
        wanted = min(rows_wanted(recipe.budget, documents), documents)
        held.append(Held("the selection", wanted, wanted * PICK_BYTES))
    return [h for h in held if h.bytes]


def width_of(recipe: Recipe, name: str) -> int:
    """Return how many numbers a vector has that a score yields; 0 for anything else, and where it is not known."""
    score = recipe.scores.get(name)
    return score.width if isinstance(score, Scorer) else 0


def _collected_width(recipe: Recipe, selector: Selector) -> int:
    return width_of(recipe, getattr(selector, selector.collects)) if selector.collects else 0


def check_widths(recipe: Recipe) -> None:
    """Raise BoundError for a fit that no table lets fit, and for a budget of more rows than the driver takes."""
    for name, score in recipe.scores.items():
        if isinstance(score, Estimator) and (width := sum(width_of(recipe, i) for i in score.inputs)):
            try:
                score.held_bytes(0, width)
            except BoundError as error:
                raise BoundError(f"scores.{name}: {error}") from None
    if recipe.budget.rows:
        rows_wanted(recipe.budget, 0)


def not_fitting(recipe: Recipe, documents: int) -> list[str]:
    """Return why what the driver would hold of all documents does not fit, one line each."""
    machine = machine_bytes()
    return [why for held in held_by_driver(recipe, documents) if (why := held.too_much(machine))]


def check_memory(recipe: Recipe, documents: int | None) -> None:
    """Refuse a recipe whose rows do not fit the driver, where that is certain; None documents: it is not known.

    Raises
    ------
    BoundError
        If a selector would hold more rows than it takes, or anything more bytes than the machine has.
    """
    check_widths(recipe)
    if documents is None or _narrowed(recipe):
        return
    if why := not_fitting(recipe, documents):
        raise BoundError(
            f"{why[0]}: select from fewer rows with where:, or take a larger machine, or a selector of the k-means "
            "family; nothing was computed"
        )


def _narrowed(recipe: Recipe) -> bool:
    """Tell whether rows may be left out before the selector sees them, by conditions or vectors that rows lack."""
    vectors = {getattr(s, s.collects) for s in recipe.selectors().values() if s.collects}
    from_text = all(n in recipe.scores and set(recipe.source_inputs(n)) <= set(DOCUMENT_INPUTS) for n in vectors)
    return bool(recipe.where or recipe.start or not from_text or vectors & set(recipe.score_where))
