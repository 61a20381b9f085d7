"""The recipe: plain frozen data, built and checked by parse.py. What it reads, in which order."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from ...udfs.digests import derived_seed, digest
from ...udfs.errors import RecipeError
from ...udfs.quoting import root_of
from ...udfs.scorer import DOCUMENT_INPUTS, Estimator, Scorer, parameters
from ..selectors.budget import Budget
from ..selectors.chain import Chain, stages_of
from ..selectors.selector import Selector
from ..selectors.stages import Stage, by_place
from ..sources.source import Source
from .blocks import REFINE_COLUMNS, Documents, Refine, Start, Target, Tune

#: Kinds of scores that measure length: what reports and length-matched controls use.
LENGTHS = ("length_tokens", "length_bytes")


@dataclass(frozen=True)
class Recipe:
    """A parsed recipe; `keep` maps output names to SQL (None: all source columns), `score_where` scores to SQL.

    `shares` and `draws` are of `report:`, what it counts and how often it draws a control. Recipes of the same `salt`
    and seed draw with the same random numbers.
    """

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
    draws: int = 10
    salt: str = ""
    keep_versions: int = 365
    score_where: dict[str, str] = field(default_factory=dict)
    tune: Tune | None = None
    start: Start | None = None
    refine: Refine | None = None

    @property
    def extra_columns(self) -> tuple[tuple[str, str, str], ...]:
        """Columns of the selection beside fixed ones, scores and kept ones: name, DDL type, comment."""
        return self.stages[-1].selector.extra_columns + (REFINE_COLUMNS if self.refine else ())

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of the selector: one, unless it is a chain."""
        return stages_of(self.selector)

    def digest(self) -> str:
        """Return the hash of everything that decides the result: not `report:` and `tune:`."""
        objects = {k: [v.kind, v.revision, type(v).__name__, parameters(v)] for k, v in self.scores.items()}
        picks = {k: _content(v) for k, v in {"": self.selector, **self.controls}.items()}
        plain = [asdict(self.documents), {k: asdict(t) for k, t in self.targets.items()}, asdict(self.budget)]
        conditions, more = [self.where, self.score_where], [asdict(self.start)] if self.start else []
        more += [{"refine": self.refine.digest()}] if self.refine else []
        seeds = [self.seed, self.seed_of(self.selector_salt)]
        return digest([self.name, plain, objects, conditions, picks, self.keep, seeds, self.keep_versions, *more])

    @property
    def selector_salt(self) -> str:
        """What the selector's draws are salted with: no other recipe's and no other kind's, unless `salt:` says so."""
        return self.salt or f"{self.name} {self.selector.kind}"

    def seed_of(self, *use: object) -> int:
        """Return a seed for one use of randomness, named by strings and numbers: independent of all other uses.

        So it is of those of other recipes, unless `salt:` makes them alike.
        """
        return derived_seed(self.seed, self.salt or self.name, *use)

    def ingested(self) -> dict[str, tuple[Source, str | None]]:
        """Return the tables that ingest makes: their source, and SQL of the id that a row of documents must have.

        Raises
        ------
        RecipeError
            If one table is to come from two sources.
        """
        uses = [(self.documents.table, self.documents.source, self.documents.id or None)]
        uses += [(t.table, t.source, None) for t in self.targets.values()]
        tables: dict[str, tuple[Source, str | None]] = {}
        for table, source, id_sql in uses:
            if source is not None and tables.setdefault(table, (source, id_sql))[0] != source:
                raise RecipeError(f"table {table!r} has two different 'from:'; give one of them another table name")
        return tables

    def chains(self) -> dict[str, dict[str, Stage]]:
        """Return the stages of the selector and of each control, in order, by where they are in the recipe."""
        named = {"select": self.selector, **{f"controls: {name}": c for name, c in self.controls.items()}}
        return {place: by_place(place, stages_of(selector)) for place, selector in named.items()}

    def selectors(self) -> dict[str, Selector]:
        """Return selector and controls, of chains every stage, by where they are in the recipe."""
        return {place: stage.selector for stages in self.chains().values() for place, stage in stages.items()}

    def columns_used(self) -> set[str]:
        """Return the scores and source columns that selector and controls need for every row, without fields."""
        return {root_of(need.name) for s in self.selectors().values() for need in s.needs}

    def refine_block(self) -> Refine:
        """Return the block `refine:`; raises RecipeError if there is none."""
        if self.refine is None:
            raise RecipeError(
                f"the recipe {self.name} has no refine: block; add refine: {{reward: {{kind: ...}}}} to it"
            )
        return self.refine

    def columns_rewarded(self) -> set[str]:
        """Return the scores and source columns that the reward reads, without fields."""
        return {root_of(name) for name in self.refine.reward.needs} if self.refine else set()

    def columns_on_demand(self) -> set[str]:
        """Return the scores and source columns that selector and controls ask for on demand, without fields."""
        return {root_of(need.name) for s in self.selectors().values() for need in s.on_demand}

    def on_demand_only(self) -> set[str]:
        """Scores computed on demand only: requested by the selector or a control and used nowhere else."""
        used = self.columns_used() | self.columns_rewarded() | {self.budget.length, self.length_name()}
        used |= {name for score in self.scores.values() for name in score.inputs}
        conditions = (self.where, *self.score_where.values())
        asked = (self.columns_on_demand() & set(self.scores)) - used
        return {name for name in asked if not any(mentions(sql, name) for sql in conditions)}

    def scores_read(self, name: str) -> set[str]:
        """Return the other scores that a score or its `where:` reads."""
        score, condition = self.scores[name], self.score_where.get(name, "")
        return {k for k in self.scores if k in score.inputs or mentions(condition, k)}

    def source_inputs(self, name: str) -> tuple[str, ...]:
        """Return what a score reads in the end: document inputs, in fixed order, then source columns."""
        roots: set[str] = set()
        for source in self.scores[name].inputs:
            roots |= set(self.source_inputs(source)) if source in self.scores else {source}
        return (*(n for n in DOCUMENT_INPUTS if n in roots), *sorted(roots - {*DOCUMENT_INPUTS}))

    def input_sets(self) -> list[tuple[str, ...]]:
        """Return the distinct sets of inputs that scores read in the end, text alone first."""
        return list(dict.fromkeys([("text",), *(self.source_inputs(name) for name in self.scores)]))

    def source_columns(self) -> tuple[str, ...]:
        """Return the source columns that scores read as they are."""
        return tuple(dict.fromkeys(n for s in self.input_sets() for n in s if n not in DOCUMENT_INPUTS))

    def length_name(self) -> str:
        """Return the name of the score that measures length; every recipe has one."""
        return next(name for name, score in self.scores.items() if score.kind in LENGTHS)

    def embedding_name(self) -> str:
        """Return the embedding that `tune:` learns from, "" if it names none and there is not exactly one."""
        named = self.tune.embedding if self.tune else ""
        vectors = [name for name, score in self.scores.items() if score.kind == "embedding"]
        return named or (vectors[0] if len(vectors) == 1 else "")


def _content(selector: Selector) -> list[Any]:
    """Return what a digest holds of a selector."""
    if isinstance(selector, Chain):
        return [[*_content(stage.selector), stage.rows, stage.fraction] for stage in selector.stages]
    return [selector.kind, asdict(selector)]


def mentions(expression: str, column: str) -> bool:
    """Return whether an SQL expression may name a column: its name occurs as a word, in any case."""
    spelled = {column, column.replace("`", "``")}
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", expression, re.IGNORECASE) for name in spelled)


def order(recipe: Recipe) -> list[str]:
    """Return names of scores such that a score comes after those it reads; raises RecipeError on a circle."""
    ordered: list[str] = []
    left = {name: recipe.scores_read(name) for name in recipe.scores}
    while left:
        ready = [name for name, reads in left.items() if reads <= set(ordered)]
        if not ready:
            raise RecipeError(f"scores {', '.join(left)} read each other in a circle; let one of them read text")
        ordered += ready
        left = {name: reads for name, reads in left.items() if name not in ready}
    return ordered
