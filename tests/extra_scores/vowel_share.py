"""vowel_share: share of the letters that are vowels; an example of a scorer in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lakesift.udfs.scorer import Kernel, Scorer


@dataclass(frozen=True)
class VowelShare(Scorer):
    """Vowels by ASCII letters, 0 to 1; undefined without a letter."""

    kind = "vowel_share"
    comment = "vowels / ASCII letters, 0 to 1; larger has more vowels; null without a letter"

    vowels: str = "aeiou"

    def kernel(self) -> Kernel:
        """Return texts (n,) -> float64 (n,)."""

        def share(text: str) -> float:
            letters = [c for c in text.lower() if "a" <= c <= "z"]
            return sum(c in self.vowels for c in letters) / len(letters) if letters else np.nan

        def kernel(texts: Sequence[str]) -> NDArray[np.float64]:
            return np.array([share(text) for text in texts], dtype=np.float64)

        return kernel
