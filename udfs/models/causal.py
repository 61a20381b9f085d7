"""Causal language models behind one face: text to tokens, and what the model says of each token given those before.

Engines: onnxruntime over the graph that `lakesift encoders get` makes (llama_onnx.py), and torch over a folder in
Hugging Face's form (causal_torch.py). One text at a time on one thread, so that a text's values depend on it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Floats, Ints
from ..errors import ScoreError
from ..kernels.tokens import CHARACTERS
from . import files

BOS = "<|endoftext|>"


@dataclass(frozen=True)
class CausalModel:
    """A loaded model.

    Parameters
    ----------
    tokenizer
        As `tokenizer` returns it.
    bos : int
        The token that every text is read after.
    predict : callable
        (context (n,), tokens (n,)) -> entropy (n,) and nll (n,), bits: for each place, of the token that follows the
        context up to there.
    """

    tokenizer: Any
    bos: int
    predict: Callable[[Ints, Ints], tuple[Floats, Floats]]

    def tokens(self, text: str, most: int) -> tuple[Ints, bool]:
        """Return the first `most` tokens of a text, and whether there are more."""
        ids = ids_of(self.tokenizer, text)
        return np.array(ids[:most], np.int64), len(ids) > most or len(text) > CHARACTERS

    def bits(self, tokens: Ints) -> tuple[Floats, Floats]:
        """Return entropy and nll (n,) in bits of n > 0 tokens; the first one is predicted from `bos` alone."""
        return self.predict(np.concatenate([[self.bos], tokens[:-1]]), tokens)


def ids_of(tokenizer: Any, text: str) -> list[int]:
    """Return the tokens of a text without special ones, of its first CHARACTERS."""
    return list(tokenizer.encode(text[:CHARACTERS], add_special_tokens=False).ids)


def tokenizer(folder: Path, remedy: str) -> tuple[Any, int]:
    """Return folder/tokenizer.json and its id of BOS; text that spells a special token stays text."""
    loaded = files.tokenizer(folder / "tokenizer.json", remedy)
    loaded.encode_special_tokens = True
    bos = loaded.token_to_id(BOS)
    if bos is None:
        raise ScoreError(
            f"the tokenizer in {folder} has no token {BOS}, after which texts are read; take a model that has it"
        )
    return loaded, int(bos)
