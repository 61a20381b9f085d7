"""target_similarity: the mean cosine of a row's embedding to the few texts of a target that are nearest to it.

Relevance by nearest examples is common practice; this form, the mean over the nearest 3, is ours. It asks whether a row
is like *some* of the target, so that a target of several topics needs no centre. Cosines are exact in float64
(kernels/nearest_cosines.py). Equal texts of a target count once: a table with repeated rows is the same target. Left
out: vectors of targets that come from elsewhere (a target is text).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np

from ..arrays import Ints, Matrix
from ..constraints import AtLeast, Between, Needed
from ..errors import BoundError, InputError, RecipeError
from ..kernels.nearest_cosines import NearestCosines
from ..kernels.scripts import UNICODE, check_unicode
from ..kernels.vectors import check_width, unit_rows
from ..models import encoders
from ..scorer import Declared, Estimator, Fold, Kernel, Scorer
from .embedding import Embedding

#: Bytes and number of the vectors of a target: every task carries them, every worker keeps them.
_BYTES, _TARGETS = 15_000_000, 65_000


class Encoded(NamedTuple):
    """Different vectors of a target as bytes, ascending; how many texts it has, and how many without a vector."""

    vectors: tuple[bytes, ...]
    texts: int
    without: int


class TargetVectors(Fold[Encoded]):
    """The different unit vectors of a column of texts, in the bytes of float32; at most 15 MB and 65 000 of them."""

    limit_bytes = 17_000_000

    def __init__(self, encoder: str, dimensions: int) -> None:
        self.encoder, self.dimensions, self.unicode = encoder, dimensions, UNICODE

    def zero(self) -> Encoded:
        """Return no vectors."""
        return Encoded((), 0, 0)

    def add(self, state: Encoded, *columns: Any) -> Encoded:
        """Encode the texts of one column; ScoreError where Python knows another Unicode than the driver's."""
        if self.encoder == "hashed_ngrams":
            check_unicode(self.unicode)
        rows = unit_rows(encoders.load(self.encoder, self.dimensions)(columns[0])) + np.float32(0)  # one zero
        defined = rows[~np.isnan(rows).any(axis=1)]
        vectors = tuple(sorted({row.tobytes() for row in defined}))
        return self.merge(state, Encoded(vectors, len(rows), len(rows) - len(defined)))

    def merge(self, a: Encoded, b: Encoded) -> Encoded:
        """Return the union; BoundError for more vectors than the bound."""
        vectors = tuple(sorted({*a.vectors, *b.vectors}))
        if len(vectors) > _TARGETS or sum(map(len, vectors)) > _BYTES:
            raise BoundError(
                f"the target has at least {len(vectors):,} different texts, the bound is {_TARGETS:,} and {_BYTES:,} "
                "bytes of vectors, because every worker keeps them all; take fewer with `where:` on the target"
            )
        return Encoded(vectors, a.texts + b.texts, a.without + b.without)


@dataclass(frozen=True, eq=False)
class TargetSimilarityScorer(Scorer):
    """Mean cosine to the nearest vectors of a target; fitted by TargetSimilarity.

    Parameters
    ----------
    of : str, default "vector"
        Name of a score of kind embedding.
    nearest : int
    encoder : str
        By which the target's texts were encoded.
    vectors : (m, d) float32
        Different unit vectors of the target's texts, in order of their bytes.
    counts : (2,) int64
        Texts of the target, and those without a vector.

    Examples
    --------
    >>> scorer = TargetSimilarityScorer(nearest=1, vectors=np.eye(2, dtype=np.float32))
    >>> scorer.kernel()(np.array([[3.0, 4.0], [0.0, 0.0]])).round(3).tolist()
    [0.8, nan]
    """

    kind = "target_similarity"
    fitted: ClassVar[bool] = True
    comment = (
        "mean cosine of the row's vector to the nearest texts of the target, -1 to 1; larger is closer; null without a "
        "vector"
    )
    takes = "vector"

    of: str = "vector"
    nearest: int = 3
    encoder: str = ""
    vectors: Matrix = field(default_factory=lambda: np.empty((0, 0), np.float32))
    counts: Ints = field(default_factory=lambda: np.zeros(2, np.int64))

    @property
    def seconds_per_row(self) -> float:
        """By the numbers of the target, measured with vectors of 256 values."""
        return 0.00001 + 4e-11 * self.vectors.size

    def read(self) -> tuple[int, int]:
        """Return the number of the target's texts, and of those without a vector."""
        return int(self.counts[0]), int(self.counts[1])

    def summary(self) -> dict[str, Any]:
        """Return how many texts the target has, and by what they were encoded."""
        texts, without = self.counts.tolist()
        return {"texts": texts, "without_vector": without, "vectors": len(self.vectors), "encoder": self.encoder}

    def notes(self) -> list[str]:
        """Return what of the target is not compared with, and whether fewer texts are left than should count."""
        texts, without = self.counts.tolist()
        said = []
        if without:
            said.append(f"{without:,} of {texts:,} texts of the target have no vector and are not compared with")
        if len(self.vectors) < self.nearest:
            said.append(
                f"nearest is {self.nearest} and the target has {len(self.vectors):,} different texts: the mean is over "
                "all of them"
            )
        return said

    def kernel(self) -> Kernel:
        """Return vectors (n, d) -> float64 (n,); NaN for a vector of zeros or with NaN. ScoreError for another d."""
        targets, width = NearestCosines(self.vectors, self.nearest), self.vectors.shape[1]

        def kernel(vectors: Any) -> Any:
            rows = np.asarray(vectors)
            check_width(rows, width, "the target's texts", self.of)
            return targets(rows)

        return kernel


