"""k-center of rows in parts: every part's own farthest-first order, then farthest-first among the first rows of these.

With the first b rows of every part at hand, b picks among them have at most twice the radius that is the best for the
rows at hand, which lie within twice the best radius of all others: four times the best in all (composable core-sets:
Malkomes and others, NIPS 2015). So that a smaller budget is a prefix, the rows at hand do not depend on it (ours): the
first `first` picks are among the first `first` rows of every part, the picks up to 2 `first` among twice as many, and
so on up to `most` rows of a part, among which all further picks are.

The bound beyond `first` picks: let T be the rows at hand and n the picks since they doubled. n + 1 rows of T are at
least the radius over T apart from each other, which is so at most twice the best of n picks; and more picks never widen
the radius. So it is at most four times the best of a third as many picks (of `most`, where these are fewer).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Floats, Matrix, Positions
from .k_center import KCenter, k_center


def depth_of(budget: int, first: int, most: int) -> int:
    """Return how many rows of every part a budget needs: `first`, or twice, four times, ... as many, up to `most`.

    Examples
    --------
    >>> [depth_of(budget, 100, 800) for budget in (1, 100, 101, 900)]
    [100, 100, 200, 800]
    """
    depth = first
    while depth < min(budget, most):
        depth *= 2
    return depth


def k_center_merge(
    X: Matrix, place: Positions, budget: int, first: int, most: int, start: Sequence[int] = ()
) -> KCenter:
    """Pick `budget` rows out of the farthest-first orders of parts.

    Parameters
    ----------
    X : (n, d) float32, finite
        The first `depth_of(budget, first, most)` rows of every part, in the order that breaks ties.
    place : (n,) int64
        A row's place in the order of its part, from 0; -1 for those of `start`.
    budget, first, most : int
        `most` is `first` times a power of two.
    start : sequence of int
        Positions picked earlier.

    Returns
    -------
    KCenter
        As of `k_center`; distance_sq may rise where more rows come in, after `first`, 2 `first`, ... picks.

    Examples
    --------
    >>> X, place = np.array([[0], [9], [1], [4]], np.float32), np.array([0, 0, 1, 1])
    >>> k_center_merge(X, place, 3, 1, 4).order.tolist(), k_center_merge(X, place, 3, 1, 1).order.tolist()
    ([0, 1, 3], [0, 1])
    """
    order, distances, passes, depth = list[int](), list[Floats](), 0, first
    budget = max(0, min(budget, int((place < most).sum()) - len(start)))
    while len(order) < budget:
        within = np.flatnonzero(place < depth)
        before = np.flatnonzero(np.isin(within, [*start, *order])).tolist()
        here = budget if depth >= most else min(depth, budget)
        found = k_center(X[within], here - len(order), start=before)
        order, passes, depth = [*order, *within[found.order].tolist()], passes + found.passes, 2 * depth
        distances.append(found.distance_sq)
    return KCenter(np.array(order, np.int64), np.concatenate([*distances, np.empty(0)]), passes)
