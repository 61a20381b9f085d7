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

#: Characters of a text that are tokenised at all; longer texts are cut.
CHARACTERS = 16_384
BOS = "<|endoftext|>"


@dataclass(frozen=True)
class CausalModel:
    """A loaded model.

    Parameters
    ----------
    encode : callable
        str -> list of token ids, without special tokens.
    bos : int
        The token that every text is read after.
    predict : callable
        (context (n,), tokens (n,)) -> entropy (n,) and nll (n,), bits: for each place, of the token that follows the
        context up to there.
    """

    encode: Callable[[str], list[int]]
    bos: int
    predict: Callable[[Ints, Ints], tuple[Floats, Floats]]

    def tokens(self, text: str, most: int) -> tuple[Ints, bool]:
        """Return the first `most` tokens of a text, and whether there are more."""
        ids = self.encode(text[:CHARACTERS])
        return np.array(ids[:most], np.int64), len(ids) > most or len(text) > CHARACTERS

    def bits(self, tokens: Ints) -> tuple[Floats, Floats]:
        """Return entropy and nll (n,) in bits of n > 0 tokens; the first one is predicted from `bos` alone."""
        return self.predict(np.concatenate([[self.bos], tokens[:-1]]), tokens)


def tokenizer(folder: Path, remedy: str) -> tuple[Callable[[str], list[int]], int]:
    """Return the encoder of folder/tokenizer.json and its id of BOS; text that spells a special token stays text."""
    from . import files

    loaded: Any = files.module("tokenizers", remedy).Tokenizer.from_file(str(folder / "tokenizer.json"))
    loaded.no_truncation()
    loaded.no_padding()
    loaded.encode_special_tokens = True
    bos = loaded.token_to_id(BOS)
    if bos is None:
        raise ScoreError(
            f"the tokenizer in {folder} has no token {BOS}, after which texts are read; take a model that has it"
        )
    return lambda text: list(loaded.encode(text, add_special_tokens=False).ids), int(bos)
