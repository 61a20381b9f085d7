"""zipfit_race: the rows of highest ZIP-FIT alignment (arXiv 2410.18194) from a fraction of the (row, target) pairs.

The row x target matrix is nearly of low rank: a pilot on all targets, a few landmark targets for every row, more for
those near the threshold, all for those at it (udfs/kernels/racing.py; the race is ours). Each row says whether its
score is exact or an estimate with its sd. What is computed lands in the memo of `zipfit_pairs`, by the targets it was
computed for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from ...udfs.errors import InputError, RecipeError
from ...udfs.kernels.racing import MOST_ROWS, Race, Stages, race
from ...udfs.scores.zipfit import ZipFitScorer
from ...udfs.scores.zipfit_pairs import ZipFitPairsScorer
from ..ranking.sort_keys import hashed
from ..ranking.top import pull
from .selector import Ask, Selector, picks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class ZipFitRace(Selector):
    """The top rows of a `zipfit` score that is not computed for all; `gain` is the alignment or its estimate.

    A smaller budget draws the threshold elsewhere and evaluates other rows exactly, so it need not be a prefix. An
    audit of rows that an estimate decided is evaluated exactly and reported. Fewer than 20 targets, or a pool so small
    that pilots cost half of all pairs, are evaluated exactly.

    Parameters
    ----------
    by : str
        Label of a score of kind zipfit without chunks.
    z : float, default 3.0
        Rows within z sd of the threshold are evaluated further.

    Raises
    ------
    RecipeError
        If z is not above 0.

    Examples
    --------
    >>> ZipFitRace(by="alignment").asks
    ('alignment',)
    """

    kind: ClassVar[str] = "zipfit_race"
    extra_columns: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("score_exact", "BOOLEAN", "whether gain is the alignment itself, not an estimate"),
        ("score_sd", "DOUBLE", "standard deviation of the estimate; 0 where exact"),
    )

    by: str
    z: float = 3.0

    def __post_init__(self) -> None:
        if not self.z > 0:
            raise RecipeError(f"zipfit_race: z is {self.z!r}; a number above 0 is needed, 3 is usual")

    @property
    def needs(self) -> tuple[str, ...]:
        """Nothing is computed beforehand."""
        return ()

    @property
    def nested(self) -> bool:
        """A smaller budget has another threshold."""
        return False

    @property
    def asks(self) -> tuple[str, ...]:
        """The alignment."""
        return (self.by,)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,  # noqa: ARG002
        ask: Ask | None = None,
    ) -> pd.DataFrame:
        """Return the picks; the seed decides which rows are pilots, and ties.

        Raises
        ------
        InputError
            If the label is no zipfit score, or cuts rows into chunks.
        """
        assert ask is not None
        scorer = ask.fitted(self.by)
        if not isinstance(scorer, ZipFitScorer) or scorer.chunk_bytes:
            raise InputError(
                f"zipfit_race: {self.by!r} is {scorer.kind}; a score of kind zipfit, not chunked, is needed"
            )
        known = pull(rows.select("id", hashed(seed).alias("h")).limit(MOST_ROWS + 1))
        ids = known.sort_values(["h", "id"])["id"].reset_index(drop=True)
        place = pd.Index(ids)

        def features(targets: list[int], some: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
            wanted = place if some is None else place[some]
            scored = ask(ZipFitPairsScorer.of_targets(scorer, targets), None if some is None else wanted.tolist())
            found = scored.dropna(subset="value")
            made = np.full((len(wanted), 2 + len(targets)), np.nan)
            if len(found):
                made[wanted.get_indexer(found["id"])] = np.vstack(found["value"].to_list())
            return made

        made = race(len(ids), len(scorer.targets), budget, features, Stages(z=self.z))
        _tell(made, ask)
        chosen = picks(ids.iloc[made.order], pd.Series(made.score))
        return chosen.assign(score_exact=made.exact, score_sd=made.sd)


def _tell(made: Race, ask: Ask) -> None:
    spent, audit = sum(made.pairs.values()), made.audit
    saved = f"{made.pairs_all / max(spent, 1):.1f} times fewer"
    ask.note(f"{spent:,} of {made.pairs_all:,} pairs were compressed, {saved}")
    if len(made.order):
        exact = f"{int(made.exact.sum()):,} of {len(made.exact):,} scores are exact"
        ask.note(f"{exact}; the others are estimates with sd up to {made.sd.max():.2g}")
    if audit.rows:
        ask.note(
            f"audit of {audit.rows} estimated rows: error {audit.mean_error:.2g} on average, {audit.max_error:.2g} at "
            f"most; {audit.crossed:.1%} lay on the other side of the threshold, some {audit.expected_wrong:.0f} rows"
        )
