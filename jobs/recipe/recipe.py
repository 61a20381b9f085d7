"""What a recipe is made of: plain frozen data, checked and built by recipe.py."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any

from ...udfs.errors import RecipeError
from ...udfs.scorer import DOCUMENT_INPUTS, Estimator, Scorer, digest, parameters
from ..selectors.budget import Budget
from ..selectors.selector import Selector
from ..sources.source import Source


@dataclass(frozen=True)
class Documents:
    """The rows to select from: a table and SQL expressions over its columns."""

    table: str
    id: str = "id"
    text: str = "text"
    prompt: str = ""
    completion: str = ""
    source: Source | None = None
    duplicates: str = "error"


@dataclass(frozen=True)
class Target:
    """Examples of what is wanted; `held_out` is SQL for the rows that only the report sees."""

    table: str
    text: str = "text"
    where: str = ""
    held_out: str = ""
    source: Source | None = None


@dataclass(frozen=True)
class Recipe:
    """A parsed recipe; `keep` maps output names to SQL (None: all source columns)."""

    name: str
    documents: Documents
    targets: dict[str, Target]
    scores: dict[str, Scorer | Estimator]
    where: str
    selector: Selector
    budget: Budget
    controls: dict[str, Selector]
    keep: dict[str, str] | None
    seed: int
    shares: tuple[str, ...] = ()
    keep_versions: int = 365
    hidden: tuple[str, ...] = field(default=())  # labels added for controls, not asked for

    def digest(self) -> str:
        """Return the hash of everything that decides the result."""
        objects = {k: [v.kind, v.revision, type(v).__name__, parameters(v)] for k, v in self.scores.items()}
        picks = {k: [v.kind, _fields(v)] for k, v in {"": self.selector, **self.controls}.items()}
        plain = [_fields(self.documents), {k: _fields(t) for k, t in self.targets.items()}, _fields(self.budget)]
        return digest([self.name, plain, objects, self.where, picks, self.keep, self.seed, self.keep_versions])

    def chooser_columns(self) -> set[str]:
        """Return labels and source columns that the selector and the controls name, without fields."""
        return {n.split(".")[0] for c in (self.selector, *self.controls.values()) for n in c.needs}

    score_where = {}

    def on_demand_only(self) -> set[str]:
        return self.asked()

    def asked(self) -> set[str]:
        """Return labels that the selector asks for row by row and that nothing else needs: not computed for all."""
        used = self.chooser_columns() | {self.budget.length}
        used |= {i for s in self.scores.values() for i in s.inputs}
        return {n for n in self.selector.asks if n in self.scores and n not in used and not mentions(self.where, n)}

    def source_inputs(self, name: str) -> tuple[str, ...]:
        """Return what a score reads in the end: document inputs, in fixed order, then source columns."""
        found: set[str] = set()
        for source in self.scores[name].inputs:
            found |= set(self.source_inputs(source)) if source in self.scores else {source}
        return (*(n for n in DOCUMENT_INPUTS if n in found), *sorted(found - {*DOCUMENT_INPUTS}))

    def input_sets(self) -> list[tuple[str, ...]]:
        """Return the distinct sets of inputs that scores read in the end, text alone first."""
        return list(dict.fromkeys([("text",), *(self.source_inputs(name) for name in self.scores)]))

    def source_columns(self) -> tuple[str, ...]:
        """Return the source columns that scores read as they are."""
        return tuple(dict.fromkeys(n for s in self.input_sets() for n in s if n not in DOCUMENT_INPUTS))

    def length_label(self) -> str:
        """Return the label that measures length: what reports and length-matched controls use."""
        return next(k for k, v in self.scores.items() if v.kind in ("length_tokens", "length_bytes"))


def mentions(expression: str, column: str) -> bool:
    """Return whether an SQL expression may name a column: its name occurs as a word, in any case."""
    return re.search(rf"(?<!\w){re.escape(column)}(?!\w)", expression, re.IGNORECASE) is not None


def _fields(item: Any) -> dict[str, Any]:
    made = {f.name: getattr(item, f.name) for f in fields(item)}
    return {k: _fields(v) if isinstance(v, Source) else v for k, v in made.items()}


def order(recipe: Recipe) -> list[str]:
    """Return labels such that a score comes after those it reads; raises RecipeError on a cycle."""
    done: list[str] = []
    left = dict(recipe.scores)
    while left:
        ready = [k for k, v in left.items() if all(i not in recipe.scores or i in done for i in v.inputs)]
        if not ready:
            raise RecipeError(f"scores {', '.join(left)} read each other in a circle; let one of them read text")
        done += ready
        for label in ready:
            del left[label]
    return done
