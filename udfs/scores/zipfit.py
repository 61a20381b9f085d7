"""zipfit: how well a row compresses together with a set of target texts (ZIP-FIT, arXiv 2410.18194).

A(x) = 1 - mean over targets t of (C(x+t) - min(C(x), C(t))) / max(C(x), C(t)), exact for every pair, equal to the
package zip-fit at the same explicit level. Deviations: level 0 is refused (it ranks by length alone); long rows can be
cut into parts, which the paper does not do. A is biased towards short rows at every level.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from ..constraints import AtLeast, Needed
from ..errors import BoundError, InputError
from ..kernels import codecs, compression
from ..kernels.tokens import byte_count, utf8
from ..scorer import Estimator, Fold, Kernel, Scorer

_COMMENT = "ZIP-FIT alignment to the target texts, about -0.1 to 1; larger is closer; null for text that is not UTF-8"


class Texts(Fold[dict[str, int]]):
    """Counts each text of a column, text -> count in code point order; at most 16 MB of UTF-8 in total.

    Examples
    --------
    >>> fold = Texts()
    >>> fold.merge(fold.add(fold.zero(), ["b", "a"]), fold.add(fold.zero(), ["b"]))
    {'a': 1, 'b': 2}
    """

    limit_bytes = 16_000_000

    def zero(self) -> dict[str, int]:
        """Return no texts."""
        return {}

    def add(self, state: dict[str, int], *columns: Any) -> dict[str, int]:
        """Add the texts of one column."""
        return self.merge(state, Counter(columns[0]))

    def merge(self, a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
        """Add the counts; BoundError for more than 16 MB of text."""
        counts = dict(sorted((Counter(a) + Counter(b)).items()))
        total = sum(byte_count(text) * count for text, count in counts.items())
        if total > self.limit_bytes:
            raise BoundError(
                f"the target texts hold at least {total} bytes, the bound is {self.limit_bytes}, because every worker "
                "keeps them all; take fewer with `where:` or `limit:` on the target"
            )
        return counts


@dataclass(frozen=True)
class Compressor(Scorer):
    """What compresses rows with targets: alignment here, single pairs in zipfit_pairs."""

    fitted: ClassVar[bool] = True

    targets: tuple[str, ...] = ()
    codec: str = "gzip"
    level: int = 1
    library: str = ""

    @property
    def seconds_per_row(self) -> float:
        """By the number of targets: roughly the CPU seconds of a row of 100 words with one, times these."""
        return 0.00001 * len(self.targets)


@dataclass(frozen=True)
class ZipFitScorer(Compressor):
    """ZIP-FIT alignment to the target texts; fitted by ZipFit.

    Parameters
    ----------
    of : str, default "text"
    targets : tuple of str
        Sorted, with repetitions.
    codec, level, chunk_bytes, chunk_how
        As in ZipFit.
    library : str
        The compression library of the driver; `kernel()` raises ScoreError if another one is loaded.

    Examples
    --------
    >>> scorer = ZipFitScorer(targets=("def f(x): return x",), library=codecs.library_version())
    >>> near, far = scorer.kernel()(["def g(x): return x", "Once upon a time"])
    >>> bool(near > far)
    True
    """

    kind = "zipfit"
    comment = _COMMENT

    chunk_bytes: int = 0
    chunk_how: str = "mean"

    def kernel(self) -> Kernel:
        """Return texts (n,) -> float64 (n,); the empty text is defined, as in the package zip-fit."""
        codecs.check_library(self.codec, self.library)
        return compression.alignment(self.codec, self.level, self.targets, self.chunk_bytes, self.chunk_how)


@dataclass(frozen=True)
class ZipFit(Estimator):
    """Collects the texts of a target; the fitted scorer compresses every row with each of them.

    Parameters
    ----------
    of : str, default "text"
    target : str
        Name of one of the recipe's targets. Not part of the fingerprint: the texts are.
    codec : {"gzip", "zstd", "lz4"}
    level : int, default 1
        gzip 1 to 9, zstd 1 to 22, lz4 1 to 12. Level 1 is the paper's.
    chunk_bytes : int, default 0
        Rows of more UTF-8 bytes are cut into equal parts of at most this length; 0 never cuts. gzip looks back 32 768.
    chunk_how : {"mean", "max"}
        How the A of a cut row follows from the A of its parts.

    Raises
    ------
    RecipeError
        If a parameter is not allowed.
    InputError
        From `fit`, if the target is empty or holds a text that is not UTF-8.
    BoundError
        From `fit`, if the target holds more than 16 MB.

    Examples
    --------
    >>> estimator = ZipFit(target="code")
    >>> scorer = estimator.fit(lambda fold, table: fold.add(fold.zero(), ["y = 2", "x = 1"]))
    >>> scorer.targets
    ('x = 1', 'y = 2')
    """

    kind = "zipfit"
    comment = _COMMENT
    model_class = ZipFitScorer

    target: Annotated[str, Needed("the name of a target")] = ""
    codec: Literal["gzip", "zstd", "lz4"] = "gzip"
    level: int = 1
    chunk_bytes: Annotated[int, AtLeast(0)] = 0
    chunk_how: Literal["mean", "max"] = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        codecs.check_codec(self.codec, self.level)

    @property
    def fits_on(self) -> tuple[str, ...]:
        """The target's table."""
        return (self.target,)

    def fit(self, fold: Callable[[Fold[Any], str], Any]) -> ZipFitScorer:
        """Collect the target's texts and note the compression library that is loaded here."""
        counts: dict[str, int] = fold(Texts(), self.target)
        if not counts:
            raise InputError(
                f"target {self.target!r} has no texts, so there is nothing to align with; "
                "at least one row with text is needed; check its `table:`, `text:` and `where:`"
            )
        broken = next((text for text in counts if utf8(text) is None), None)
        if broken is not None:
            raise InputError(
                f"target {self.target!r} holds {broken[:40]!r}, which is not UTF-8 (a lone surrogate); "
                "allowed is any text that is; exclude the row with `where:`"
            )
        targets = tuple(text for text, count in counts.items() for _ in range(count))
        library = codecs.library_version(self.codec)
        return ZipFitScorer(self.of, targets, self.codec, self.level, library, self.chunk_bytes, self.chunk_how)
