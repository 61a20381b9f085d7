"""ngram_entropy: entropy and surprise of a text under byte n-gram models fitted on the documents; no model file.

The cheap form of generative_entropy: interpolated Kneser-Ney over 5 bytes (kernels/ngram_model.py), as tables. Ours.
Cross-fitted in place of leaving one out: texts fall into two halves by their own hash, there is one model a half, and a
text is scored by the model that never saw it nor a copy of it; else duplicates would look fluent. Texts are read
composed (kernels/scripts.py): NFC and NFD of a text are copies, and have one entropy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..arrays import Hashes, Ints, Matrix
from ..constraints import AtLeast
from ..errors import BoundError, InputError
from ..kernels import ngram_model
from ..kernels.ngram_table import NgramScorer, NgramTable, tabulate
from ..kernels.scripts import UNICODE, check_unicode, composed
from ..kernels.tokens import CHARACTERS, utf8
from ..scorer import DocumentEstimator, Fold, Kernel, Scorer, parameters

ORDER, FEWEST = 5, 8
#: Largest tables of both halves; they travel with every task.
STATE_BYTES = 16_000_000
#: By half: (key, bytes) of the texts with the smallest keys, ascending.
Texts = tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]


def key_of(text: bytes) -> int:
    """Return 64 bits of a text's hash; the lowest is its half."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def read_of(text: str, whole: bytes) -> bytes:
    """Return the bytes of a text that are read, both when fitting and when scoring."""
    return whole if len(text) <= CHARACTERS else text[:CHARACTERS].encode()


