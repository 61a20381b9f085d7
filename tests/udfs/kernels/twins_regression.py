"""Rows to label for a linear regression, in numpy: sensitivity scores, and the leverage scores they are compared with.

Section 4 of arXiv 2402.17327 applies sensitivity sampling to regression; in detail ours: label the k centre rows, fit
x0 on them by least squares weighted with the cluster sizes, and draw by

    q = (a_c . x0 - b_c)^2 + L ||a - a_c||^2        L = ||x0||^2 by default

then fit on the drawn rows with weight copies / (s p). The default bounds ((a - a_c) . x0)^2, what x0 alone can change
between a row and its centre. Where x0 passes through all centres (k <= d) q is that distance term alone and centres
are hardly drawn: mix some uniform in. Leverage scores, the squared row norms of the left singular vectors, are a rival
only: they need all rows at once, by BLAS, so their last bits follow the machine. Left out: ridge regression.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lakesift.udfs.kernels.least_squares import Floats, finite_matrix, weighted_least_squares
from tests.udfs.kernels.twins_sensitivity import scores


def regression_scores(
    centres: ArrayLike,
    centre_labels: ArrayLike,
    sizes: ArrayLike,
    cluster: ArrayLike,
    distance_sq: ArrayLike,
    lipschitz: float | None = None,
) -> Floats:
    """Return q = (a_c . x0 - b_c)^2 + L ||a - a_c||^2, (n,) float64, 0 or more.

    Parameters
    ----------
    centres : (k, d) float64
        Rows of the data, one a cluster.
    centre_labels : (k,) float64
        All that is labelled so far.
    sizes : (k,)
        Rows of each cluster: the weights of the fit of x0.
    cluster, distance_sq : (n,)
        Each row's centre and squared distance to it.
    lipschitz : float, optional
        L; ||x0||^2 by default.

    Examples
    --------
    x0 = 2 fits neither centre: residuals 2 and -1, and L = 4.

    >>> regression_scores([[1.0], [2.0]], [0.0, 5.0], [1, 1], [0, 0, 1], [0.0, 1.0, 0.0]).round(9).tolist()
    [4.0, 8.0, 1.0]
    """
    matrix, b = finite_matrix(centres), np.asarray(centre_labels, dtype=np.float64)
    x = weighted_least_squares(matrix, b, sizes)
    residual_sq = ((matrix * x).sum(axis=1) - b) ** 2
    return scores(residual_sq, cluster, distance_sq, float(x @ x) if lipschitz is None else lipschitz, z=2)


def leverage_scores(rows: ArrayLike) -> Floats:
    """Return the diagonal of the projection onto the column space, (n,) float64 in [0, 1], sum = rank.

    By a thin SVD of the (n, d) rows, O(n d^2); directions below eps max(n, d) of the largest singular value are cut.

    Examples
    --------
    >>> leverage_scores([[3.0, 0.0], [4.0, 0.0], [0.0, 2.0]]).round(12).tolist()
    [0.36, 0.64, 1.0]
    """
    matrix = finite_matrix(rows)
    left, sizes, _ = np.linalg.svd(matrix, full_matrices=False)
    kept = sizes > np.finfo(np.float64).eps * max(matrix.shape) * sizes[0]
    return np.minimum((left[:, kept] ** 2).sum(axis=1), 1.0)
