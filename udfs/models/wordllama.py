"""wordllama: the mean of token vectors, with the weights and the tokenizer of github.com/dleemiller/WordLlama.

The weights are float16, multiples of 2^-24 below 8.02 in size, so float64 sums of fewer than 6 * 10^7 of them are
exact: a row's vector is the same bits in any batch, order and machine. The package itself sums padded batches in
float32 and agrees to 1e-6. Long texts are not cut, as in the package. Left out: its binary vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
from scipy import sparse

from ..arrays import Floats
from ..kernels.tokens import utf8
from . import files
from .reading import reading

WIDTH = 256
_REMEDY = f"pip install {files.MODELS['wordllama'].requirement}"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"


def tokeniser() -> Callable[[str], list[int]]:
    """Return text -> ids of its sub-word tokens; no tokens for text that is not UTF-8."""
    with reading("wordllama") as folder:
        tokenizer = files.tokenizer(folder / _TOKENIZER, _REMEDY)

    def tokenise(text: str) -> list[int]:
        return [] if utf8(text) is None else list(tokenizer.encode(text, add_special_tokens=False).ids)

    return tokenise


def load(dimensions: int) -> Callable[[Sequence[str]], Floats]:
    """Return n texts, none empty and all UTF-8 -> (n, dimensions) float64.

    Parameters
    ----------
    dimensions : int
        How many of the 256 columns are kept, from the first; the model was trained to be cut at 64 and 128.
    """
    with reading("wordllama") as folder:
        tokenizer = files.tokenizer(folder / _TOKENIZER, _REMEDY)
        weights = files.module("safetensors.numpy", _REMEDY).load_file(folder / "weights/l2_supercat_256.safetensors")
    matrix = weights["embedding.weight"][:, :dimensions].astype(np.float64, order="C")

    def encode(texts: Sequence[str]) -> Floats:
        ids = [tokens.ids for tokens in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        lengths = np.array([len(row) for row in ids])
        starts = np.concatenate([[0], np.cumsum(lengths)])
        token = np.fromiter(chain.from_iterable(ids), np.int32, starts[-1])
        counts = sparse.csr_matrix((np.ones(len(token)), token, starts), shape=(len(ids), len(matrix)))
        means: Floats = (counts @ matrix) / lengths[:, None]
        return means

    return encode
