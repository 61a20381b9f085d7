"""ngram_overlap: the share of a row's 13-word n-grams that a target holds, for decontamination by `where:`.

The authors of GPT-3 compared benchmarks with training text by 13-word n-grams (arXiv 2005.14165, appendix C); a share
instead of yes or no, the definition of a word and the 0 of short rows are ours. Left out: their exception for n-grams
that are common elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np

from ..arrays import Hashes
from ..constraints import Between, Needed
from ..errors import BoundError, InputError
from ..kernels import word_ngrams
from ..scorer import Estimator, Fold, Kernel, Scorer


class Ngrams(Fold[Hashes]):
    """The distinct n-gram keys of a column of texts, ascending (m,) uint64; at most 2 000 000 of them."""

    limit_bytes = 16_100_000

    def __init__(self, n: int) -> None:
        self.n = n

    def zero(self) -> Hashes:
        """Return no keys."""
        return np.empty(0, np.uint64)

    def add(self, state: Hashes, *columns: Any) -> Hashes:
        """Add the texts of one column."""
        return self.merge(state, word_ngrams.keys(columns[0], self.n))

    def merge(self, a: Hashes, b: Hashes) -> Hashes:
        """Return the union; BoundError for more than 2 000 000 keys."""
        union = np.union1d(a, b)
        if union.nbytes > 16_000_000:
            raise BoundError(
                f"the target holds at least {len(union)} different n-grams, the bound is 2000000, because every worker "
                "keeps them all; take fewer rows with `where:` on the target"
            )
        return union


@dataclass(frozen=True, eq=False)
class NgramOverlapScorer(Scorer):
    """Share of a row's n-grams that are among the target's; fitted by NgramOverlap.

    Parameters
    ----------
    of : str, default "text"
    n : int
    known : (m,) uint64, ascending
        Keys of the target's n-grams (kernels/word_ngrams.py).

    Examples
    --------
    >>> scorer = NgramOverlapScorer(n=2, known=word_ngrams.keys(["to be or not to be"], 2))
    >>> scorer.kernel()(["to be sure", "be to"]).tolist()
    [0.5, 0.0]
    """

    kind = "ngram_overlap"
    fitted: ClassVar[bool] = True
    comment = (
        "share of the row's word n-grams that the target holds, 0 to 1; larger is more contaminated; "
        "0 for fewer words than n, null for text that is not UTF-8"
    )

    n: int = 13
    known: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))

    def kernel(self) -> Kernel:
        """Return texts (r,) -> float64 (r,)."""
        return word_ngrams.overlap(self.known, self.n)


@dataclass(frozen=True)
class NgramOverlap(Estimator):
    """Collects the n-grams of a target; the fitted scorer looks up a row's n-grams among them.

    Parameters
    ----------
    of : str, default "text"
    target : str
        Name of one of the recipe's targets: the text that must not be trained on. Only rows that pass the target's
        `where:` count; leave that out for all rows.
    n : int, default 13
        Words of an n-gram, 1 to 100. Words are runs of word characters, lower-cased; everything else separates them.

    Raises
    ------
    RecipeError
        If a parameter is not allowed.
    InputError
        From `fit`, if no text of the target has n words.
    BoundError
        From `fit`, if the target holds more than 2 000 000 different n-grams.

    Examples
    --------
    >>> estimator = NgramOverlap(target="test", n=2)
    >>> len(estimator.fit(lambda fold, table: fold.add(fold.zero(), ["to be or not to be"])).known)
    4
    """

    kind = "ngram_overlap"
    comment = NgramOverlapScorer.comment
    model_class = NgramOverlapScorer

    target: Annotated[str, Needed("the name of a target")] = ""
    n: Annotated[int, Between(1, 100)] = 13

    @property
    def fits_on(self) -> tuple[str, ...]:
        """The target's table."""
        return (self.target,)

    def fit(self, fold: Callable[[Fold[Any], str], Any]) -> NgramOverlapScorer:
        """Collect the target's n-grams."""
        known = fold(Ngrams(self.n), self.target)
        if not len(known):
            raise InputError(
                f"no text of target {self.target!r} has {self.n} words, so nothing could be found in it; "
                "at least one must; check its `text:` and `where:`, or lower n"
            )
        return NgramOverlapScorer(self.of, self.n, known)
