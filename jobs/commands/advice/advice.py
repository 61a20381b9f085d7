"""advise: facts of a recipe's pool, one choice with its keys, what to expect of it, and what would overturn it.

Nothing is run and nothing is written. The facts are of a sample; the choice follows from rules.py, whose figures were
measured on other pools.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from ....udfs.errors import RecipeError
from ...lake.tables import Lake
from ...recipe import Recipe
from ...recipe.chains import selector_of
from ...selectors import selectors
from .blocks import Block, as_yaml, in_recipe
from .facts import Facts
from .gathered import gather
from .measured import Measured, measure
from .rules import FEW, FEWEST, UNLIKE, against, choice_of
from .sample import MOST_ROWS, ROWS
from .shown import HEAD, SUPPLY, headed, of_pool, of_scores


@dataclass(frozen=True)
class Advice:
    """What to use for a recipe's pool; shown as text.

    Parameters
    ----------
    facts : Facts
    rule, why : str
        The rule that was followed, and its reason.
    block : Block
        `scores` to add, and `select`; in the recipe's own words.
    same : bool
        Whether the recipe has that selector already.
    expect : str
        What it was worth on other pools, with interval, number of pools and the command that measures it.
    against : tuple of (str, str)
        What not to use, and the command that measures it.
    overturn : tuple of str
        What would show that the advice is wrong here.
    measured : Measured or None
        What methods were worth on held-out rows, where that was asked for; its choice then stands.
    """

    facts: Facts
    rule: str
    why: str
    block: Block
    same: bool
    expect: str
    against: tuple[tuple[str, str], ...]
    overturn: tuple[str, ...]
    notes: tuple[str, ...] = ()
    measured: Measured | None = None

    @property
    def yaml(self) -> str:
        """The keys that the advice puts into the recipe."""
        return as_yaml(self.block)

    def __str__(self) -> str:
        """Return facts, advice and the keys of the recipe as text."""
        facts = [line for pair in (*of_pool(self.facts), *of_scores(self.facts)) for line in headed(*pair)]
        done = "; the recipe does that" if self.same else ""
        lines = headed("advice", f"{self.rule}: {self.why}{done}")
        lines += [f"{'':<{HEAD}} {line}" for line in self.yaml.splitlines()]
        lines += headed("expect", self.expect)
        for i, (said, command) in enumerate(self.against):
            lines += headed("" if i else "not", f"{said} ({command})")
        for i, how in enumerate(self.overturn):
            lines += headed("" if i else "overturn it", how)
        lines += [line for note in self.notes for line in headed("note", note)]
        measured = ["", str(self.measured)] if self.measured else []
        return "\n".join([f"advice for {self.facts.recipe}", "", *facts, "", *lines, *measured])

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        facts = asdict(self.facts) | {"lengths": dict(self.facts.lengths), "dsir": dict(self.facts.dsir)}
        more = {"facts": facts, "block": self.block._asdict(), "yaml": self.yaml}
        return asdict(self) | more | ({"measured": self.measured.to_dict()} if self.measured else {})


def advise(lake: Lake, recipe: Recipe, rows: int = ROWS, loss: str = "", measuring: bool = False) -> Advice:
    """Return advice for a recipe from a sample of its documents.

    Parameters
    ----------
    rows : int
        Eligible rows of the sample, 1 to 20 000; there may be fewer.
    loss : str
        Score, score.field or numeric column, if the recipe is to estimate its mean.
    measuring : bool
        Compare methods on held-out rows of the targets as well; this alone writes, rows of `trials`.

    Raises
    ------
    RecipeError
        If `rows` is out of its range, or `loss` is none of a number.
    InputError
        If there are no eligible documents, `where:` needs a score that is not at hand, or held-out rows to measure by
        are missing.
    PlatformError
        If wordllama, whose vectors the facts are of, is missing.
    """
    if not 1 <= rows <= MOST_ROWS:
        raise RecipeError(f"rows is {rows}; a sample of 1 to {MOST_ROWS:,} rows is allowed, {ROWS:,} is usual")
    gathered = gather(lake, recipe, rows, loss)
    given = advice_of(gathered.facts, recipe, _notes(gathered.facts, gathered.sampled.unknown, rows))
    return replace(given, measured=measure(lake, recipe, gathered)) if measuring else given


def advice_of(facts: Facts, recipe: Recipe, notes: tuple[str, ...] = ()) -> Advice:
    """Return the advice that follows from facts."""
    choice = choice_of(facts)
    block = in_recipe(choice.block(facts), recipe)
    same = not block.scores and selector_of(block.select, "select", selectors()) == recipe.selector
    overturn = tuple(_overturn(facts, recipe))
    expect = str(choice.expect(facts))
    return Advice(facts, choice.name, choice.why, block, same, expect, tuple(against(facts)), overturn, notes)


def _notes(facts: Facts, unknown: dict[str, str], rows: int) -> tuple[str, ...]:
    said = [f"{name} is not in the facts: {why}" for name, why in unknown.items()]
    if facts.sampled < min(rows, facts.eligible):
        said.append(f"the sample has {facts.sampled:,} rows, not {rows:,}: where: lets in few of those that were drawn")
    if facts.budget > facts.eligible:
        said.append(f"the budget is {facts.budget:,} rows and about {facts.eligible:,} are eligible: all will be taken")
    if not facts.estimates and FEWEST <= facts.budget < FEW:
        said.append(f"of {facts.budget} rows noise decides: other methods were as often better as worse")
    empty = [t.name for t in facts.targets if t.typical is None]
    said += [f"target {name} has fewer than two different texts: it says too little to choose by" for name in empty]
    if (target := facts.target) and (target.typical or 0) < UNLIKE and (target.reach or 0) < SUPPLY:
        said.append(
            f"few rows are like those of {target.name}: a smaller budget holds more of them; compare held-out bits per "
            "byte at half and twice the budget"
        )
    return tuple(said)


def _overturn(facts: Facts, recipe: Recipe) -> Iterator[str]:
    held_out = any(target.held_out for target in recipe.targets.values())
    if facts.estimates:
        yield f"an R2 of your own value below .1: lakesift advise {facts.recipe} --loss COLUMN"
        return
    if held_out:
        yield f"lakesift advise {facts.recipe} --measure: byte models on held-out rows of the target"
    else:
        yield (
            "held-out rows of what the model is for: a target with held_out:, then lakesift advise "
            f"{facts.recipe} --measure; rows of the pool itself would mislead"
        )
    if facts.sampled < facts.eligible and facts.sampled < MOST_ROWS:
        yield f"more near-duplicates in a larger sample: --rows {MOST_ROWS}"
