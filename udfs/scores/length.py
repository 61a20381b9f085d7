"""length_bytes and length_tokens: the length of a row, for lower limits, budgets and as a baseline of comparisons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..kernels import tokens
from ..scorer import Kernel, Scorer

_COUNTS = {"wordpunct": tokens.wordpunct_count, "whitespace": tokens.whitespace_count}


def _kernel_of(count: Callable[[str], int]) -> Kernel:
    return lambda texts: np.fromiter(map(count, texts), dtype=np.int64, count=len(texts))


@dataclass(frozen=True)
class LengthBytes(Scorer):
    """Length in UTF-8 bytes; 0 for empty text; a lone surrogate counts three.

    Examples
    --------
    >>> LengthBytes().kernel()(["naïve", ""]).tolist()
    [6, 0]
    """

    kind = "length_bytes"
    seconds_per_row = 0.000005
    value = "bigint"
    comment = "length in UTF-8 bytes, >= 0; larger is longer"

    def kernel(self) -> Kernel:
        """Return texts (n,) -> int64 (n,)."""
        return _kernel_of(tokens.byte_count)


@dataclass(frozen=True)
class LengthTokens(Scorer):
    """Length in tokens; 0 for empty text.

    Parameters
    ----------
    of : str, default "text"
    unit : {"wordpunct", "whitespace"}
        `\\w+|[^\\w\\s]+` of module `re`, or words between runs of whitespace.

    Examples
    --------
    >>> LengthTokens().kernel()(["don't stop", ""]).tolist()
    [4, 0]
    """

    kind = "length_tokens"
    seconds_per_row = 0.00001
    value = "bigint"
    comment = r"length in tokens (\w+|[^\w\s]+, or whitespace-separated as option), >= 0; larger is longer"

    unit: Literal["wordpunct", "whitespace"] = "wordpunct"

    def kernel(self) -> Kernel:
        """Return texts (n,) -> int64 (n,)."""
        return _kernel_of(_COUNTS[self.unit])
