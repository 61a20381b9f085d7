"""Sensitivity sampling in numpy, as the selector does it on Spark: scores q, probabilities p, the sample, the estimate.

Equations as in lakesift/udfs/kernels/sensitivity.py, whose draws, `locate` and checks are used. Benches import from
here, too.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from lakesift.udfs.errors import InputError, RecipeError
from lakesift.udfs.kernels.sensitivity import Floats, Ints, draws, locate, non_negative, power_of_distance

BLOCKS = 4096


def scores(centre_loss: ArrayLike, cluster: ArrayLike, distance_sq: ArrayLike, lipschitz: ArrayLike, z: int) -> Floats:
    """Return q = l(c) + L_c dist^z, (n,) float64, 0 or more, a function of each row alone.

    Parameters
    ----------
    centre_loss : (k,) float64, 0 or more; NaN, negative and infinite raise InputError, which names the cluster
    cluster : (n,) int, the row's centre, 0 to k - 1
    distance_sq : (n,) float64, 0 or more, to that centre
    lipschitz : float or (k,), 0 or more; infinity is the limit q = dist^z and must then hold for all clusters
    z : {1, 2}

    Examples
    --------
    >>> scores([1.0, 4.0], [0, 0, 1], [0.0, 9.0, 1.0], [0.5, 2.0], z=1).tolist()
    [1.0, 2.5, 6.0]
    >>> scores([1.0], [0, 0], [0.0, 9.0], np.inf, z=2).tolist()
    [0.0, 9.0]
    """
    losses, power = non_negative(centre_loss, "loss at the centre of cluster"), power_of_distance(distance_sq, z)
    clusters = non_negative(cluster, "cluster of row", losses.size).astype(np.int64)
    bounds = np.broadcast_to(np.asarray(lipschitz, dtype=np.float64), losses.shape)
    if np.isposinf(bounds).all():
        return power
    return losses[clusters] + non_negative(bounds, "L (infinity for some only) of cluster")[clusters] * power


def probabilities(q: ArrayLike, mixing: float = 0.0, total: float | None = None) -> Floats:
    """Return p = (1 - b) (q / sum q) + b / n, (n,) float64; uniform where all q are 0.

    `mixing` is b, 0 to 1: above 0 no weight exceeds n / (s b) and the estimate is unbiased for any L. `total` is sum q
    where it was added in block order; by default the correctly rounded sum, the same for any order of rows.

    Examples
    --------
    >>> probabilities([1.0, 3.0]).tolist(), probabilities([1.0, 3.0], mixing=0.5).tolist()
    ([0.25, 0.75], [0.375, 0.625])
    """
    if not 0 <= mixing <= 1:
        raise RecipeError(f"mixing is {mixing!r}; allowed: 0 to 1; 0.1 bounds the weights at little cost")
    values = non_negative(q, "score q of row", below=1e290)  # so that their sum is finite
    whole, n = math.fsum(values) if total is None else total, values.size
    return (1 - mixing) * (values / whole if whole > 0 else np.full(n, 1 / max(n, 1))) + mixing / max(n, 1)


def running_sums(p: ArrayLike, block: ArrayLike) -> tuple[Floats, Floats]:
    """Return each row's running sum inside its block (n,), and each block's last one (4096,), 0 without rows.

    Rows in order of (block, h, id); `block` is h >>> 52, (n,) ascending. Added one row after the other, as Spark's sum
    OVER (PARTITION BY block ORDER BY h, id ROWS UNBOUNDED PRECEDING) does.

    Examples
    --------
    >>> running, totals = running_sums([0.25, 0.5, 1.0], [0, 3, 3])
    >>> running.tolist(), totals[:4].tolist()
    ([0.25, 0.5, 1.5], [0.25, 0.0, 0.0, 1.5])
    """
    values, blocks = non_negative(p, "p of row"), non_negative(block, "block of row", BLOCKS).astype(int)
    if (np.diff(blocks) < 0).any():
        raise InputError("the rows are not in order of their blocks; allowed: order of (block, h, id); sort them so")
    running, totals = np.empty_like(values), np.zeros(BLOCKS)
    ends = np.searchsorted(blocks, np.arange(BLOCKS + 1))
    for b in np.unique(blocks):
        np.cumsum(values[ends[b] : ends[b + 1]], out=running[ends[b] : ends[b + 1]])
        totals[b] = running[ends[b + 1] - 1]
    return running, totals


def sample(p_in_order: ArrayLike, seed: int, s: int, block: ArrayLike | None = None) -> Ints:
    """Return how often each row is drawn, (n,) int64 of sum s. `block` as in `running_sums`; by default all in one.

    Examples
    --------
    >>> sample([0.0, 0.25, 0.0, 0.75], seed=7, s=100).tolist()
    [0, 20, 0, 80]
    """
    p = np.asarray(p_in_order, dtype=np.float64)
    blocks = np.zeros(p.size, dtype=np.int64) if block is None else np.asarray(block, dtype=np.int64)
    running, totals = running_sums(p, blocks)
    place, offset = locate(np.sort(draws(seed, s) * np.cumsum(totals)[-1]), totals)
    copies = np.zeros(p.size, dtype=np.int64)
    for b in np.unique(place):
        start, end = np.searchsorted(blocks, [b, b + 1])
        inside = slice(*np.searchsorted(place, [b, b + 1]))
        np.add.at(copies, start + np.searchsorted(running[start:end], offset[inside], side="right"), 1)
    return copies


def weights(p: ArrayLike, s: int) -> Floats:
    """Return 1 / (s p), (n,); infinite for rows that cannot be drawn. Times copies they add up to about n."""
    with np.errstate(divide="ignore"):
        return 1 / (s * np.asarray(p, dtype=np.float64))


def estimate(losses: ArrayLike, weights: ArrayLike, copies: ArrayLike) -> float:
    """Return the sum over drawn rows of copies x weight x loss, which estimates sum l; other losses may be NaN."""
    drawn = np.asarray(copies) > 0
    paid = non_negative(np.asarray(losses)[drawn], "loss of row", numbers=np.flatnonzero(drawn))
    return math.fsum(np.asarray(copies)[drawn] * np.asarray(weights, dtype=np.float64)[drawn] * paid)


def bound(total_loss: float, lipschitz: ArrayLike, potential: ArrayLike, eps: float) -> float:
    """Return eps (sum l + 2 sum_c L_c Phi_z(C_c)), `potential` (k,) the sum of dist^z by cluster.

    eps sum q is at most this, holds as well, and needs no loss but the centres'. Infinite for an infinite L.
    """
    parts = np.multiply(lipschitz, potential) if np.isfinite(lipschitz).all() else np.inf
    return eps * (total_loss + 2 * float(np.sum(parts)))
