"""Information on a graph of labels: how it spreads, and what a row adds to that of the rows before; the gains of MIG.

    E(S) = sum over labels p of phi(x_p)      x = A sum over i in S of quality_i x (1 for the labels of i, 0 for others)

arXiv 2504.13835, with phi(x) = (x + 1e-6)^power or 1 - exp(-x). A row's gain is the derivative of E in its direction,
quality_i x sum over its labels l of g_l with g = A^T phi'(x), or else exact, E(S + i) - E(S). The paper prints A in g;
its transpose is the derivative. Left out: where edges and labels come from.

Each sum has one order, so that a gain has the same bits wherever it is computed:

- reach_p of a row = sum over its labels l, ascending, of A_pl; adding the row raises x_p by quality x reach_p.
- g_l = sum over p, ascending, of A_pl phi'(x_p).
- a gain runs over the row's labels, the exact one over the labels that it reaches, ascending.

np.bincount adds in the order of its input and, unlike scipy's products, never fuses a multiplication with an addition.
phi' comes from C's pow and exp (numpy's last bit depends on the processor's vector unit) and is never above an earlier
value of that label, so that gains fall in float64, too. Exact gains are differences, which may rise by their rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import sparse

from ..arrays import Floats, Ints, Labels, Positions, offsets_of
from ..errors import InputError, RecipeError, nearest

#: Added to x by phi "pow", so that its derivative at 0 is finite.
SHIFT = 1e-6
PHIS = ("pow", "exp")


def propagation(count: int, a: Labels, b: Labels, weight: Floats, alpha: float = 1.0) -> sparse.csr_matrix:
    """Return A: the share of a label q in what arrives at label p, so that each row of A sums to 1.

    A_pq = alpha w_pq / (1 + alpha sum over k != p of w_pk), and 1 / (the same) on the diagonal.

    Parameters
    ----------
    count : int
        Number of labels K; ids are 0 to K - 1.
    a, b : (m,) int
        Ends of undirected edges, each once, a < b.
    weight : (m,) float64
        Above 0, at most 1.
    alpha : float, default 1
        At least 0, which gives the identity: no graph.

    Returns
    -------
    (K, K) csr_matrix of float64, the same for any order of the edges.

    Raises
    ------
    InputError
        If an edge is not allowed.
    RecipeError
        If alpha is not allowed.

    Examples
    --------
    >>> propagation(3, np.array([0]), np.array([1]), np.array([0.25])).toarray().tolist()
    [[0.8, 0.2, 0.0], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0]]
    """
    if not 0 <= alpha < math.inf:
        raise RecipeError(f"alpha {alpha!r} is not allowed; it is finite and at least 0; the paper's is 1")
    first = np.zeros(len(a), np.bool_)
    first[np.unique(a * np.int64(count) + b, return_index=True)[1]] = True
    allowed = first & (a >= 0) & (a < b) & (b < count) & (weight > 0) & (weight <= 1)
    if not allowed.all():
        i = int(allowed.argmin())
        raise InputError(
            f"edge {int(a[i])}-{int(b[i])} of weight {float(weight[i])} is not allowed; edges join labels a < b below "
            f"{count}, each pair once, with a weight above 0 and at most 1; correct the graph"
        )
    ends = np.concatenate([a, b]), np.concatenate([b, a])
    graph = sparse.coo_matrix((alpha * np.tile(weight, 2), ends), shape=(count, count)).tocsr()
    graph.sort_indices()
    row = np.repeat(np.arange(count), np.diff(graph.indptr))
    arriving = 1 + np.bincount(row, graph.data, count)
    graph.data /= arriving[row]
    return (graph + sparse.diags(1 / arriving)).tocsr()


def entries(offsets: Ints, rows: Labels) -> tuple[Ints, Ints]:
    """Return the entries of some rows of a ragged table, row by row, and for each entry the place of its row in `rows`.

    Examples
    --------
    >>> [x.tolist() for x in entries(np.array([0, 2, 2, 5]), np.array([2, 0]))]
    [[2, 3, 4, 0, 1], [0, 0, 0, 1, 1]]
    """
    rows = rows.astype(np.int64, copy=False)  # rows + 1 may not fit a narrower type
    length = offsets[rows + 1] - offsets[rows]
    place = np.repeat(np.arange(len(rows)), length)
    return np.arange(len(place)) + np.repeat(offsets[rows] - np.cumsum(length) + length, length), place


def taken(labels: Labels, offsets: Ints, rows: Positions) -> tuple[Ints, Ints]:
    """Return labels, int64, and offsets of some rows of a ragged table, in their order.

    Examples
    --------
    >>> [x.tolist() for x in taken(np.array([5, 6, 7, 8, 9]), np.array([0, 2, 2, 5]), np.array([2, 0]))]
    [[7, 8, 9, 5, 6], [0, 3, 5]]
    """
    entry, _ = entries(offsets, rows)
    return labels[entry].astype(np.int64, copy=False), offsets_of(offsets[rows + 1] - offsets[rows])


def gradient_gains(row: Ints, labels: Labels, quality: Floats, gradient: Floats) -> Floats:
    """Return gains of n rows from g alone: numpy only, cheap to call where the rows are.

    Parameters
    ----------
    row, labels : (m,) int
        Each label of each row: number of the row, 0 to n - 1, ascending, and the label, ascending inside the row.
    quality : (n,) float64
    gradient : (K,) float64
        `GradientGain.gradient`.

    Returns
    -------
    (n,) float64, 0 for a row without labels.

    Examples
    --------
    >>> gradient_gains(np.array([0, 0, 2]), np.array([0, 1, 1]), np.array([2.0, 9, 1]), np.array([3, 0.5])).tolist()
    [7.0, 0.0, 0.5]
    """
    return quality * np.bincount(row, gradient[labels], len(quality))


class ExactGain:
    """State of all labels after some rows were added: x and phi(x), (K,) float64 each; gains are E(S + i) - E(S).

    Parameters
    ----------
    A : (K, K) csr_matrix of float64
        Not negative; of `propagation`.
    phi : {"pow", "exp"}
    power : float, default 0.8
        Between 0 and 1, of phi "pow".

    Raises
    ------
    RecipeError
        If phi is unknown or power is not allowed.
    """

    def __init__(self, A: sparse.csr_matrix, phi: str = "pow", power: float = 0.8) -> None:
        if phi not in PHIS:
            raise RecipeError(f"phi {phi!r} is unknown; {nearest(phi, PHIS)}")
        if not 0 < power < 1:
            raise RecipeError(f"power {power!r} is not allowed; it is between 0 and 1; the paper's is 0.8")
        columns = A.tocsc()
        columns.sort_indices()
        self.phi, self.power = phi, power
        self.starts, self.receivers = columns.indptr.astype(np.int64), columns.indices.astype(np.int64)
        self.weights: Floats = columns.data
        self.x = np.zeros(A.shape[0])
        self.values = self._phi(self.x)

    def _phi(self, x: Floats) -> Floats:
        return np.power(x + SHIFT, self.power) if self.phi == "pow" else -np.expm1(-x)

    @property
    def information(self) -> float:
        """E(S)."""
        return float(self.values.sum())

    def add(self, labels: Labels, quality: float) -> Positions:
        """Add a row to S; returns the labels that it reaches, ascending."""
        entry, _ = entries(self.starts, labels)
        reached, place = np.unique(self.receivers[entry], return_inverse=True)
        self.x[reached] += quality * np.bincount(place, self.weights[entry])
        self.values[reached] = self._phi(self.x[reached])
        return reached

    def gains_of(self, labels: Labels, offsets: Ints) -> Callable[[Floats], Floats]:
        """Return a function from the qualities of these rows, (n,), to their gains, (n,), in the state at its call."""
        count = len(self.x)
        entry, place = entries(self.starts, labels)
        row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[place]
        key, place = np.unique(row * count + self.receivers[entry], return_inverse=True)
        reach = np.bincount(place, self.weights[entry])
        row, reached = np.divmod(key, count)

        def gains(quality: Floats) -> Floats:
            rise = self._phi(self.x[reached] + quality[row] * reach) - self.values[reached]
            return np.maximum(np.bincount(row, rise, len(quality)), 0)

        return gains


class GradientGain(ExactGain):
    """The same state with phi'(x) as `slope` and g as `gradient`, (K,) float64 each; gains are `gradient_gains`."""

    def __init__(self, A: sparse.csr_matrix, phi: str = "pow", power: float = 0.8) -> None:
        super().__init__(A, phi, power)
        self.sender_starts, self.senders = A.indptr.astype(np.int64), A.indices.astype(np.int64)
        self.slope = self._slope(self.x)
        self.gradient = np.zeros(len(self.x))
        self._update(np.arange(len(self.x)))

    def _slope(self, x: Floats) -> Floats:
        if self.phi == "pow":
            return np.array([self.power * (value + SHIFT) ** (self.power - 1) for value in x.tolist()], np.float64)
        return np.array([math.exp(-value) for value in x.tolist()], np.float64)

    def _update(self, labels: Positions) -> None:
        entry, place = entries(self.starts, labels)
        terms = self.weights[entry] * self.slope[self.receivers[entry]]
        self.gradient[labels] = np.bincount(place, terms, len(labels))

    def add(self, labels: Labels, quality: float) -> Positions:
        """Add a row to S; returns the labels that it reaches, ascending. Computes only what may change of g."""
        reached = super().add(labels, quality)
        self.slope[reached] = np.minimum(self.slope[reached], self._slope(self.x[reached]))
        entry, _ = entries(self.sender_starts, reached)
        self._update(np.unique(self.senders[entry]))
        return reached

    def gains_of(self, labels: Labels, offsets: Ints) -> Callable[[Floats], Floats]:
        """Return a function from the qualities of these rows, (n,), to their gains, (n,), in the state at its call."""
        row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        return lambda quality: gradient_gains(row, labels, quality, self.gradient)
