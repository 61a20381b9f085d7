"""Clustering-based sensitivity sampling (arXiv 2402.17327): scores, draws with replacement, weights and the guarantee.

    q(e) = l(c) + L_c ||e - e_c||^z    p = q / sum q    s iid draws with replacement    weight = 1 / (s p)

with l known only at the k centres c, which are rows. If L_c bounds |l - l(c)| / dist^z in every cluster, then
l <= q <= l + 2 L_c dist^z; one draw's l / p is in [0, sum q] with mean sum l, and Bernstein's inequality gives for
s >= ln(2/delta) (2 + 2 eps/3) / eps^2, with probability 1 - delta,

    |estimate - sum l| <= eps sum q <= eps (sum l + 2 sum_c L_c Phi_z(C_c)).

Mixing p <- (1-b) p + b/n (ours): then l / p <= sum q / (1-b), so the same bound holds for s larger by 1 / (1-b).
Unbiased where p > 0 for every row with l > 0: with a true L or b > 0; not with L = infinity (centres have q = 0) nor
L = 0 (a cluster whose centre has loss 0). L from probes (ours) voids the guarantee. Left out: clustering, losses.
Draws: rows stand in order of (block, h, id), block = the top 12 bits of the id's 64-bit hash h. Sums run row by row
inside a block, block totals are added in block order: no partitioning changes a bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, RecipeError
from .hashing import sequence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BLOCKS = 4096


def _from_0(values: ArrayLike, what: str, below: float = math.inf, numbers: ArrayLike | None = None) -> Floats:
    """Return float64; raise unless all are in [0, below), so no NaN, saying `what` and its position or number."""
    found = np.asarray(values, dtype=np.float64)
    for i in np.flatnonzero(~((found >= 0) & (found < below)))[:1]:
        at = i if numbers is None else np.asarray(numbers)[i]
        raise InputError(f"the {what} {at} is {found[i]}; allowed: 0 or more and below {below}; mend or filter it")
    return found


def _power(distance_sq: ArrayLike, z: int) -> Floats:
    if z not in (1, 2):
        raise RecipeError(f"z is {z!r}; allowed: 1 (distance) or 2 (squared distance, as in k-means); 2 is usual")
    found = _from_0(distance_sq, "squared distance of row")
    return found if z == 2 else np.sqrt(found)


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
    losses, power = _from_0(centre_loss, "loss at the centre of cluster"), _power(distance_sq, z)
    members = _from_0(cluster, "cluster of row", losses.size).astype(np.int64)
    bounds = np.broadcast_to(np.asarray(lipschitz, dtype=np.float64), losses.shape)
    if np.isposinf(bounds).all():
        return power
    return losses[members] + _from_0(bounds, "L (infinity for some only) of cluster")[members] * power


def probabilities(q: ArrayLike, mixing: float = 0.0, total: float | None = None) -> Floats:
    """Return p = (1 - b) (q / sum q) + b / n, (n,) float64; uniform where all q are 0.

    `mixing` is b, 0 to 1: above 0 no weight exceeds n / (s b) and the estimate is unbiased for any L. `total` is sum q
    where it was added in block order; by default the correctly rounded sum, the same for any order of rows.

    >>> probabilities([1.0, 3.0]).tolist(), probabilities([1.0, 3.0], mixing=0.5).tolist()
    ([0.25, 0.75], [0.375, 0.625])
    """
    if not 0 <= mixing <= 1:
        raise RecipeError(f"mixing is {mixing!r}; allowed: 0 to 1; .1 bounds the weights at little cost")
    values = _from_0(q, "score q of row", below=1e290)  # so that their sum is finite
    whole, n = math.fsum(values) if total is None else total, values.size
    return (1 - mixing) * (values / whole if whole > 0 else np.full(n, 1 / max(n, 1))) + mixing / max(n, 1)


def draws(seed: int, s: int) -> Floats:
    """Return (s,) uniforms in (0, 1): draw t is ((h >>> 11) + .5) 2^-53, h output t of SplitMix64 started at `seed`.

    Output t is mix(seed + (t + 1) 0x9E3779B97F4A7C15) mod 2^64, so fewer draws are the first of more. The largest h
    would round to 1 and gives 1 - 2^-53.

    >>> draws(7, 2).tolist() == draws(7, 5)[:2].tolist()
    True
    """
    h = sequence(seed, s) >> np.uint64(11)
    return np.minimum((h.astype(np.float64) + 0.5) * 2.0**-53, 1 - 2.0**-53)


def running_sums(p: ArrayLike, block: ArrayLike) -> tuple[Floats, Floats]:
    """Return each row's running sum inside its block (n,), and each block's last one (4096,), 0 without rows.

    Rows in order of (block, h, id); `block` is h >>> 52, (n,) ascending. Added one row after the other, as Spark's sum
    OVER (PARTITION BY block ORDER BY h, id ROWS UNBOUNDED PRECEDING) does.

    >>> running, totals = running_sums([0.25, 0.5, 1.0], [0, 3, 3])
    >>> running.tolist(), totals[:4].tolist()
    ([0.25, 0.5, 1.5], [0.25, 0.0, 0.0, 1.5])
    """
    values, blocks = _from_0(p, "p of row"), _from_0(block, "block of row", BLOCKS).astype(int)
    if (np.diff(blocks) < 0).any():
        raise InputError("the rows are not in order of their blocks; allowed: order of (block, h, id); sort them so")
    running, totals = np.empty_like(values), np.zeros(BLOCKS)
    ends = np.searchsorted(blocks, np.arange(BLOCKS + 1))
    for b in np.unique(blocks):
        np.cumsum(values[ends[b] : ends[b + 1]], out=running[ends[b] : ends[b + 1]])
        totals[b] = running[ends[b + 1] - 1]
    return running, totals


def locate(targets: ArrayLike, block_totals: ArrayLike) -> tuple[Ints, Floats]:
    """Return (block, offset), both (s,), of points on the line of block totals laid end to end.

    A draw takes the first row of its block whose running sum is above the offset. Whatever is rounded, the block's
    total is above 0 and 0 <= offset < total, so there is such a row and its p is above 0.

    >>> block, offset = locate([0.5, 1.0, 4.0], [1.0, 0.0, 3.0, 0.0])
    >>> block.tolist(), offset.tolist()
    ([0, 2, 2], [0.5, 0.0, 2.9999999999999996])
    """
    wanted, totals = np.asarray(targets, dtype=np.float64), _from_0(block_totals, "total of block")
    if not totals.any():
        raise InputError("all block totals are 0, so no row can be drawn; at least one must be above 0; check p")
    ends = np.cumsum(totals)
    block = np.minimum(np.searchsorted(ends, wanted, side="right"), np.flatnonzero(totals)[-1])
    offset = wanted - np.concatenate([[0.0], ends])[block]
    return block.astype(np.int64), np.clip(offset, 0, np.nextafter(totals[block], 0))


def sample(p_in_order: ArrayLike, seed: int, s: int, block: ArrayLike | None = None) -> Ints:
    """Return how often each row is drawn, (n,) int64 of sum s. `block` as in `running_sums`; by default all in one.

    >>> sample([0.0, 0.25, 0.0, 0.75], seed=7, s=100).tolist()
    [0, 20, 0, 80]
    """
    p = np.asarray(p_in_order, dtype=np.float64)
    blocks = np.zeros(p.size, dtype=np.int64) if block is None else np.asarray(block, dtype=np.int64)
    running, totals = running_sums(p, blocks)
    found, offset = locate(np.sort(draws(seed, s) * np.cumsum(totals)[-1]), totals)
    copies = np.zeros(p.size, dtype=np.int64)
    for b in np.unique(found):
        start, end = np.searchsorted(blocks, [b, b + 1])
        mine = slice(*np.searchsorted(found, [b, b + 1]))
        np.add.at(copies, start + np.searchsorted(running[start:end], offset[mine], side="right"), 1)
    return copies


def weights(p: ArrayLike, s: int) -> Floats:
    """Return 1 / (s p), (n,); infinite for rows that cannot be drawn. Times copies they add up to about n."""
    with np.errstate(divide="ignore"):
        return 1 / (s * np.asarray(p, dtype=np.float64))


def estimate(losses: ArrayLike, weights: ArrayLike, copies: ArrayLike) -> float:
    """Return the sum over drawn rows of copies x weight x loss, which estimates sum l; other losses may be NaN."""
    drawn = np.asarray(copies) > 0
    paid = _from_0(np.asarray(losses)[drawn], "loss of row", numbers=np.flatnonzero(drawn))
    return math.fsum(np.asarray(copies)[drawn] * np.asarray(weights, dtype=np.float64)[drawn] * paid)


def draws_needed(eps: float, delta: float, mixing: float = 0.0) -> int:
    """Return the least s for which the bound holds with probability 1 - delta; eps > 0, 0 < delta < 1.

    >>> draws_needed(0.1, 0.1), draws_needed(0.1, 0.1, mixing=0.5)
    (620, 1239)
    """
    if not (0 < eps < math.inf and 0 < delta < 1 and 0 <= mixing < 1):
        raise RecipeError(f"eps {eps}, delta {delta}, mixing {mixing} give no size; allowed: above 0, below 1; take .1")
    return math.ceil(math.log(2 / delta) * (2 + 2 * eps / 3) / (eps**2 * (1 - mixing)))


def bound(total_loss: float, lipschitz: ArrayLike, potential: ArrayLike, eps: float) -> float:
    """Return eps (sum l + 2 sum_c L_c Phi_z(C_c)), `potential` (k,) the sum of dist^z by cluster.

    eps sum q is at most this, holds as well, and needs no loss but the centres'. Infinite for an infinite L.
    """
    parts = np.multiply(lipschitz, potential) if np.isfinite(lipschitz).all() else np.inf
    return eps * (total_loss + 2 * float(np.sum(parts)))


def lipschitz_from_probes(
    centre_loss: ArrayLike,
    probe_loss: ArrayLike,
    probe_cluster: ArrayLike,
    probe_distance_sq: ArrayLike,
    z: int,
    how: str = "cluster",
) -> Floats:
    """Return L from m probes, rows whose loss was paid for: the largest |l - l(c)| / dist^z (ours).

    (k,) for how="cluster", one value () for "global". Probes at distance 0 say nothing and are ignored; a cluster
    without others gets the global value, 0 if there is none. A probed cluster's is at most its true L.

    >>> lipschitz_from_probes([1.0, 2.0], [4.0, 2.5, 9.0], [0, 0, 1], [1.0, 1.0, 0.0], z=2).tolist()
    [3.0, 3.0]
    """
    if how not in ("cluster", "global"):
        raise RecipeError(f"how is {how!r}; allowed: cluster, global; cluster is usual")
    losses, power = _from_0(centre_loss, "loss at the centre of cluster"), _power(probe_distance_sq, z)
    members = _from_0(probe_cluster, "cluster of probe", losses.size).astype(np.int64)
    gap = np.abs(_from_0(probe_loss, "loss of a probe of cluster", numbers=members) - losses[members])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = gap / power
    usable = np.isfinite(ratio)  # also not where the distance is so small that the ratio overflows
    found, highest = np.full(losses.size, -1.0), np.asarray(ratio[usable].max(initial=0.0))
    np.maximum.at(found, members[usable], ratio[usable])
    return highest if how == "global" else np.where(found < 0, highest, found)


def explained(centre_loss: ArrayLike, probe_loss: ArrayLike, probe_cluster: ArrayLike, sizes: ArrayLike = 1) -> float:
    """Return the R2 of the loss by cluster, at most 1, from centres and probes (ours); below .3 it seldom pays.

    Both variances are unbiased for any number of probes (one-way analysis of variance), so R2 may be a little below 0.
    `sizes` (k,) weigh clusters; those without probes are left out. NaN without probes or if all losses are equal.

    >>> explained([1.0, 5.0], [1.0, 5.0], [0, 1])
    1.0
    """
    centres = _from_0(centre_loss, "loss at the centre of cluster")
    members = _from_0(probe_cluster, "cluster of probe", centres.size).astype(np.int64)
    probes, k = _from_0(probe_loss, "loss of a probe of cluster", numbers=members), centres.size
    count = 1.0 + np.bincount(members, minlength=k)
    mean = (centres + np.bincount(members, probes, k)) / count
    if np.ptp([*centres[count > 1], *probes] or [0.0]) == 0:
        return math.nan
    share = np.where(count > 1, sizes, 0.0)
    share /= share.sum()
    squares = (centres - mean) ** 2 + np.bincount(members, (probes - mean[members]) ** 2, k)
    variance = squares / np.maximum(count - 1, 1)
    within = float(np.sum(share * variance))
    around = share * (mean - np.sum(share * mean)) ** 2
    between = float(np.sum(around - share * (1 - share) * variance / count))  # less what the means' own noise adds
    return between / (between + within)
