"""tags: labels for pools that have none: the names of a vocabulary that are nearest to a row's embedding.

The vocabulary is a table of names, or the pool's own terms. A zero-shot stand-in for the tagger of MIG
(arXiv 2504.13835); ours. Value, model and graph are those of `labels`, so that everything after it is the same.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np

from ..arrays import Matrix, Ragged
from ..constraints import AtLeast, Between
from ..errors import InputError, RecipeError
from ..kernels import scripts
from ..kernels.label_graph import NearestNames
from ..kernels.tokens import utf8
from ..kernels.vectors import check_width, unit_rows
from ..models import encoders
from ..scorer import Declared, Fold, Kernel, settings
from ._label_model import GraphEstimator, LabelModel
from ._label_names import NameCounts
from .embedding import Embedding

#: (hash of the id, UTF-8 text), ascending.
Texts = list[tuple[int, bytes]]
#: What a word must hold to be a term.
_LETTER = re.compile(r"[^\W\d_]")
#: Bytes of the texts whose terms are counted, and characters that are read of each.
_SAMPLE_BYTES, _CHARACTERS = 24_000_000, 4_000


class SmallestHashes(Fold[Texts]):
    """The texts with the smallest hashes of their ids, as many as first reach 24 MB."""

    limit_bytes = 64_000_000
    reads = ("h", "text")

    def zero(self) -> Texts:
        """Return no texts."""
        return []

    def add(self, state: Texts, *columns: Any) -> Texts:
        """Add a batch of rows."""
        h, texts = columns
        read = ((int(i), utf8(text[:_CHARACTERS])) for i, text in zip(h, texts, strict=True))
        return self.merge(state, [(i, text) for i, text in read if text is not None])

    def merge(self, a: Texts, b: Texts) -> Texts:
        """Return the texts with the smallest hashes of both."""
        kept, size = [], 0
        for item in sorted(set(a + b)):
            if size >= _SAMPLE_BYTES:
                break
            kept.append(item)
            size += len(item[1])
        return kept


def terms(texts: Sequence[str], least: int, most_share: float, count: int) -> dict[str, int]:
    """Return the `count` most frequent words and pairs of words, and in how many texts each stands.

    Parameters
    ----------
    texts : n texts
    least : int
        Texts that a term must stand in.
    most_share : float
        Largest share of the texts, 0 to 1.

    Examples
    --------
    >>> terms(["A red car", "a red bus", "a bus", "a 4 x 4"], 2, 0.5, 10)
    {'a red': 2, 'bus': 2, 'red': 2}
    """
    rows: Counter[str] = Counter()
    for text in texts:
        words = [word for word in scripts.words(scripts.spelling(text)) if _LETTER.search(word)]
        rows.update({*words, *map(" ".join, itertools.pairwise(words))})
    kept = {t: n for t, n in rows.items() if n >= least and n <= most_share * len(texts) and len(t) > 1}
    best = sorted(kept, key=lambda t: (-kept[t], t))[:count]
    return {t: kept[t] for t in best}


@dataclass(frozen=True, eq=False)
class TagsScorer(LabelModel):
    """The nearest labels of a vector; fitted by Tags.

    Parameters
    ----------
    of : str
        Name of a score of kind embedding.
    most : int
    floor : float
    vectors : (K, d) float32
        Unit vectors of the labels' names.
    """

    kind = "tags"
    revision = 2
    seconds_per_row = 0.0001
    fitted: ClassVar[bool] = True
    value = "array<int>"
    comment = (
        "labels nearest to the row's vector, ascending, without repeats; no direction; empty if none is near, null "
        "without a vector"
    )
    takes = "vector"

    of: str = "vector"
    most: int = 5
    floor: float = 0.3
    vectors: Matrix = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def kernel(self) -> Kernel:
        """Return vectors (n, d) -> Ragged of int32 labels, ascending, with NaN rows empty; ScoreError for another d."""
        names, width = NearestNames(self.vectors), self.vectors.shape[1]

        def kernel(vectors: Any) -> Ragged:
            x = unit_rows(vectors)
            check_width(x, width, "names", self.of)
            return names.of(x, self.most, self.floor)

        return kernel


@dataclass(frozen=True)
class Tags(GraphEstimator):
    """Counts terms, or reads a vocabulary; merges near-synonyms, connects similar names.

    Parameters
    ----------
    of : str, default "vector"
        Name of a score of kind embedding, by `encoder`.
    vocabulary : str
        A target with one name a row; "" for the pool's own terms: words and pairs of words.
    most : int, default 5
        Labels of a row, at most.
    floor : float, default 0.3
        Cosine that a name must have to the row's vector.
    terms : int, default 1000
        Terms that make the vocabulary, the most frequent ones.
    least : int, default 20
        Rows that a term must stand in; they are counted in at most 24 MB of text, drawn by hash. A vocabulary's names
        count once.
    most_rows : float, default 0.2
        Largest share of the rows that a term may stand in.
    merge, neighbours, threshold
        As in `labels`.
    encoder : {"wordllama", "minilm", "hashed_ngrams"}
        The encoder of `of`, which embeds the names, too.
    dimensions : int, default 0
        The dimensions of `of`.

    Raises
    ------
    RecipeError
        If a parameter is not allowed, or `of` is made by another encoder.
    InputError
        From `fit`, if there is no name.
    BoundError
        From `fit`, for more than 50 000 names or a million edges.

    Examples
    --------
    >>> tables = {"documents": [], "names": ["to be", "not to be"]}
    >>> tags = Tags(vocabulary="names", encoder="hashed_ngrams", dimensions=64, merge=0)
    >>> scorer = tags.fit(lambda fold, table: fold.add(fold.zero(), tables[table]))
    >>> vectors = encoders.load("hashed_ngrams", 64)(["to be"])
    >>> scorer.names, scorer.kernel()(vectors)[0].tolist()
    (('not to be', 'to be'), [0, 1])
    """

    kind = "tags"
    revision = TagsScorer.revision
    value = TagsScorer.value
    comment = TagsScorer.comment
    model_class = TagsScorer
    takes = "vector"

    of: str = "vector"
    vocabulary: str = ""
    most: Annotated[int, Between(1, 100)] = 5
    floor: Annotated[float, Between(0, 1)] = 0.3
    terms: Annotated[int, Between(2, 50_000)] = 1000
    least: Annotated[int, AtLeast(1)] = 20
    most_rows: Annotated[float, Between(0, 1)] = 0.2
    dimensions: Annotated[int, AtLeast(0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        encoders.check_dimensions(self.encoder, self.dimensions)

    @property
    def fits_on(self) -> tuple[str, ...]:
        """The vocabulary, or the documents."""
        return ("documents", self.vocabulary) if self.vocabulary else ("documents",)

    def check_read(self, name: str, read: Declared) -> None:
        """Raise RecipeError if the vectors are made by another encoder."""
        other = read if isinstance(read, Embedding) else None
        if other and (other.encoder, other.width) != (self.encoder, self._width):
            raise RecipeError(
                f"tags: {name!r} is made by encoder {other.encoder} with {other.width} dimensions, the names by "
                f"{self.encoder} with {self._width}; only vectors of one encoder can be compared: set encoder and "
                "dimensions to those of the embedding"
            )

    @property
    def _width(self) -> int:
        return self.dimensions or encoders.ENCODERS[self.encoder].width

    def fit(self, fold: Callable[[Fold[Any], str], Any]) -> TagsScorer:
        """Count or read, merge, connect."""
        counts, least = self._counts(fold)
        what = f"tags: vocabulary {self.vocabulary!r} has" if self.vocabulary else "tags: the documents have"
        found, vectors = self.graph(counts, least, what, self.dimensions)
        return TagsScorer(self.of, settings=settings(self), most=self.most, floor=self.floor, vectors=vectors, **found)

    def _counts(self, fold: Callable[[Fold[Any], str], Any]) -> tuple[dict[str, int], int]:
        """Return names with their numbers of rows, and the least that counts."""
        if not self.vocabulary:
            texts = [text.decode() for _, text in fold(SmallestHashes(), "documents")]
            return terms(texts, self.least, self.most_rows, self.terms), self.least
        counts = fold(NameCounts("\n", False), self.vocabulary)[0]
        if not counts:
            raise InputError(f"tags: target {self.vocabulary!r} has no name; one a row is needed; check its text")
        return dict.fromkeys(counts, 1), 1
