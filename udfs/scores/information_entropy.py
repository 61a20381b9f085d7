"""information_entropy: Shannon entropy in bits of a row's own tokens, by default the mean over windows of 16 words.

The first of the three entropies of EUDS (arXiv 2602.17465); the paper's formula is not public, so this definition is
ours. The windowed form is the default because the whole-text form is mostly length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from ..constraints import AtLeast
from ..errors import RecipeError
from ..kernels import entropy
from ..kernels.scripts import UNICODE, check_unicode
from ..models import files, wordllama
from ..scorer import Kernel, Scorer


@dataclass(frozen=True)
class InformationEntropy(Scorer):
    """Shannon entropy of a row's own tokens.

    Parameters
    ----------
    of : str, default "text"
    unit : {"word", "character", "byte", "subword"}
        WordPunct tokens, code points, UTF-8 bytes, or tokens of wordllama's tokenizer, all of the composed text: NFC
        and NFD of a text have the same entropy. In scripts without blanks every character is a word
        (kernels/scripts.py).
    window : int, default 16
        Tokens (of `unit`) in a window; the stride is window // 4. Rows with fewer tokens are undefined.
    whole : bool, default False
        One window over the whole text; `window` is then not used, and only texts without tokens are undefined.
    normalise : {"none", "tokens", "distinct"}
        Divide by log2 of the number of tokens, or of distinct tokens, in the window.
    model : str
        Identity of the tokenizer's files with unit subword, filled in; `kernel()` raises ScoreError for others.
    unicode : str
        The driver's version of Unicode; `kernel()` raises ScoreError where another is known.

    Raises
    ------
    RecipeError
        If a parameter is not allowed.

    Examples
    --------
    >>> InformationEntropy(window=4).kernel()(["a b c d", "a a b b", "a b"]).tolist()
    [2.0, 1.0, nan]
    """

    kind = "information_entropy"
    revision = 2
    seconds_per_row = 0.00004
    comment = (
        "entropy of the row's own tokens, mean over windows of 16 words, in bits: 0 to log2 window, "
        "or 0 to 1 if normalised; larger is more varied; null for fewer tokens than a window"
    )

    unit: Literal["word", "character", "byte", "subword"] = "word"
    window: Annotated[int, AtLeast(2)] = 16
    whole: bool = False
    normalise: Literal["none", "tokens", "distinct"] = "none"
    model: str = ""
    unicode: str = UNICODE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unit == "subword" and not self.model:
            object.__setattr__(self, "model", files.identity("wordllama"))
        if self.unit != "subword" and self.model:
            raise RecipeError(f"information_entropy: unit {self.unit} reads no model files, got model {self.model!r}")

    def check_machine(self) -> None:
        """Raise PlatformError if unit is subword and the tokenizer is missing here."""
        if self.unit == "subword":
            files.path_of("wordllama")

    def kernel(self) -> Kernel:
        """Return texts (n,) -> float64 (n,)."""
        check_unicode(self.unicode)
        if self.model:
            files.refuse_other(self.model, files.identity("wordllama"), "wordllama", "model")
        unit = wordllama.tokeniser() if self.unit == "subword" else self.unit
        if self.whole:
            return partial(entropy.whole_entropy, unit=unit, normalise=self.normalise)
        return partial(entropy.window_entropy, unit=unit, window=self.window, normalise=self.normalise)
