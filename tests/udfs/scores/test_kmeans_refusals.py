"""What KMeans refuses, and the sentence it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lakesift.udfs.errors import BoundError, InputError, RecipeError, ScoreError
from lakesift.udfs.scorer import Fold
from lakesift.udfs.scores import _kmeans_fit
from lakesift.udfs.scores.kmeans import KMeans, KMeansScorer
from tests.udfs.kernels.test_kmeans import blobs
from tests.udfs.scores.test_kmeans import fitted, hashes, table


@pytest.mark.parametrize(
    ("x", "given", "says"),
    [
        (np.ones((9, 2)), {"k": 3}, "k 3 is above the 1 distinct vectors among 9 rows"),
        (blobs(5, 2, 2), {"k": 6}, "k 6 is above the 5 distinct vectors among 5 rows"),
        (blobs(5, 2, 2), {"k": "auto"}, "k 16 is above the 5 distinct"),
        (np.array([[0.0], [-0.0]]), {"k": 2}, "k 2 is above the 1 distinct"),
        (np.full((3, 2), np.nan), {"k": 1}, "no document has a defined vector 'vector'"),
        (np.zeros((3, 2)), {"k": 1, "spherical": True}, "no document has a defined vector"),
        (np.array([[1.0], [np.inf]]), {"k": 1}, "a vector holds inf"),
        (np.array([[1.0], [1e39]]), {"k": 1}, "a vector holds 1e"),
    ],
)
def test_a_table_that_cannot_be_clustered_is_refused(x: np.ndarray, given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        fitted(x, **given)


@pytest.mark.parametrize("k", [1, 3])
def test_two_lengths_are_refused(k: int) -> None:
    def fold(f: Fold[Any], _: str) -> Any:
        states = [f.add(f.zero(), *(blobs(5, d, 2) if c == "vector" else hashes(5) for c in f.reads)) for d in (3, 2)]
        return f.merge(*states)

    with pytest.raises(InputError, match="vectors of 2 and of 3 values"):
        KMeans(k=k).fit(fold)


def test_a_table_that_changes_meanwhile_is_refused() -> None:
    x = blobs(100, 3, 4)

    def fold(f: Fold[Any], name: str) -> Any:
        return table(x[:90] if isinstance(f, _kmeans_fit.Pass) else x)(f, name)

    with pytest.raises(InputError, match="met 90 vectors where an earlier one met 100"):
        KMeans(k=4).fit(fold)


def test_bounds_are_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    x = blobs(1000, 4, 6)
    monkeypatch.setattr(_kmeans_fit, "SAMPLE_BYTES", 19_199)
    with pytest.raises(BoundError, match="1200 rows of 4 values takes 19200 bytes, the bound is 19199"):
        fitted(x, k=6)
    monkeypatch.undo()
    monkeypatch.setattr(_kmeans_fit, "SUMS_BYTES", 184)
    with pytest.raises(BoundError, match="6 centroids of 4 values are 24 numbers, the bound is 23"):
        fitted(x, k=6)


@pytest.mark.parametrize(
    "given",
    [
        *({"k": k} for k in (0, -1, 2.0, True, "all")),
        *({"fit_rows": rows} for rows in (0, "auto", 1.5)),
        *({"grid": grid} for grid in ((), (1, 2), (2.5,))),
        *({"tol": tol} for tol in (-1.0, float("nan"), float("inf"))),
        {"iterations": 0},
        {"passes": 0},
        {"centres": "medians"},
    ],
)
def test_parameters_that_are_not_allowed_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=f"kmeans: {next(iter(given))} is .* is needed|allowed: means, points"):
        KMeans(**given)


def test_a_vector_of_another_length_is_an_error() -> None:
    with pytest.raises(ScoreError, match="a vector of 3 values met centroids of 2"):
        KMeansScorer(centroids=np.zeros((1, 2), np.float32)).kernel()(np.zeros((4, 3)))
