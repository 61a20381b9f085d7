"""What coverage, and choosing by a target, were worth on pools that nobody chose: what the rules stand on.

Pools of 1 500 or 4 000 rows of real text with copies, templates and junk in random shares, and budgets of .5 to 10 %
of the bytes; SemDeDup at .9, then facility location, less the mean of three random draws, in bits per byte of a byte
5-gram model on held-out rows of all tasks. Printed by: python -m tests.bench random_regimes
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

#: The command that prints the table.
COMMAND = "python -m tests.bench random_regimes"


class Figure(NamedTuple):
    """A measurement: mean, half of its 95 % interval, pools, share of them that are worse than random."""

    gain: float
    half_width: float
    pools: int
    worse: float
    command: str

    @property
    def certain(self) -> bool:
        """Whether the whole interval is better than random."""
        return self.gain + self.half_width < 0

    def __str__(self) -> str:
        """Return it in words."""
        said = f"{self.gain:+.3g} ± {self.half_width:.3g} bits per byte against random"
        return f"{said} ({self.pools} pools, worse than random in {100 * self.worse:.0f} %; {self.command})"


class Band(NamedTuple):
    """Pools whose share of near-duplicates (above cosine .95) and rows of the budget lie in a range.

    `gain` with the half width of its 95 % interval is bits per byte against random rows, negative where better; `worse`
    is the share of the pools in which random rows were better by more than .01.
    """

    near_from: float
    near_below: float
    rows_from: float
    rows_below: float
    pools: int
    gain: float
    half_width: float
    worse: float


BANDS = (
    Band(0.0, 0.1, 50, math.inf, 19, -0.042, 0.024, 0.11),
    Band(0.1, 0.3, 50, math.inf, 21, -0.096, 0.031, 0.0),
    Band(0.3, 1.01, 50, math.inf, 32, -0.23, 0.051, 0.0),
    Band(0.0, 1.01, 20, 50, 48, -0.12, 0.044, 0.15),
    Band(0.0, 1.01, 0, 20, 40, -0.02, 0.064, 0.4),
)


class TargetBand(NamedTuple):
    """Pools by how typical their rows are for a target, and by the share of the eligible rows that the budget is.

    `gain`, `half_width` and `worse` are of the highest importance weights per token (dsir), as in Band.
    """

    typical_from: float
    typical_below: float
    share_from: float
    share_below: float
    pools: int
    gain: float
    half_width: float
    worse: float


def figure_of(band: Band | TargetBand, command: str) -> Figure:
    """Return what a band says, and the command that measures it."""
    return Figure(band.gain, band.half_width, band.pools, band.worse, command)


#: The command that prints the table; pools of 2 000 rows with 0, 2, 20 and 100 % of the target's kind, for the last
#: band 100 %.
TARGET_COMMAND = "python -m tests.bench advise"
TARGET_BANDS = (
    TargetBand(-math.inf, 0.65, 0.0, 0.05, 10, -0.741, 0.369, 0.0),
    TargetBand(-math.inf, 0.65, 0.05, math.inf, 10, -0.492, 0.239, 0.0),
    TargetBand(0.65, 0.9, 0.0, 0.05, 18, -0.189, 0.117, 0.17),
    TargetBand(0.65, 0.9, 0.05, math.inf, 18, -0.204, 0.063, 0.0),
    TargetBand(0.9, math.inf, 0.0, 0.05, 32, 0.069, 0.067, 0.66),
    TargetBand(0.9, math.inf, 0.05, math.inf, 32, -0.024, 0.040, 0.44),
)
#: The same of coverage, on the pools of the last band: wholly of the target's kind, with few near-duplicates.
KIND_BANDS = (
    TargetBand(0.9, math.inf, 0.0, 0.05, 32, 0.006, 0.033, 0.44),
    TargetBand(0.9, math.inf, 0.05, math.inf, 32, -0.010, 0.015, 0.28),
)


def target_band_of(typical: float, share: float, bands: Iterable[TargetBand] = TARGET_BANDS) -> TargetBand:
    """Return the band of a pool beside a target; of KIND_BANDS that of a pool of the target's kind.

    Examples
    --------
    >>> target_band_of(0.3, 0.01).typical_below, target_band_of(1.2, 0.1, KIND_BANDS).pools
    (0.65, 32)
    """
    fit = (b for b in bands if b.typical_from <= typical < b.typical_below)
    return next(b for b in fit if b.share_from <= share < b.share_below)


def band_of(near: float, rows: float) -> Band:
    """Return the band of a pool; the last one that has so few rows, if none fits.

    Examples
    --------
    >>> band_of(0.5, 200).pools
    32
    """
    return next(
        (b for b in BANDS if b.near_from <= near < b.near_below and b.rows_from <= rows < b.rows_below), BANDS[-1]
    )
