"""leverage: the statistical leverage of a vector, a^T (A^T A)^+ a over all documents; a rival of sensitivity sampling.

Rows drawn with probability proportional to leverage suffice for linear regression (Drineas, Mahoney, Muthukrishnan,
SODA 2006). Ours: vectors are rounded to integers small enough for all products and sums to be exact, so neither the
model nor a value depends on partitions, batches or threads; an intercept of 1 is added. Left out: ridge leverage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..arrays import Floats
from ..errors import BoundError, InputError
from ..kernels.vectors import check_width
from ..scorer import DocumentEstimator, Fold, Kernel, Scorer

#: Rows of a table, their largest absolute value, and the width of the vectors (-1: no rows yet).
Extent = tuple[int, float, int]

#: Largest width of vectors: the state has (d + 1)^2 float64.
WIDEST = 600
#: Bits of a vector's elements and of the factor's: with 2^9 terms their sums stay below 2^53.
_BITS, _FACTOR_BITS = 20, 24


def _defined(vectors: Any) -> Floats:
    """Return the vectors without NaN, with a last column of ones."""
    x = np.asarray(vectors, dtype=np.float64)
    x = x[~np.isnan(x).any(axis=1)]
    return np.column_stack([x, np.ones(len(x))])


class Extents(Fold[Extent]):
    """Number of vectors, their largest absolute value and their width with the intercept."""

    def zero(self) -> Extent:
        """Return no rows."""
        return 0, 0.0, -1

    def add(self, state: Extent, *columns: Any) -> Extent:
        """Add vectors (n, d)."""
        x = _defined(columns[0])
        return self.merge(state, (len(x), float(np.abs(x).max(initial=0.0)), x.shape[1] if len(x) else -1))

    def merge(self, a: Extent, b: Extent) -> Extent:
        """Combine both; InputError for two widths, BoundError above the largest."""
        if a[2] != b[2] and min(a[2], b[2]) >= 0:
            raise InputError(f"vectors have {a[2] - 1} and {b[2] - 1} values; all need the same number")
        _check_width(max(a[2], b[2]) - 1)
        return a[0] + b[0], max(a[1], b[1]), max(a[2], b[2])


class Gram(Fold[Floats]):
    """A^T A in units of `step` squared, (d + 1, d + 1); sums of integers below 2^53, hence exact in any order."""

    limit_bytes = 8 * (WIDEST + 1) ** 2 + 1_000

    def __init__(self, step: float, width: int) -> None:
        self.step, self.width = step, width

    def zero(self) -> Floats:
        """Return zeros."""
        return np.zeros((self.width, self.width))

    def add(self, state: Floats, *columns: Any) -> Floats:
        """Add vectors (n, d)."""
        x = np.rint(_defined(columns[0]) / self.step)
        added: Floats = state + x.T @ x
        return added

    def merge(self, a: Floats, b: Floats) -> Floats:
        """Return the sum."""
        return a + b


@dataclass(frozen=True, eq=False)
class LeverageScorer(Scorer):
    """Leverage of a vector, from a factor of the pseudo-inverse; fitted by Leverage.

    Parameters
    ----------
    of : str
        Name of a score of kind embedding.
    factor : (d + 1, r) float64
        F with F F^T the pseudo-inverse of the Gram matrix: the leverage of a is ||a F||^2.

    Examples
    --------
    >>> LeverageScorer(factor=np.diag([0.5, 0.0])).kernel()(np.array([[1.0], [2.0]])).tolist()
    [0.25, 1.0]
    """

    kind = "leverage"
    fitted: ClassVar[bool] = True
    comment = (
        "statistical leverage of the vector among all documents, 0 to 1; larger is more influential; null without one"
    )
    takes = "vector"

    of: str = "vector"
    factor: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    def kernel(self) -> Kernel:
        """Return vectors (n, d) -> float64 (n,); NaN where a vector holds NaN. ScoreError for another d."""
        unit = 2.0 ** (math.frexp(float(np.abs(self.factor).max(initial=1e-300)))[1] - _FACTOR_BITS)
        factor, width = np.rint(self.factor / unit), len(self.factor) - 1

        def score(vectors: Any) -> Floats:
            x = np.asarray(vectors, dtype=np.float64)
            check_width(x, width, "a model", self.of)
            full = np.column_stack([x, np.ones(len(x))])
            scale = np.exp2(np.frexp(np.abs(full).max(axis=1))[1].astype(float) - _BITS)[:, None]
            product = (np.rint(full / scale) @ factor) * (scale * unit)
            return np.minimum(_row_sums(product * product), 1.0)

        return score


def _row_sums(values: Floats) -> Floats:
    """Return the sum of each row from left to right, so that it is the same bits in any batch."""
    return np.add.accumulate(values, axis=1)[:, -1] if values.shape[1] else np.zeros(len(values))


@dataclass(frozen=True)
class Leverage(DocumentEstimator):
    """Fits the Gram matrix of the vectors in two passes; vectors have at most 600 values.

    Raises
    ------
    InputError
        From `fit`, if no vector is defined, or if their lengths differ.
    BoundError
        From `fit`, for wider vectors, or so many that their exact sums need more than 53 bits.

    Examples
    --------
    >>> rows = np.array([[0.0], [0.0], [3.0]])
    >>> model = Leverage().fit(lambda f, table: f.add(f.zero(), rows))
    >>> model.kernel()(rows).round(6).tolist()
    [0.5, 0.5, 1.0]
    """

    kind = "leverage"
    comment = LeverageScorer.comment
    model_class = LeverageScorer
    takes = "vector"

    of: str = "vector"

    def held_bytes(self, _: int, width: int, /) -> int:
        """Return the bytes of the Gram matrix and its axes; BoundError for vectors that are too wide."""
        _check_width(width)
        return 24 * (width + 1) ** 2

    def fit(self, fold: Callable[[Fold[Any], str], Any]) -> LeverageScorer:
        """Sum the products and factor the pseudo-inverse of the Gram matrix."""
        rows, largest, width = fold(Extents(), "documents")
        if not rows:
            raise InputError(f"no document has a defined vector {self.of!r}; check `fit_where:` and the embedding")
        # Two factors of `bits` bits and the sum over rows stay within 53 bits.
        bits = (53 - math.ceil(math.log2(rows + 1))) // 2
        if bits < 10:
            raise BoundError(f"{rows} vectors are too many for exact sums; fit on a part of them with `fit_where:`")
        step = 2.0 ** (math.frexp(largest)[1] - bits)
        values, axes = np.linalg.eigh(fold(Gram(step, width), "documents") * step**2)
        kept = values > max(values[-1], 0.0) * len(values) * 2.0 ** (4 - 2 * bits)  # above the rounding of the vectors
        return LeverageScorer(self.of, axes[:, kept] / np.sqrt(values[kept]))


def _check_width(width: int) -> None:
    if width > WIDEST:
        raise BoundError(f"vectors have {width} values; leverage takes at most {WIDEST}")
