"""What the driver must hold of a recipe's rows, known before anything runs; what cannot fit is refused.

Counted are the picks, vectors and rows that selectors hold, and samples of fits: not Spark's own JVM. A `where:` makes
the eligible rows fewer, nobody knows how many: then what would not fit is no refusal, but a warning of `plan`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...udfs.errors import BoundError
from ...udfs.scorer import DOCUMENT_INPUTS, Estimator, Scorer
from ..lake.memory import machine_bytes
from ..ranking.top import PICK_BYTES
from ..ranking.vectors import fits_on_driver, vector_bytes
from ..recipe import Recipe
from ..selectors.budget import rows_wanted
from ..selectors.near_duplicates import NearDuplicates
from ..selectors.selector import Selector
from ..selectors.stages import Stage


@dataclass(frozen=True)
class Held:
    """What the driver holds for one purpose: of at most `rows` rows about `bytes`; `most_rows` fit, None: any.

    Of these `picks` are wanted, and `most_picks` can be picked, None: any.
    """

    what: str
    rows: int
    bytes: int
    most_rows: int | None = None
    #: Whether so many rows reach it if every document is eligible; a stage before it may leave some out.
    certain: bool = True
    picks: int = 0
    most_picks: int | None = None

    def too_much(self, machine: int | None) -> str:
        """Return why it does not fit, "" if it does."""
        if self.most_rows is not None and self.rows > self.most_rows:
            return f"{self.what} holds at most {self.most_rows:,} rows on the driver, and there are {self.rows:,}"
        if self.most_picks is not None and self.picks > self.most_picks:
            return f"{self.what} picks at most {self.most_picks:,} of {self.rows:,} rows, and {self.picks:,} are wanted"
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
    for stages in recipe.chains().values():
        held += _held_by_stages(recipe, stages, documents)
    if not recipe.budget.tokens:
        wanted = min(rows_wanted(recipe.budget, documents), documents)
        held.append(Held("the selection", wanted, wanted * PICK_BYTES))
    return [h for h in held if h.bytes]


def _held_by_stages(recipe: Recipe, stages: Mapping[str, Stage], documents: int) -> Iterator[Held]:
    """Yield what each stage of a chain holds: its own rows, and the ids that the one before kept."""
    rows, ids = documents, 0
    for number, (place, stage) in enumerate(stages.items(), 1):
        selector, width = stage.selector, collected_width(recipe, stage.selector)
        what = place if place.endswith(selector.kind) else f"{place} {selector.kind}"
        held = selector.driver_bytes(rows, width) + ids * PICK_BYTES
        kept = stage.budget(rows)
        wanted = 0 if recipe.budget.tokens else min(rows_wanted(recipe.budget, documents), rows)
        picks, most_picks = wanted if number == len(stages) else kept, selector.most_picks(rows, width)
        fewer = isinstance(selector, NearDuplicates) and most_picks is not None and picks > most_picks
        certain = not (ids or fewer)  # near-duplicates that are dropped are not picked
        yield Held(what, rows, held, selector.most_rows(width), certain, picks, most_picks)
        rows = ids = kept


def width_of(recipe: Recipe, name: str) -> int:
    """Return how many numbers a vector has that a score yields; 0 for anything else, and where it is not known."""
    score = recipe.scores.get(name)
    return score.width if isinstance(score, Scorer) else 0


def collected_width(recipe: Recipe, selector: Selector) -> int:
    """Return the same of the vectors that a selector holds on the driver; 0 where it holds none."""
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


def not_fitting(recipe: Recipe, documents: int, certainly: bool = False) -> list[str]:
    """Return why what the driver would hold of all documents does not fit, or certainly does not, one line each."""
    machine = machine_bytes()
    held = [h for h in held_by_driver(recipe, documents) if h.certain or not certainly]
    return [why for h in held if (why := h.too_much(machine))]


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
    if why := not_fitting(recipe, documents, certainly=True):
        raise BoundError(
            f"{why[0]}: select from fewer rows with where:, or take a smaller budget, a larger machine, or a selector "
            "of the k-means family; nothing was computed"
        )


def _narrowed(recipe: Recipe) -> bool:
    """Tell whether rows may be left out before the selector sees them, by conditions or vectors that rows lack."""
    vectors = {getattr(s, s.collects) for s in recipe.selectors().values() if s.collects}
    from_text = all(n in recipe.scores and set(recipe.source_inputs(n)) <= set(DOCUMENT_INPUTS) for n in vectors)
    return bool(recipe.where or recipe.start or not from_text or vectors & set(recipe.score_where))
