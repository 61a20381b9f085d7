"""zipfit_race: the rows of highest ZIP-FIT alignment (arXiv 2410.18194) from a fraction of the (row, target) pairs.

The row x target matrix is nearly of low rank: a pilot on all targets, a few landmark targets for every row, more for
those near the threshold, all for those at it (udfs/kernels/racing.py; the race is ours). Each row says whether its
score is exact or an estimate with its sd. Pairs are scores of `zipfit_pairs`, computed on demand and stored by the
targets that they were computed for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd

from ...udfs.constraints import Above
from ...udfs.errors import InputError
from ...udfs.kernels.landmarks import of_groups
from ...udfs.kernels.racing import FEWEST_TARGETS, MOST_ROWS, Race, Stages, race
from ...udfs.scores.zipfit import ZipFitScorer
from ...udfs.scores.zipfit_pairs import ZipFitPairsScorer
from ..ranking.rank_correlation import FEWEST_ROWS, STRONG, rank_correlation
from ..ranking.sort_keys import hashed
from ..ranking.top import collect_pandas
from .needs import Fitted, Need
from .selector import Pool, Selector, picks

#: Most targets that are landmarks because they stand for a group of targets.
GROUPS = 4
#: What the driver holds of a row for a budget of a tenth or so.
RACE_BYTES = 200


@dataclass(frozen=True)
class ZipFitRace(Selector):
    """The top rows of a `zipfit` score that is not computed for all; `gain` is the alignment or its estimate.

    A smaller budget draws the threshold elsewhere and evaluates other rows exactly, so it need not be a prefix. An
    audit of rows that an estimate decided is evaluated exactly and reported. Fewer than 20 targets, or a pool so small
    that pilots cost half of all pairs, are evaluated exactly.

    Parameters
    ----------
    by : str
        Score of kind zipfit without chunks.
    z : float, default 3.0
        Rows within z sd of the threshold are evaluated further.

    Examples
    --------
    >>> [need.name for need in ZipFitRace(by="alignment").on_demand]
    ['alignment']
    """

    kind: ClassVar[str] = "zipfit_race"
    #: A smaller budget has another threshold.
    prefix_stable = False
    extra_columns = (
        ("score_exact", "BOOLEAN", "whether gain is the alignment itself, not an estimate"),
        ("score_sd", "DOUBLE", "standard deviation of the estimate; 0 where exact"),
    )

    by: str
    z: Annotated[float, Above(0)] = 3.0

    @property
    def weighs(self) -> bool:
        """Its picks are plain rows."""
        return False

    @property
    def on_demand(self) -> tuple[Need, ...]:
        """The alignment, of which only pairs are computed."""
        return (Fitted(self.by, ("zipfit",), without=("chunk_bytes",)),)

    def driver_bytes(self, rows: int, _width: int, /) -> int:
        """Return the bytes of the race's arrays (racing.MOST_ROWS has what was measured)."""
        return rows * RACE_BYTES

    def most_rows(self, _width: int, /) -> int | None:
        """Return the rows of the largest race."""
        return MOST_ROWS

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; the seed decides which rows are pilots, and ties.

        Raises
        ------
        InputError
            If the score is of another kind, or cuts rows into chunks.
        """
        scorer = pool.fitted[self.by]
        if not isinstance(scorer, ZipFitScorer) or scorer.chunk_bytes:
            raise InputError(
                f"zipfit_race: {self.by!r} is {scorer.kind}; a score of kind zipfit without chunks is needed"
            )
        rows = collect_pandas(pool.rows.select("id", hashed(pool.seed).alias("h")).limit(MOST_ROWS + 1))
        ids = rows.sort_values(["h", "id"])["id"].reset_index(drop=True)
        stages = Stages(z=self.z, groups=tuple(_groups(scorer)))
        pilot: list[np.ndarray[Any, np.dtype[np.float64]]] = []
        result = race(len(ids), len(scorer.targets), pool.budget, _pairs(pool, scorer, ids, pilot), stages)
        if stages.groups and "landmarks" in result.pairs:
            pool.note(f"every row is compared with one target of each of {len(stages.groups)} groups unlike the others")
        _note_costs(result, pool.note)
        if pilot:
            _note_length(self.by, pilot[0], pool.note)
        best = picks(ids.iloc[result.order], pd.Series(result.score))
        return best.assign(score_exact=result.exact, score_sd=result.sd)


def _groups(scorer: ZipFitScorer) -> list[int]:
    """Return one target of each group that is unlike the others, at most GROUPS and a twentieth of the targets."""

    def similar(target: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        pairs = ZipFitPairsScorer.of_targets(scorer, [target]).kernel()(scorer.targets)
        return np.nan_to_num(np.asarray(pairs, dtype=np.float64)[:, 2])

    count = len(scorer.targets)
    return of_groups(similar, count, min(GROUPS, count // 20)) if count >= FEWEST_TARGETS else []


def _pairs(pool: Pool, scorer: ZipFitScorer, ids: pd.Series[str], pilot: list[Any]) -> Callable[[list[int], Any], Any]:
    """Return the function by which a race asks for pairs: targets, rows (None: all) -> (rows, 2 + targets) float64.

    The first answer, all pairs of the first rows in order of their hash, is added to `pilot`.
    """
    position = pd.Index(ids)

    def pairs(targets: list[int], rows: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        wanted = position if rows is None else position[rows]
        scored = pool.values(ZipFitPairsScorer.of_targets(scorer, targets), None if rows is None else wanted.tolist())
        defined = scored.dropna(subset="value")
        values = np.full((len(wanted), 2 + len(targets)), np.nan)
        if len(defined):
            values[wanted.get_indexer(pd.Index(defined["id"]))] = np.vstack(defined["value"].to_list())
        if not pilot:
            pilot.append(values)
        return values

    return pairs


def _note_length(by: str, pairs: np.ndarray[Any, np.dtype[np.float64]], note: Callable[[str], None]) -> None:
    """Say that the score orders rows by length, where it does, from all pairs of some rows (log C(x), bound, A)."""
    sample = pd.DataFrame({"score": pairs[:, 2:].mean(axis=1), "size": pairs[:, 0]}).dropna()
    found = rank_correlation(sample, "score", "size")
    if len(sample) >= FEWEST_ROWS and abs(found) >= STRONG:
        note(
            f"{by}: its rank correlation with the compressed size of a row is {found:.2f} among {len(sample):,} rows, "
            "so it chooses by length, too: compare with the control length_matched, or bound the length in where:"
        )


def _note_costs(result: Race, note: Callable[[str], None]) -> None:
    spent, audit = sum(result.pairs.values()), result.audit
    note(f"{spent:,} of {result.pairs_all:,} pairs were compressed, {result.pairs_all / max(spent, 1):.1f} times fewer")
    if len(result.order):
        exact = f"{int(result.exact.sum()):,} of {len(result.exact):,} scores are exact"
        note(f"{exact}; the others are estimates with sd up to {result.sd.max():.2g}")
    if audit.rows:
        wrong = round(audit.crossed * audit.rows)
        note(
            f"audit of {audit.rows} estimated rows: error {audit.mean_error:.2g} on average, {audit.max_error:.2g} at "
            f"most; {wrong} lay on the other side of the threshold, so that with probability 95 % at most "
            f"{audit.most_wrong:,} of all rows do, beside {len(result.order):,} chosen ones"
        )
