"""sensitivity_regression: rows to label for a linear regression (arXiv 2402.17327, section 4; in detail ours).

Labels are computed for the k cluster centres; x0 is fitted on them by least squares weighted with the cluster sizes;
rows are drawn by q = (a_c . x0 - b_c)^2 + L ||a - a_c||^2, as in sensitivity. A weighted least squares fit on the drawn
rows, weight x copies each, estimates the fit on all rows. Rivals: the selector random, and draws by the score leverage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd

from ...udfs.constraints import AtLeast, Between
from ...udfs.errors import InputError
from ...udfs.kernels.least_squares import weighted_least_squares
from ..ranking.top import rows_of
from ..ranking.vectors import collect_vectors
from ._sensitivity_draws import Floats, clusters_of, losses_of, weighted_draw
from .needs import Cluster, Need, Number, Vector
from .selector import Pool, Selector, picks


@dataclass(frozen=True)
class SensitivityRegression(Selector):
    """Draws with replacement; `weight` is 1 / (s p), `copies` add up to the budget; `gain` is null.

    Smaller budgets draw the first of the same draws, but weights and copies differ, so they are no prefix.

    Parameters
    ----------
    cluster : str
        Score of kind kmeans over `vector`, fitted with `centres: points`.
    label : str
        What is regressed: score or score.field (computed at centres only, unless the recipe uses it elsewhere), or
        source column.
    vector : str, default "vector"
        The features: score of kind embedding, or a column of vectors; an intercept of 1 is added to them.
    lipschitz : float, optional
        L; the squared length of x0 by default.
    mixing : float, default 0.1
        Share of uniform draws: where x0 passes through all centres, q is distance alone.

    Examples
    --------
    >>> SensitivityRegression(cluster="cells", label="ratio").needs
    (Cluster(name='cells'), Vector(name='vector'))
    """

    kind: ClassVar[str] = "sensitivity_regression"
    reads = {"cluster": Cluster, "vector": Vector}
    #: Weights and copies follow the number of draws.
    prefix_stable = False

    cluster: str
    label: str
    vector: str = "vector"
    lipschitz: Annotated[float, AtLeast(0)] | None = None
    mixing: Annotated[float, Between(0, 1)] = 0.1

    @property
    def on_demand(self) -> tuple[Need, ...]:
        """The label."""
        return (Number(self.label),)

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the drawn rows in order of their first draw.

        Raises
        ------
        InputError
            If the label of a centre is undefined.
        """
        members, centres = clusters_of(pool.rows, self.cluster, 2)
        if centres.empty:
            return picks(pd.Series(dtype=object))
        labels = losses_of(centres, self.label, pool.values)
        bad = np.flatnonzero(~np.isfinite(labels))
        if bad.size:
            raise InputError(
                f"the label {self.label!r} of id {centres['id'][bad[0]]!r} is {labels[bad[0]]}; a finite number is "
                "needed: leave such rows out with where:"
            )
        features = self._features(pool, centres)
        x = weighted_least_squares(features, labels, centres["rows"])
        centres["loss"] = ((features * x).sum(axis=1) - labels) ** 2
        slope = float(x[:-1] @ x[:-1]) if self.lipschitz is None else self.lipschitz
        pool.note(f"read the labels of {len(centres):,} centres; L = {slope:.3g}")
        return weighted_draw(members, centres, np.full(len(centres), slope), pool.budget, pool.draw_seed, self.mixing)

    def _features(self, pool: Pool, centres: pd.DataFrame) -> Floats:
        """Return the vectors of the centres with a last column of ones, in their order."""
        rows, matrix = collect_vectors(rows_of(pool.rows, centres), self.vector, pool.seed)
        order = pd.Index(rows["id"]).get_indexer(pd.Index(centres["id"]))
        return np.column_stack([matrix[order].astype(float), np.ones(len(order))])
