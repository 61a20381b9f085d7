"""Rows of the documents on the driver, with scores fitted and computed on them alone: for commands that write nothing.

What learns from targets is fitted on them, as in a run; what learns from documents is fitted on these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

from ...udfs.arrow import kernel_of, score_batch, without_large
from ...udfs.errors import LakeSiftError
from ...udfs.fitted import input_name
from ...udfs.scorer import Estimator, Fold, Scorer
from ...udfs.spark import fold
from ..inputs.documents import Documents
from ..inputs.opening import open_target, target_texts
from ..lake.tables import Lake
from ..ranking.vectors import fold_on_driver
from ..recipe import order


class ScoredRows:
    """Rows with the scorers that were fitted on them so far, and values that are known.

    Parameters
    ----------
    rows : pyarrow.Table
        `h`, the hash of the id, and the inputs of the scores as `input_name` calls them.

    `unknown` says why there are no values of a score.
    """

    def __init__(self, lake: Lake, documents: Documents, rows: pa.Table) -> None:
        self.lake, self.documents, self.rows = lake, documents, rows
        self.scorers: dict[str, Scorer] = {}
        self.values: dict[str, pa.Array] = {}
        self.unknown: dict[str, str] = {}

    def each(self, names: Iterable[str], make: Callable[[str], object]) -> None:
        """Make something of scores, in the order of the recipe; where that cannot be, `unknown` says why.

        It says so, too, of those that read such a score.
        """
        recipe, wanted = self.documents.recipe, set(names)
        for name in [n for n in order(recipe) if n in wanted and n not in self.unknown]:
            above = [n for n in recipe.scores_read(name) if n in self.unknown]
            try:
                if above:
                    self.unknown[name] = f"it reads {above[0]}"
                else:
                    make(name)
            except LakeSiftError as error:
                self.unknown[name] = str(error)

    def fit(self, name: str) -> Scorer:
        """Return the scorer of a score of the recipe, fitted; those that it reads must have been fitted before."""
        score = self.documents.recipe.scores[name]
        self.scorers[name] = score.fit(self._fold(score)) if isinstance(score, Estimator) else score
        return self.scorers[name]

    def column(self, name: str) -> pa.Array:
        """Return an input of the rows, or the values of a score for them."""
        if name in self.values:
            return self.values[name]
        if name not in self.scorers:
            column = self.rows.column(name if name == "h" else input_name(name))
            return without_large(column.chunk(0) if column.num_chunks else pa.array([], column.type))
        scorer = self.scorers[name]
        return score_batch(scorer, [self.column(i) for i in scorer.inputs], None, kernel_of(scorer), name)

    def _fold(self, score: Estimator) -> Callable[[Fold[Any], str], Any]:
        def one_pass(f: Fold[Any], table: str) -> Any:
            if table != "documents":
                frame, _ = open_target(self.lake, self.documents, table)
                return fold(target_texts(frame, self.documents, table), f)
            columns = f.reads or score.inputs
            return fold_on_driver(pa.table({c: self.column(c) for c in columns}), f, columns)

        return one_pass
