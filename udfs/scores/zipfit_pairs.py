"""zipfit_pairs: single pairs of ZIP-FIT (arXiv 2410.18194), what a race (kernels/racing.py) asks for.

Of a row it gives what needs no pair (log C(x), and the mean over all targets of min(C)/max(C), which bounds A) and
A(x, t) = 1 - NCD(x, t) for some of the targets. Not for recipes: made from a fitted ZipFitScorer, so discovery does not
list it. Left out: rows cut into parts, of which a pair has several values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import RecipeError
from ..kernels import codecs, compression
from ..scorer import Kernel, Scorer
from .zipfit import ZipFitScorer


@dataclass(frozen=True)
class ZipFitPairsScorer(Scorer):
    """Similarities of a row to some targets; made by `of_targets`.

    Parameters
    ----------
    of : str, default "text"
    targets : tuple of m str
        Those that rows are compressed with, m >= 1.
    sizes : tuple of int
        C(t) in bytes of *all* targets.
    codec, level, library
        As in ZipFitScorer; `kernel()` raises ScoreError where another library is loaded.

    Examples
    --------
    >>> whole = ZipFitScorer(targets=("def f(x): return x", "y = 2"), library=codecs.library_version())
    >>> (row,) = ZipFitPairsScorer.of_targets(whole, [0, 1]).kernel()(["def g(x): return x"])
    >>> len(row), bool(math.fsum(row[2:]) / 2 == whole.kernel()(["def g(x): return x"])[0])
    (4, True)
    """

    kind = "zipfit_pairs"
    fitted: ClassVar[bool] = True
    value: ClassVar[str] = "array<double>"
    comment = (
        "log of the compressed size in bytes, mean bound 0 to 1, then ZIP-FIT similarity to each of some targets, "
        "about -0.1 to 1; larger is closer; null for text that is not UTF-8"
    )

    targets: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    codec: str = "gzip"
    level: int = 1
    library: str = ""

    @classmethod
    def of_targets(cls, whole: ZipFitScorer, subset: Sequence[int]) -> ZipFitPairsScorer:
        """Return the scorer of the pairs with some targets of `whole`, in order of `subset` (positions there).

        `math.fsum` of the pairs of all targets, by their number, is the value of `whole` bit for bit, whichever scorers
        the pairs come from.

        Raises
        ------
        RecipeError
            If `whole` cuts long rows into parts.
        """
        if whole.chunk_bytes:
            raise RecipeError(
                f"zipfit has chunk_bytes {whole.chunk_bytes}, but a pair is of whole rows; allowed: 0; "
                "take chunk_bytes out of the score, or select by the score itself"
            )
        size = codecs.size_function(whole.codec, whole.level)
        sizes = tuple(size(text.encode()) for text in whole.targets)
        targets = tuple(whole.targets[i] for i in subset)
        return cls(whole.of, targets, sizes, whole.codec, whole.level, whole.library)

    def kernel(self) -> Kernel:
        """Return texts (n,) -> (n, 2 + m) float64: log C(x), mean bound, A(x, t); NaN throughout where undefined.

        O(rows x m) compressions: with zlib and rows of 430 bytes, a row costs about as much as 4 pairs and its pairs.
        """
        codecs.check_library(self.codec, self.library)
        similar, alone = compression.similarities(self.codec, self.level, self.targets), np.array(self.sizes, float)

        @lru_cache(maxsize=65_536)
        def free(size: float) -> tuple[float, float]:
            # By size and not by row: there are few sizes; math and fsum give the same bits in any batch.
            bounds = np.minimum(size, alone) / np.maximum(size, alone)
            return math.log(size), math.fsum(bounds.tolist()) / len(alone)

        def score(texts: Sequence[str]) -> NDArray[np.float64]:
            found = similar(texts)
            values = np.empty((len(texts), 2 + len(self.targets)))
            values[:, 2:] = found[:, 1:]
            for i, size in enumerate(found[:, 0].tolist()):
                values[i, :2] = (math.nan, math.nan) if math.isnan(size) else free(size)
            return values

        return score
