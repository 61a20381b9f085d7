"""Sensitivity sampling (arXiv 2402.17327): draws with replacement, how many are needed, and L from a few losses.

    q(e) = l(c) + L_c ||e - e_c||^z    p = q / sum q    s iid draws with replacement    weight = 1 / (s p)

The loss l is known only at the k centres c, which are rows. If L_c bounds |l - l(c)| / dist^z in every cluster, then
l <= q <= l + 2 L_c dist^z; l / p of one draw lies in [0, sum q] and its mean is sum l, so Bernstein's inequality gives,
for s >= ln(2/delta) (2 + 2 eps/3) / eps^2 and with probability 1 - delta,

    |estimate - sum l| <= eps sum q <= eps (sum l + 2 sum_c L_c Phi_z(C_c)),    Phi_z(C) = sum of dist^z over a cluster

Mixing p <- (1-b) p + b/n (ours): then l / p <= sum q / (1-b), so the same bound holds for s larger by 1 / (1-b).
The estimate is unbiased where p > 0 for every row with l > 0: with a true L or b > 0, but not with L = infinity
(centres have q = 0) nor with L = 0 (a cluster whose centre has loss 0). L from probes (ours) voids the guarantee.

Draws: rows are in order of (block, h, id), block = the top 12 bits of the id's 64-bit hash h. Sums run row by row
inside a block and block totals are added in block order, so no partitioning changes a bit. Left out: q, p and the
weights themselves, which Spark computes (jobs/); tests/udfs/kernels/twins_sensitivity.py has them in numpy.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from ..errors import InputError, RecipeError
from .hashing import sequence


def non_negative(values: ArrayLike, what: str, below: float = math.inf, numbers: ArrayLike | None = None) -> Floats:
    """Return float64 values; InputError unless all are in [0, below), which NaN is not.

    The message says `what` and the position of the first bad value, or its entry in `numbers`.

    Examples
    --------
    >>> non_negative([0, 2], "loss of row").tolist()
    [0.0, 2.0]
    """
    checked = np.asarray(values, dtype=np.float64)
    for i in np.flatnonzero(~((checked >= 0) & (checked < below)))[:1]:
        at = i if numbers is None else np.asarray(numbers)[i]
        raise InputError(f"the {what} {at} is {checked[i]}; allowed: 0 or more and below {below}; fix or filter it")
    return checked


def power_of_distance(distance_sq: ArrayLike, z: int) -> Floats:
    """Return dist^z from squared distances, (n,) float64; RecipeError unless z is 1 or 2.

    Examples
    --------
    >>> power_of_distance([0.0, 9.0], 1).tolist()
    [0.0, 3.0]
    """
    if z not in (1, 2):
        raise RecipeError(f"z is {z!r}; allowed: 1 (distance) or 2 (squared distance, as in k-means); 2 is usual")
    checked = non_negative(distance_sq, "squared distance of row")
    return checked if z == 2 else np.sqrt(checked)


def draws(seed: int, s: int) -> Floats:
    """Return (s,) uniforms in (0, 1): draw t is ((h >>> 11) + 0.5) 2^-53, h number t of the seed's splitmix64 sequence.

    Fewer draws are the first of more. The largest h would round to 1 and gives 1 - 2^-53.

    Examples
    --------
    >>> draws(7, 2).tolist() == draws(7, 5)[:2].tolist()
    True
    """
    h = sequence(seed, s) >> np.uint64(11)
    return np.minimum((h.astype(np.float64) + 0.5) * 2.0**-53, 1 - 2.0**-53)


def locate(targets: ArrayLike, block_totals: ArrayLike) -> tuple[Ints, Floats]:
    """Return (block, offset), both (s,), of points on the line of block totals laid end to end.

    A draw takes the first row of its block whose running sum is above the offset. However the sums are rounded, the
    block's total is above 0 and 0 <= offset < total, so such a row exists and its p is above 0.

    Examples
    --------
    >>> block, offset = locate([0.5, 1.0, 4.0], [1.0, 0.0, 3.0, 0.0])
    >>> block.tolist(), offset.tolist()
    ([0, 2, 2], [0.5, 0.0, 2.9999999999999996])
    """
    points, totals = np.asarray(targets, dtype=np.float64), non_negative(block_totals, "total of block")
    if not totals.any():
        raise InputError("all block totals are 0, so no row can be drawn; at least one must be above 0; check p")
    ends = np.cumsum(totals)
    block = np.minimum(np.searchsorted(ends, points, side="right"), np.flatnonzero(totals)[-1])
    offset = points - np.concatenate([[0.0], ends])[block]
    return block.astype(np.int64), np.clip(offset, 0, np.nextafter(totals[block], 0))


def draws_needed(eps: float, delta: float, mixing: float = 0.0) -> int:
    """Return the least s for which the bound holds with probability 1 - delta; eps > 0, 0 < delta < 1.

    Examples
    --------
    >>> draws_needed(0.1, 0.1), draws_needed(0.1, 0.1, mixing=0.5)
    (620, 1239)
    """
    if not (0 < eps < math.inf and 0 < delta < 1 and 0 <= mixing < 1):
        raise RecipeError(
            f"eps {eps}, delta {delta}, mixing {mixing} give no size; allowed: above 0, below 1; 0.1 is usual"
        )
    return math.ceil(math.log(2 / delta) * (2 + 2 * eps / 3) / (eps**2 * (1 - mixing)))


def lipschitz_from_probes(
    centre_loss: ArrayLike,
    probe_loss: ArrayLike,
    probe_cluster: ArrayLike,
    probe_distance_sq: ArrayLike,
    z: int,
    how: str = "cluster",
) -> Floats:
    """Return L from m probes, rows whose loss is known: the largest |l - l(c)| / dist^z (ours).

    dist^z counts as no less than the median of the probes': a near-duplicate of a centre, whose loss differs by a
    trifle over next to no distance, would else decide L alone (on 4 000 real rows with a fifth of near-copies 8.5 times
    uniform's error, with the floor 1.1).

    Parameters
    ----------
    centre_loss : (k,) float64, 0 or more
        NaN, negative and infinite losses raise InputError, which names the cluster.
    probe_loss, probe_cluster, probe_distance_sq : (m,)
    z : {1, 2}
    how : {"cluster", "global"}
        (k,) values, or one of shape ().

    Returns
    -------
    (k,) or () float64
        Probes at distance 0 say nothing and are ignored. A cluster without other probes gets the global value, which is
        0 if there is none. L of a probed cluster is at most its true L.

    Examples
    --------
    >>> lipschitz_from_probes([1.0, 2.0], [4.0, 2.5, 9.0], [0, 0, 1], [1.0, 1.0, 0.0], z=2).tolist()
    [3.0, 3.0]
    """
    if how not in ("cluster", "global"):
        raise RecipeError(f"how is {how!r}; allowed: cluster, global; cluster is usual")
    losses, power = non_negative(centre_loss, "loss at the centre of cluster"), power_of_distance(probe_distance_sq, z)
    clusters = non_negative(probe_cluster, "cluster of probe", losses.size).astype(np.int64)
    gap = np.abs(non_negative(probe_loss, "loss of a probe of cluster", numbers=clusters) - losses[clusters])
    usable = power > 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slope = gap / np.maximum(power, np.median(power[usable]) if usable.any() else 0)
    usable &= np.isfinite(slope)  # not where the distances are so small that the quotient overflows
    steepest, overall = np.full(losses.size, -1.0), np.asarray(slope[usable].max(initial=0.0))
    np.maximum.at(steepest, clusters[usable], slope[usable])
    return overall if how == "global" else np.where(steepest < 0, overall, steepest)


def explained(centre_loss: ArrayLike, probe_loss: ArrayLike, probe_cluster: ArrayLike, sizes: ArrayLike = 1) -> float:
    """Return R2 of the loss by cluster, at most 1, from centres and probes (ours); below 0.3 sampling seldom pays.

    Both variances are unbiased for any number of probes (one-way analysis of variance), so R2 may be a little below 0.
    `sizes` (k,) weigh clusters; those without probes are left out. NaN without probes or if all losses are equal.

    Examples
    --------
    >>> explained([1.0, 5.0], [1.0, 5.0], [0, 1])
    1.0
    """
    centres = non_negative(centre_loss, "loss at the centre of cluster")
    clusters = non_negative(probe_cluster, "cluster of probe", centres.size).astype(np.int64)
    probes, k = non_negative(probe_loss, "loss of a probe of cluster", numbers=clusters), centres.size
    count = 1.0 + np.bincount(clusters, minlength=k)
    mean = (centres + np.bincount(clusters, probes, k)) / count
    if np.ptp([*centres[count > 1], *probes] or [0.0]) == 0:
        return math.nan
    share = np.where(count > 1, sizes, 0.0)
    share /= share.sum()
    squares = (centres - mean) ** 2 + np.bincount(clusters, (probes - mean[clusters]) ** 2, k)
    variance = squares / np.maximum(count - 1, 1)
    within = float(np.sum(share * variance))
    spread = share * (mean - np.sum(share * mean)) ** 2
    # The means scatter by their own noise as well: that part is taken off.
    between = float(np.sum(spread - share * (1 - share) * variance / count))
    return between / (between + within)
