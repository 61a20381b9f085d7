"""dsir: the log importance weight of a row: how much likelier its words and pairs of words are in a target.

log w(x) = sum over buckets b of c_b(x) (log(p_b + 1e-8) - log(q_b + 1e-8)): c counts the row's uni- and bigrams
(kernels/ngram_buckets.py), p and q are the shares of the buckets in the target and in the documents. Selecting the
largest weights is DSIR's top-k; its resampling draws rows with weight w.

It is a sum, meant for rows of one length (the paper's are chunks of 128 words). With a small target most n-grams of
most rows are unseen and weigh about -10 each: rows of uneven length are then ordered by length, the shortest first.
`per: token` divides by the number of tokens (ours): the order is then by how alike the words are, not by their number.

Source: DSIR, arXiv 2302.03169, section 4; equal to data-selection 1.0.3 to the last digits with these deviations:
texts are read in one spelling (kernels/scripts.py), where the package only lower-cases: other than for ASCII and for
most composed Latin, Greek and Cyrillic text, words differ, and in scripts without blanks every character is one;
a row without tokens is undefined where the package has 0; the package counts a document table only until it has 100 000
n-grams a bucket (here `fit_where:` limits the fit); it drops rows under 100 tokens when it draws (here
`where: "length_tokens >= 100"`); a score has one target. The package's tokens depend on its nltk: ours are those of
nltk 3.10 and later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from ..arrays import Floats, Ints
from ..constraints import Between, Needed
from ..errors import InputError
from ..kernels.ngram_buckets import ngram_buckets
from ..kernels.scripts import UNICODE, check_unicode
from ..scorer import DocumentEstimator, Fold, Kernel, Scorer

#: Added to every share (the package's value), so that a bucket that is empty on both sides has log ratio 0.
_SMOOTHING = 1e-8
_MOST_BUCKETS = 1_000_000


class Counts(Fold[Ints]):
    """Counts n-grams per bucket of a column of texts, (buckets,) int64: integers, so exact in any order."""

    limit_bytes = 8 * _MOST_BUCKETS + 1_000

    def __init__(self, buckets: int) -> None:
        self.buckets, self.unicode = buckets, UNICODE

    def zero(self) -> Ints:
        """Return no counts."""
        return np.zeros(self.buckets, np.int64)

    def add(self, state: Ints, *columns: Any) -> Ints:
        """Add the texts of one column; ScoreError where Python knows another Unicode than the driver's."""
        check_unicode(self.unicode)
        return state + ngram_buckets(self.buckets).counts(columns[0])

    def merge(self, a: Ints, b: Ints) -> Ints:
        """Return the sum."""
        return a + b


@dataclass(frozen=True, eq=False)
class DsirScorer(Scorer):
    """Sum of log ratios over a row's n-grams, or that per token; fitted by Dsir.

    Parameters
    ----------
    of : str, default "text"
    log_ratios : (buckets,) float64
        log(p + 1e-8) - log(q + 1e-8) of each bucket.
    per : {"row", "token"}
    unicode : str
        The driver's version of Unicode; `kernel()` raises ScoreError where another is known.

    Examples
    --------
    >>> DsirScorer(log_ratios=np.full(100, 0.5)).kernel()(["to be or", ""]).tolist()
    [2.5, nan]
    """

    kind = "dsir"
    revision = 2
    fitted: ClassVar[bool] = True
    comment = (
        "log importance weight of the row's words and pairs of words, target against documents, natural logarithm, any "
        "sign, by option per token; larger is closer to the target; null for text without tokens or that is not UTF-8"
    )

    log_ratios: Floats = field(default_factory=lambda: np.empty(0))
    per: Literal["row", "token"] = "row"
    unicode: str = UNICODE

    def kernel(self) -> Kernel:
        """Return texts (r,) -> float64 (r,); NaN without tokens or if not UTF-8."""
        check_unicode(self.unicode)
        ngrams, table, per_token = ngram_buckets(len(self.log_ratios)), self.log_ratios, self.per == "token"
        return lambda texts: ngrams.sums(texts, table, per_token)


@dataclass(frozen=True)
class Dsir(DocumentEstimator):
    """Counts hashed n-grams of the target and of the documents; the fitted scorer sums the log ratios of a row.

    Parameters
    ----------
    of : str, default "text"
        The text of a document that is counted and scored.
    target : str
        Name of one of the recipe's targets: text that the documents should resemble.
    buckets : int, default 10 000
        2 to 1 000 000. n-grams of one bucket count as the same.
    per : {"row", "token"}
        row: the sum over a row, as published, which orders rows of uneven length by length. token: that sum divided by
        the row's number of tokens.

    Raises
    ------
    RecipeError
        If a parameter is not allowed.
    InputError
        From `fit`, if no text of the target, or of the documents, has a token.

    Notes
    -----
    One pass over each table, which returns 8 bytes per bucket. Rows without tokens or not UTF-8 add nothing.

    Examples
    --------
    >>> tables = {"documents": ["to be", "or not"], "test": ["to be"]}
    >>> scorer = Dsir(target="test").fit(lambda fold, table: fold.add(fold.zero(), tables[table]))
    >>> scorer.kernel()(["to be", "or not"]).round(3).tolist()
    [2.079, -49.887]
    """

    kind = "dsir"
    revision = DsirScorer.revision
    comment = DsirScorer.comment
    model_class = DsirScorer

    target: Annotated[str, Needed("the name of a target")] = ""
    buckets: Annotated[int, Between(2, _MOST_BUCKETS)] = 10_000
    per: Literal["row", "token"] = "row"

    @property
    def fits_on(self) -> tuple[str, ...]:
        """The documents and the target's table."""
        return ("documents", self.target)

    def fit(self, fold: Callable[[Fold[Any], str], Any]) -> DsirScorer:
        """Count both tables and take the log ratios of their shares."""
        logs = {}
        for table in self.fits_on:
            counts = fold(Counts(self.buckets), table)
            if not counts.any():
                what, fix = "the documents", "`text:` and `fit_where:`"
                if table == self.target:
                    what, fix = f"target {table!r}", "its `text:` and `where:`"
                raise InputError(f"no text of {what} holds a word, so it has no shares; one must at least; check {fix}")
            logs[table] = np.log(counts / counts.sum() + _SMOOTHING)
        return DsirScorer(self.of, logs[self.target] - logs["documents"], self.per, UNICODE)