@dataclass(frozen=True)
class TargetSimilarity(Estimator):
    """Encodes the texts of a target; the fitted scorer compares every row's vector with them.

    Parameters
    ----------
    of : str, default "vector"
        Name of a score of kind embedding, by `encoder`.
    target : str
        Name of one of the recipe's targets. Not part of the fingerprint: the vectors of its texts are.
    nearest : int, default 3
        Texts of the target that count for a row, 1 to 1000: those with the largest cosines. Equal texts count once.
    encoder : {"wordllama", "minilm", "hashed_ngrams"}
        The encoder of `of`, which encodes the target, too.
    dimensions : int, default 0
        The dimensions of `of`.

    Raises
    ------
    RecipeError
        If a parameter is not allowed, or `of` is made by another encoder.
    InputError
        From `fit`, if no text of the target has a vector.
    BoundError
        From `fit`, for more than 65 000 different texts, or 15 MB of vectors (14 600 of 256 values).

    Examples
    --------
    >>> near = TargetSimilarity(target="wanted", encoder="hashed_ngrams", dimensions=64)
    >>> scorer = near.fit(lambda fold, table: fold.add(fold.zero(), ["the red house", "a house", "the red house"]))
    >>> vectors = encoders.load("hashed_ngrams", 64)(["the red house", "forty-two apples"])
    >>> len(scorer.vectors), bool(np.subtract(*scorer.kernel()(vectors)) > 0.2)
    (2, True)
    """

    kind = "target_similarity"
    comment = TargetSimilarityScorer.comment
    model_class = TargetSimilarityScorer
    takes = "vector"

    of: str = "vector"
    target: Annotated[str, Needed("the name of a target")] = ""
    nearest: Annotated[int, Between(1, 1000)] = 3
    encoder: Literal["wordllama", "minilm", "hashed_ngrams"] = "wordllama"
    dimensions: Annotated[int, AtLeast(0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        encoders.check_dimensions(self.encoder, self.dimensions)

    def check_machine(self) -> None:
        """Raise PlatformError if the encoder's packages or files are missing here."""
        encoders.check_machine(self.encoder)

    def check_read(self, name: str, read: Declared) -> None:
        """Raise RecipeError if the vectors are made by another encoder."""
        width = self.dimensions or encoders.ENCODERS[self.encoder].width
        other = read if isinstance(read, Embedding) else None
        if other and (other.encoder, other.width) != (self.encoder, width):
            raise RecipeError(
                f"target_similarity: {name!r} is made by encoder {other.encoder} with {other.width} dimensions, the "
                f"vectors of the target by {self.encoder} with {width}; only vectors of one encoder can be compared: "
                "set encoder and dimensions to those of the embedding"
            )

    @property
    def fits_on(self) -> tuple[str, ...]:
        """The target's table."""
        return (self.target,)

    def fit(self, fold: Callable[[Fold[Any], str], Any]) -> TargetSimilarityScorer:
        """Encode the target's texts."""
        found: Encoded = fold(TargetVectors(self.encoder, self.dimensions), self.target)
        if not found.vectors:
            raise InputError(
                f"none of {found.texts:,} texts of target {self.target!r} has a vector, so nothing can be like them; "
                "at least one must; check its `text:` and `where:`"
            )
        vectors = np.frombuffer(b"".join(found.vectors), np.float32).reshape(len(found.vectors), -1)
        counts = np.array([found.texts, found.without], np.int64)
        return TargetSimilarityScorer(self.of, self.nearest, self.encoder, vectors, counts)
