"""length_bytes and length_tokens: the length of a row, for lower limits, budgets and as a baseline of comparisons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import RecipeError
from ..kernels import tokens
from ..kernels.scripts import UNICODE, check_unicode
from ..models import tokenizers
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
        `\\w+|[^\\w\\s]+` of module `re`, or words between runs of whitespace; in scripts without blanks every character
        is one (kernels/scripts.py). NFC and NFD of a text have the same length.
    tokenizer : str, default ""
        Count the tokens of a trained tokenizer instead: "wordllama", or a file in the form of Hugging Face's
        tokenizer.json, which every worker must see. A text that is not UTF-8 has none.
    identity : str
        Of the tokenizer's file, filled in; `kernel()` raises ScoreError where another is found.
    unicode : str
        The driver's version of Unicode, filled in without tokenizer; `kernel()` raises ScoreError for another.

    Raises
    ------
    RecipeError
        If both a unit and a tokenizer are named.
    PlatformError
        If the tokenizer's package or file is missing.

    Examples
    --------
    >>> LengthTokens().kernel()(["don't stop", "", "好的。"]).tolist()
    [4, 0, 3]
    """

    kind = "length_tokens"
    revision = 2
    seconds_per_row = 0.00001
    value = "bigint"
    comment = (
        r"length in tokens (\w+|[^\w\s]+, characters in scripts without blanks; as options words or a tokenizer's), "
        ">= 0; larger is longer"
    )

    unit: Literal["wordpunct", "whitespace"] = "wordpunct"
    tokenizer: str = ""
    identity: str = ""
    unicode: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokenizer and self.unit != "wordpunct":
            raise RecipeError(
                f"length_tokens: unit is {self.unit!r} and tokenizer {self.tokenizer!r}, and only one can count; leave "
                "one out"
            )
        if self.tokenizer and not self.identity:
            object.__setattr__(self, "identity", tokenizers.identity(self.tokenizer))
        if not self.tokenizer and not self.unicode:
            object.__setattr__(self, "unicode", UNICODE)

    def check_machine(self) -> None:
        """Raise PlatformError if the tokenizer's package or file is missing here."""
        if self.tokenizer:
            tokenizers.check_machine(self.tokenizer)

    def kernel(self) -> Kernel:
        """Return texts (n,) -> int64 (n,)."""
        if not self.tokenizer:
            check_unicode(self.unicode)
            return _kernel_of(_COUNTS[self.unit])
        tokenise = tokenizers.load(self.tokenizer, self.identity)
        return _kernel_of(lambda text: len(tokenise(text)))
