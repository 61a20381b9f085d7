"""zipfit_pairs: ZIP-FIT similarities (arXiv 2410.18194) of a row to some targets, for a race (kernels/racing.py).

A value holds two numbers that need no pair (log C(x), and the mean over all targets of min(C)/max(C), which bounds A)
and A(x, t) = 1 - NCD(x, t) for some of the targets. Not for recipes: it is built from a fitted ZipFitScorer, so
discovery does not list it. Left out: rows cut into parts, which have several values a pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from ..arrays import Floats
from ..errors import RecipeError
from ..kernels import codecs, compression
from ..scorer import Kernel
from .zipfit import Compressor, ZipFitScorer


@dataclass(frozen=True)
class ZipFitPairsScorer(Compressor):
    """Similarities of a row to some targets; built by `of_targets`.

    Parameters
    ----------
    of : str, default "text"
    targets : tuple of m str
        The targets that rows are compressed with, m >= 1.
    codec, level, library
        As in ZipFitScorer; `kernel()` raises ScoreError if another library is loaded.
    sizes : tuple of int
        C(t) in bytes of *all* targets.

    Examples
    --------
    >>> zipfit = ZipFitScorer(targets=("def f(x): return x", "y = 2"), library=codecs.library_version())
    >>> (row,) = ZipFitPairsScorer.of_targets(zipfit, [0, 1]).kernel()(["def g(x): return x"])
    >>> len(row), bool(math.fsum(row[2:]) / 2 == zipfit.kernel()(["def g(x): return x"])[0])
    (4, True)
    """

    kind = "zipfit_pairs"
    value: ClassVar[str] = "array<double>"
    comment = (
        "log of the compressed size in bytes, mean bound 0 to 1, then ZIP-FIT similarity to each of some targets, "
        "about -0.1 to 1; larger is closer; null for text that is not UTF-8"
    )

    sizes: tuple[int, ...] = ()

    @classmethod
    def of_targets(cls, zipfit: ZipFitScorer, subset: Sequence[int]) -> ZipFitPairsScorer:
        """Return the scorer of the pairs with some targets of `zipfit`, in order of `subset` (their positions).

        `math.fsum` of the pairs of all targets, divided by their number, is the value of `zipfit` bit for bit,
        whichever scorers the pairs come from.

        Raises
        ------
        RecipeError
            If `zipfit` cuts long rows into parts.
        """
        if zipfit.chunk_bytes:
            raise RecipeError(
                f"zipfit has chunk_bytes {zipfit.chunk_bytes}, but a pair is of whole rows; allowed: 0; "
                "take chunk_bytes out of the score, or select by the score itself"
            )
        size = codecs.size_function(zipfit.codec, zipfit.level)
        sizes = tuple(size(text.encode()) for text in zipfit.targets)
        targets = tuple(zipfit.targets[i] for i in subset)
        return cls(zipfit.of, targets, zipfit.codec, zipfit.level, zipfit.library, sizes)

    def kernel(self) -> Kernel:
        """Return texts (n,) -> (n, 2 + m) float64: log C(x), mean bound, A(x, t); NaN throughout where undefined.

        O(rows x m) compressions; with zlib and rows of 430 bytes a row costs about 4 pairs more than its m pairs.
        """
        codecs.check_library(self.codec, self.library)
        similarities = compression.similarities(self.codec, self.level, self.targets)
        target_sizes = np.array(self.sizes, float)

        @lru_cache(maxsize=65_536)
        def log_size_and_bound(size: float) -> tuple[float, float]:
            # Cached by size, because rows have few sizes; math.log and fsum give the same bits in any batch.
            bounds = np.minimum(size, target_sizes) / np.maximum(size, target_sizes)
            return math.log(size), math.fsum(bounds.tolist()) / len(target_sizes)

        def score(texts: Sequence[str]) -> Floats:
            sizes_and_pairs = similarities(texts)
            values = np.empty((len(texts), 2 + len(self.targets)))
            values[:, 2:] = sizes_and_pairs[:, 1:]
            for i, size in enumerate(sizes_and_pairs[:, 0].tolist()):
                values[i, :2] = (math.nan, math.nan) if math.isnan(size) else log_size_and_bound(size)
            return values

        return score
