"""sensitivity_regression: rows to label for a linear regression (arXiv 2402.17327, section 4; in detail ours).

The labels of the k cluster centres are paid for; x0 is fitted on them by least squares weighted with the cluster sizes;
then draws by q = (a_c . x0 - b_c)^2 + L ||a - a_c||^2, as in sensitivity. A weighted least squares fit on the drawn
rows, weight x copies each, estimates the fit on all rows. Rivals: the selector random, and draws by the score leverage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from ...udfs.errors import InputError, RecipeError
from ...udfs.kernels.least_squares import weighted_least_squares
from ..ranking.vectors import gather
from .selector import Ask, Selector
from .sensitivity import centres_of, drawn, members_of, paid

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class SensitivityRegression(Selector):
    """Draws with replacement; `weight` is 1 / (s p), `copies` add up to the budget; `gain` is null.

    Smaller budgets draw the first of the same draws, but weights and copies differ, so they are no prefix.

    Parameters
    ----------
    cluster : str
        Label of a k-means score over `vector`, fitted with `centres: points`.
    label : str
        What is regressed: label of a score (asked for at centres only), label.field, or source column.
    vector : str, default "vector"
        The features; an intercept of 1 is added to them.
    lipschitz : float, optional
        L; the squared length of x0 by default.
    mixing : float, default 0.1
        Share of uniform draws: where x0 passes through all centres, q is distance alone.

    Raises
    ------
    RecipeError
        If a parameter is not allowed.

    Examples
    --------
    >>> SensitivityRegression(cluster="cells", label="ratio").needs
    ('cells', 'vector')
    """

    kind: ClassVar[str] = "sensitivity_regression"

    cluster: str
    label: str
    vector: str = "vector"
    lipschitz: float | None = None
    mixing: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.mixing <= 1:
            raise RecipeError(f"sensitivity_regression: mixing is {self.mixing!r}; a number from 0 to 1 is needed")
        if self.lipschitz is not None and not 0 <= self.lipschitz < np.inf:
            raise RecipeError(f"sensitivity_regression: lipschitz is {self.lipschitz!r}; a number from 0 is needed")

    @property
    def needs(self) -> tuple[str, ...]:
        """The clusters and the vectors."""
        return (self.cluster, self.vector)

    @property
    def nested(self) -> bool:
        """Weights and copies follow the number of draws."""
        return False

    @property
    def asks(self) -> tuple[str, ...]:
        """The label."""
        return (self.label,)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,  # noqa: ARG002
        ask: Ask | None = None,
    ) -> pd.DataFrame:
        """Return the drawn rows in order of their first draw.

        Raises
        ------
        InputError
            If the cluster label has no distances, or a label that is paid for is undefined.
        """
        assert ask is not None
        members = members_of(rows, self.cluster, 2)
        centres = centres_of(members)
        labels = paid(centres, self.label, ask)
        bad = np.flatnonzero(~np.isfinite(labels))
        if bad.size:
            raise InputError(
                f"the label {self.label!r} of id {centres['id'][bad[0]]!r} is {labels[bad[0]]}; a finite number is "
                "needed: leave such rows out with where:"
            )
        taken = rows.sparkSession.createDataFrame(centres[["id"]], "id string")
        known, matrix = gather(rows.join(F.broadcast(taken), "id", "left_semi"), self.vector, seed)
        features = np.column_stack([matrix.astype(float), np.ones(len(matrix))])
        features = features[pd.Index(known["id"]).get_indexer(pd.Index(centres["id"]))]
        x = weighted_least_squares(features, labels, centres["rows"])
        centres["loss"] = ((features * x).sum(axis=1) - labels) ** 2
        slope = float(x[:-1] @ x[:-1]) if self.lipschitz is None else self.lipschitz
        ask.note(f"paid for {len(centres):,} labels; L = {slope:.3g}")
        return drawn(members, centres, np.full(len(centres), slope), budget, seed, self.mixing)
