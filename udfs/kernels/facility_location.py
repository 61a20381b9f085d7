"""Facility location and QDIT: picks the rows that cover all others best, by lazy greedy.

    f(S) = sum over rows i of max(0, max over j in S of cos(x_i, x_j))
    gain of j = (1 - alpha) (f(S + j) - f(S)) + alpha quality_j                      QDIT, arXiv 2311.14736

Greedy reaches 1 - 1/e of the best f (Nemhauser, Wolsey and Fisher 1978). Gains never rise, so most rows need no second
look (Minoux 1978). Three modes differ in the rows that may cover a row:

- dense: every row; n <= 10 000. The greedy itself.
- neighbours: its 64 nearest rows (itself included); n <= 200 000. 0.995 of the dense f at 10 000 rows.
- cells: the rows of its own cell; any n. 0.975 of the dense f at 10 000 rows, 0.98 of neighbours at 50 000.

Memory: dense 400 MB at 10 000 rows; neighbours 300 MB and a copy of the rows at 200 000; cells 67 MB for a cell and
66 MB for the sample of make_cells at a million rows of 256.

Every mode is the exact greedy of that f, so its gains never rise and a smaller budget is a prefix. In mode cells this
holds because cells share nothing: the greedy over all cells is the merge of their greedy orders by gain, and a cell's
share of the budget follows from its gains (ours; shares proportional to size cover as much, but a smaller budget is
then no prefix).

Cosines are those of neighbours.py, exact integers at fixed point, and so are their sums: the order is a function of the
data alone, not of BLAS, blocks or threads; ties go to the lowest position. Left out: stochastic greedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Labels, Matrix, Positions
from ..errors import BoundError, InputError, RecipeError
from ..errors import nearest as nearest_name
from .cells_greedy import cells_greedy
from .lazy_greedy import Picks, dense_greedy, lazy_greedy
from .neighbours import cell_members, fixed_point, nearest, scale

MODES = ("auto", "dense", "neighbours", "cells")
#: Largest n for which "auto" uses dense and neighbours; dense has no larger n at all.
DENSE_ROWS, AUTO_ROWS = 10_000, 50_000


class Cover(NamedTuple):
    """Picks in order, (b,) int64; gain of each when picked, (b,) float64; the mode that was used."""

    order: Positions
    gains: Floats
    mode: str


def facility_location(
    X: Matrix,
    budget: int,
    quality: ArrayLike | None = None,
    alpha: float = 0.0,
    mode: str = "auto",
    neighbours: int = 64,
    cells: Labels | None = None,
    start: Sequence[int] = (),
) -> Cover:
    """Pick `budget` rows that cover all rows best, or best by the QDIT mixture of cover and quality.

    Parameters
    ----------
    X : (n, d) float32
        Rows of length 1, in the order that breaks ties.
    budget : int
        Rows to pick; all rows, if there are fewer.
    quality : (n,) float, optional
        Larger is better; on the scale of a gain, whose unit is one row covered.
    alpha : float, default 0
        0 is facility location, 1 is quality alone.
    mode : {"auto", "dense", "neighbours", "cells"}
        "auto" is cells where `cells` are given, else dense to 10 000 rows, neighbours to 50 000, then cells.
    neighbours : int, default 64
        Length of a row's list in mode neighbours. 16 gives 0.992 of the dense f, 256 gives 0.999.
    cells : (n,) int, optional
        Cell of each row in mode cells, split above 4096 rows; by default k-means gives cells of about 1000 rows.
    start : sequence of int
        Distinct positions picked earlier: they cover from the beginning, and are not picked again.

    Returns
    -------
    Cover
        Distinct positions. Gains count what the mode considers: except in mode dense, f is above their sum.

    Raises
    ------
    RecipeError, InputError, BoundError
        For a parameter out of its range; a row whose length is not 1, quality or cells that are not n finite values;
        an n above the mode's bound.

    Notes
    -----
    Memory: dense 4 n^2 bytes; neighbours a copy of X, 24 n k bytes and 200 MB; cells 100 bytes a row, and as above.

    Examples
    --------
    >>> import numpy as np
    >>> facility_location(np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, -1]], np.float32), 3).order.tolist()
    [1, 3, 0]
    """
    mode, extra = _checked(len(X), quality, alpha, mode, neighbours, cells is not None)
    part = (1 - alpha) / scale(X.shape[1]) ** 2, extra, max(0, min(budget, len(X) - len(start))), start
    if mode == "cells":
        picks = cells_greedy(X, cell_members(X, cells), *part)
    else:
        picks = dense_greedy(fixed_point(X), *part) if mode == "dense" else _listed(X, neighbours, *part)
    return Cover(np.array(picks[0], np.int64), np.array(picks[1], np.float64), mode)


def _checked(
    n: int, quality: ArrayLike | None, alpha: float, mode: str, neighbours: int, celled: bool
) -> tuple[str, Floats]:
    """Return the mode, chosen by size for "auto", and alpha times the quality; raise if any is not allowed."""
    if mode not in MODES:
        raise RecipeError(f"mode {mode!r} is unknown; {nearest_name(mode, MODES)}")
    if not 0 <= alpha <= 1 or (alpha and quality is None) or neighbours < 1:
        raise RecipeError(
            f"alpha {alpha!r} with {'no ' * (quality is None)}quality and {neighbours!r} neighbours is not allowed; "
            "alpha is 0 to 1, above 0 with a quality, and there is at least 1 neighbour; correct them"
        )
    if mode == "auto":
        by_size = "dense" if n <= DENSE_ROWS else "neighbours" if n <= AUTO_ROWS else "cells"
        mode = "cells" if celled else by_size
    if mode == "dense" and n > DENSE_ROWS:
        raise BoundError(f"mode dense of {n} rows needs {4 * n * n} bytes; at most {DENSE_ROWS} rows; use mode auto")
    extra = np.zeros(n) if quality is None else alpha * np.asarray(quality, np.float64)
    if extra.shape != (n,) or not np.isfinite(extra).all():
        raise InputError(f"quality must be {n} finite values, one a row; drop rows without one before selecting")
    return mode, extra


def _listed(X: Matrix, k: int, weight: float, extra: Floats, budget: int, start: Sequence[int]) -> Picks:
    lists = nearest(X, k)
    cover = np.bincount(lists.indices, lists.data, len(X)).astype(np.float64)  # scipy would add in float32
    by_candidate = lists.tocsc()  # column j: the rows that list j
    del lists  # as large as its copy by column
    rows, values, ends = by_candidate.indices, by_candidate.data, by_candidate.indptr.tolist()
    best = np.zeros(len(X), np.float32)

    def now(i: int) -> float:
        part = slice(ends[i], ends[i + 1])
        return float(np.maximum(values[part] - best[rows[part]], 0).sum(dtype=np.float64))

    def take(i: int) -> None:
        part = slice(ends[i], ends[i + 1])
        best[rows[part]] = np.maximum(best[rows[part]], values[part])

    return lazy_greedy(cover, weight, extra, budget, start, now, take)