class Distinct(Fold[Texts]):
    """The distinct texts with the smallest hashes: in each half as many as first reach `half_bytes`."""

    def __init__(self, half_bytes: int) -> None:
        self.half_bytes, self.unicode = half_bytes, UNICODE
        self.limit_bytes = 4 * half_bytes + 4_000_000  # type: ignore[misc]

    def zero(self) -> Texts:
        """Return no texts."""
        return [], []

    def add(self, state: Texts, *columns: Any) -> Texts:
        """Add a batch of texts; what is not UTF-8 is left out."""
        check_unicode(self.unicode)
        halves: Texts = [], []
        for text in map(composed, columns[0]):
            if (whole := utf8(text)) is not None:
                key = key_of(whole)
                halves[key & 1].append((key, read_of(text, whole)))
        return self.merge(state, halves)

    def merge(self, a: Texts, b: Texts) -> Texts:
        """Return the texts with the smallest hashes of both."""
        return self._least(a[0] + b[0]), self._least(a[1] + b[1])

    def _least(self, texts: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        kept, size = [], 0
        for item in sorted(set(texts)):
            if size >= self.half_bytes:
                break
            kept.append(item)
            size += len(item[1])
        return kept


@dataclass(frozen=True, eq=False)
class NgramEntropyScorer(Scorer):
    """Entropy and surprise by the model of the other half; fitted by NgramEntropy.

    Parameters
    ----------
    of : str, default "text"
    fit_bytes : int
        Of the fit.
    split : (2,) int64
        How many n-grams and histories the model of the texts with an even hash has; those of the other follow.
    grams, probability, history, histories, rest, entropy : arrays
        The tables of both models (NgramTable), one after the other.
    unicode : str
        The driver's version of Unicode; `kernel()` raises ScoreError where another is known.
    """

    kind = "ngram_entropy"
    revision = 2
    seconds_per_row = 0.0001
    fitted: ClassVar[bool] = True
    value = "struct<ngram_entropy_bits:double,nll_bits:double,bytes_scored:int,truncated:boolean>"
    comment = (
        "mean entropy of the next byte under 5-gram models of the pool, and mean surprise, bits per byte, 0 to 8 and "
        "above 0, larger is less predictable; null under 8 bytes; bytes scored; whether the text has more"
    )

    fit_bytes: int = 0
    split: Ints = field(default_factory=lambda: np.zeros(2, np.int64))
    grams: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    probability: Matrix = field(default_factory=lambda: np.empty(0, np.float32))
    history: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    histories: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    rest: Matrix = field(default_factory=lambda: np.empty(0, np.float32))
    entropy: Matrix = field(default_factory=lambda: np.empty(0, np.float32))
    unicode: str = UNICODE

    @classmethod
    def of_tables(cls, of: str, fit_bytes: int, tables: Sequence[NgramTable]) -> NgramEntropyScorer:
        """Return the scorer with the tables of the even and of the odd half."""
        split = np.array([len(tables[0].grams), len(tables[0].histories)], np.int64)
        columns: list[Any] = [np.concatenate([getattr(t, f.name) for t in tables]) for f in fields(NgramTable)[1:]]
        return cls(of, fit_bytes, split, *columns)

    def tables(self) -> tuple[NgramTable, NgramTable]:
        """Return the tables of the even and of the odd half."""
        g, h = self.split.tolist()
        known, before = (self.grams, self.probability, self.history), (self.histories, self.rest, self.entropy)
        even = NgramTable(ORDER, known[0][:g], known[1][:g], known[2][:g], before[0][:h], before[1][:h], before[2][:h])
        odd = NgramTable(ORDER, known[0][g:], known[1][g:], known[2][g:], before[0][h:], before[1][h:], before[2][h:])
        return even, odd

    def summary(self) -> dict[str, Any]:
        """Return how many n-grams each half knows."""
        even, odd = self.tables()
        return {"ngrams": {"even": len(even.grams), "odd": len(odd.grams)}}

    def kernel(self) -> Kernel:
        """Return texts (n,) -> the four fields, float64 (n,) each."""
        check_unicode(self.unicode)
        halves = [NgramScorer(table) for table in self.tables()]

        def kernel(texts: Sequence[str]) -> dict[str, Any]:
            found = np.full((4, len(texts)), np.nan)
            rows: tuple[list[int], list[int]] = ([], [])
            read: tuple[list[bytes], list[bytes]] = ([], [])
            for i, text in enumerate(map(composed, texts)):
                if (whole := utf8(text)) is None:
                    continue
                part = read_of(text, whole)
                found[2:, i] = len(part), len(part) < len(whole)
                if len(part) >= FEWEST:
                    half = key_of(whole) & 1
                    rows[half].append(i)
                    read[half].append(part)
            for half in (0, 1):
                found[:2, rows[half]] = halves[1 - half].bits(read[half])
            names = ("ngram_entropy_bits", "nll_bits", "bytes_scored", "truncated")
            return dict(zip(names, found, strict=True))

        return kernel


@dataclass(frozen=True)
class NgramEntropy(DocumentEstimator):
    """Fits the two models on a sample of the distinct documents.

    Parameters
    ----------
    of : str, default "text"
    fit_bytes : int, default 1 500 000
        Bytes of the sample, half of them for each model: distinct texts with the smallest hashes.

    Raises
    ------
    RecipeError
        If a parameter is not allowed.
    InputError
        From `fit`, if fewer than two distinct texts fall into different halves.
    BoundError
        From `fit`, if the tables take more than 16 MB.

    Examples
    --------
    >>> pool = [f"the cat sat on the mat {i}" for i in range(40)]
    >>> scorer = NgramEntropy().fit(lambda fold, table: fold.add(fold.zero(), pool))
    >>> fluent, noise = scorer.kernel()(["the cat sat on the mat", "mqz kfw vxj bpt cgd"])["nll_bits"]
    >>> bool(fluent < noise)
    True
    """

    kind = "ngram_entropy"
    revision = NgramEntropyScorer.revision
    value = NgramEntropyScorer.value
    comment = NgramEntropyScorer.comment
    model_class = NgramEntropyScorer

    fit_bytes: Annotated[int, AtLeast(10_000)] = 1_500_000

    def fit(self, fold: Callable[[Fold[Any], str], Any]) -> NgramEntropyScorer:
        """Sample, count, tabulate."""
        halves = fold(Distinct(self.fit_bytes // 2), "documents")
        if not all(halves):
            raise InputError(
                f"ngram_entropy: the documents hold {sum(map(len, halves))} distinct texts, and each of the two models "
                "needs some; score more rows, or leave the score out"
            )
        tables = [tabulate(ngram_model.fit([text for _, text in half], ORDER)) for half in halves]
        scorer = NgramEntropyScorer.of_tables(self.of, self.fit_bytes, tables)
        size = sum(value.nbytes for value in parameters(scorer).values() if isinstance(value, np.ndarray))
        if size > STATE_BYTES:
            raise BoundError(
                f"ngram_entropy: the tables of {self.fit_bytes:,} bytes take {size:,} bytes, the bound is "
                f"{STATE_BYTES:,}, because they travel with every task; lower fit_bytes"
            )
        return scorer
