"""Orders of a sample's rows by the methods that are compared, and what a byte model learns from the first of them.

The same kernels as in a run, with the parameters that the advice gives; models that learn from documents learn from the
sample. A byte budget takes a prefix of an order, its last row cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....udfs.arrays import Floats, Ints, Matrix
from ....udfs.kernels.facility_location import facility_location
from ....udfs.kernels.near_duplicates import semdedup
from ....udfs.kernels.ngram_model import bits_reader, cut, fit
from ....udfs.scorer import Estimator, Fold
from ....udfs.scores.dsir import Dsir
from ....udfs.scores.target_similarity import TargetSimilarity
from ....udfs.scores.zipfit import ZipFit
from .blocks import CELLS, Block, coverage, dsir, random_rows, target_similarity, zipfit
from .facts import Facts, cells

#: What is compared, by name, with its keys; those after the first two need texts of a target.
BLOCKS: dict[str, Callable[[Facts], Block]] = {
    "random": random_rows,
    "coverage": coverage,
    "zipfit": zipfit,
    "dsir per token": dsir,
    "target_similarity": target_similarity,
}
#: Texts of a target that ZIP-FIT compresses every row with: its time grows with them.
COMPRESSED = 200


@dataclass(frozen=True)
class Rows:
    """Rows that methods order: texts, and unit vectors (n, d) float32, none of them undefined."""

    texts: list[str]
    vectors: Matrix

    def sizes(self) -> Ints:
        """Return the bytes of each text, (n,)."""
        return np.array([len(_bytes(text)) for text in self.texts], np.int64)


def ordered(rows: Rows, method: str, seen: Sequence[str], budget: int, seed: int) -> Ints:
    """Return positions in the order of a method, of `budget` bytes of text at least; fewer where it leaves rows out.

    Parameters
    ----------
    method : str
        One of BLOCKS.
    seen : sequence of str
        Texts of the target; for random and coverage none are needed.
    budget : int
        Bytes.
    seed : int
        Of random draws.
    """
    if method == "random":
        return np.random.default_rng(seed).permutation(len(rows.texts))
    if method == "coverage":
        return _covering(rows, budget)
    values = _values(rows, method, seen)
    return np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")


def _covering(rows: Rows, budget: int) -> Ints:
    clusters = cells(rows.vectors, CELLS)
    kept = np.flatnonzero(semdedup(rows.vectors, clusters, np.arange(len(clusters)), 0.9)[0])
    sizes, count = rows.sizes()[kept], max(1, 2 * budget // max(1, int(rows.sizes().mean())))
    while True:
        order = facility_location(rows.vectors[kept], count).order
        if sizes[order].sum() >= budget or len(order) == len(kept):
            return kept[order]
        count *= 2


def _values(rows: Rows, method: str, seen: Sequence[str]) -> Floats:
    estimators: dict[str, tuple[Estimator, Any, Sequence[str]]] = {
        "zipfit": (ZipFit(target="target"), rows.texts, seen[:COMPRESSED]),
        "dsir per token": (Dsir(target="target", per="token"), rows.texts, seen),
        "target_similarity": (TargetSimilarity(target="target"), rows.vectors, seen),
    }
    estimator, what, learnt = estimators[method]
    columns = {"target": list(learnt), "documents": rows.texts}

    def one_pass(fold: Fold[Any], table: str) -> Any:
        return fold.add(fold.zero(), columns[table])

    values: Floats = np.asarray(estimator.fit(one_pass).kernel()(what), np.float64)
    return values


def reading(held_out: Sequence[str]) -> Callable[[Sequence[str], Ints, int], Floats]:
    """Return what gives the bits of each held-out text, (m,), after some bytes of texts in an order were learnt.

    Called with texts, their order and the bytes; InputError if the texts have fewer.
    """
    read = bits_reader([_bytes(text) for text in held_out])
    return lambda texts, order, budget: read(fit(cut([texts[i] for i in order], budget)))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
