"""ngram_overlap: the share of a row's 13-word n-grams that a target holds, for decontamination by `where:`.

The authors of GPT-3 compared benchmarks with training text by 13-word n-grams (arXiv 2005.14165, appendix C); a share
instead of yes or no, the spelling in which texts are compared and texts of fewer words are ours
(kernels/word_ngrams.py). Left out: their exception for n-grams that are common elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np

from ..arrays import Hashes, Ints
from ..constraints import Between, Needed
from ..errors import BoundError, InputError
from ..kernels import word_ngrams
from ..kernels.scripts import UNICODE, check_unicode
from ..kernels.word_ngrams import Keys
from ..scorer import Estimator, Fold, Kernel, Scorer


class Ngrams(Fold[Keys]):
    """The distinct keys of a column of texts, at most 2 000 000 of them."""

    limit_bytes = 16_100_000

    def __init__(self, n: int) -> None:
        self.n, self.unicode = n, UNICODE

    def zero(self) -> Keys:
        """Return no keys."""
        return Keys(np.empty(0, np.uint64), {})

    def add(self, state: Keys, *columns: Any) -> Keys:
        """Add the texts of one column; ScoreError where Python knows another Unicode than the driver's."""
        check_unicode(self.unicode)
        return self.merge(state, word_ngrams.keys(columns[0], self.n))

    def merge(self, a: Keys, b: Keys) -> Keys:
        """Return the union; BoundError for more than 2 000 000 keys."""
        union = word_ngrams.merged(a, b)
        count = len(union.ngrams) + sum(map(len, union.short.values()))
        if count > 2_000_000:
            raise BoundError(
                f"the target holds at least {count} different n-grams, the bound is 2000000, because every worker "
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
    short, short_words : (s,) uint64, int64
        Keys of texts of fewer than n words, and how many each has.
    counts : (3,) int64
        Texts of the target; those of fewer than n words; those without a key.
    unicode : str
        The driver's version of Unicode; `kernel()` raises ScoreError where another is known.

    Examples
    --------
    >>> scorer = NgramOverlapScorer(n=2, known=word_ngrams.keys(["to be or not to be"], 2).ngrams)
    >>> scorer.kernel()(["to be sure", "be to"]).tolist()
    [0.5, 0.0]
    """

    kind = "ngram_overlap"
    revision = 2
    fitted: ClassVar[bool] = True
    comment = (
        "share of the row's word n-grams that the target holds, 0 to 1; larger is more contaminated; "
        "0 for fewer words than n unless the target holds them as a text, null for text that is not UTF-8"
    )

    n: int = 13
    known: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    short: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    short_words: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    counts: Ints = field(default_factory=lambda: np.zeros(3, np.int64))
    unicode: str = UNICODE

    def read(self) -> tuple[int, int]:
        """Return the number of the target's texts, and of those without a key."""
        return int(self.counts[0]), int(self.counts[2])

    def summary(self) -> dict[str, Any]:
        """Return how many texts the target has, and how they are found."""
        texts, whole, without = self.counts.tolist()
        return {"texts": texts, "found_whole": whole, "without_key": without, "ngrams": len(self.known)}

    def notes(self) -> list[str]:
        """Return how many texts of the target are not found by n-grams."""
        texts, whole, without = self.counts.tolist()
        said = []
        if whole:
            said.append(
                f"{whole:,} of {texts:,} texts of the target have fewer than {self.n} words: they are found by their "
                f"whole text, those of fewer than {word_ngrams.CONTAINED} words only in rows of just these words"
            )
        if without:
            said.append(f"{without:,} of {texts:,} texts of the target hold no word and cannot be found")
        return said

    def kernel(self) -> Kernel:
        """Return texts (r,) -> float64 (r,)."""
        check_unicode(self.unicode)
        short = {int(m): np.sort(self.short[self.short_words == m]) for m in np.unique(self.short_words)}
        return word_ngrams.overlap(Keys(self.known, short), self.n)


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
        Words of an n-gram, 1 to 100. Words are runs of word characters, single characters in scripts without blanks;
        case, accents, compatibility forms and invisible characters make no difference. A text of the target with fewer
        words is found by all of them.

    Raises
    ------
    RecipeError
        If a parameter is not allowed.
    InputError
        From `fit`, if no text of the target holds a word.
    BoundError
        From `fit`, if the target holds more than 2 000 000 different n-grams.

    Examples
    --------
    >>> estimator = NgramOverlap(target="test", n=2)
    >>> len(estimator.fit(lambda fold, table: fold.add(fold.zero(), ["to be or not to be"])).known)
    4
    """

    kind = "ngram_overlap"
    revision = NgramOverlapScorer.revision
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
        keys = fold(Ngrams(self.n), self.target)
        if not len(keys.ngrams) and not keys.short:
            raise InputError(
                f"no text of target {self.target!r} holds a word, so nothing could be found in it; at least one must; "
                "check its `text:` and `where:`"
            )
        short = np.concatenate([np.empty(0, np.uint64), *keys.short.values()])
        short_words = np.repeat(np.array(list(keys.short), np.int64), [len(k) for k in keys.short.values()])
        counts = np.array([keys.texts, keys.whole, keys.without], np.int64)
        return NgramOverlapScorer(self.of, self.n, keys.ngrams, short, short_words, counts, UNICODE)
