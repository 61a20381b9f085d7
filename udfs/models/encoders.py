"""The encoders of text by name: width of their vectors, model files they read, how they are loaded.

An encoder is texts (n,) -> float64 (n, d). A row's vector is a function of its text alone, bit for bit; NaN is
"undefined": empty text, text that is not UTF-8. Left out: normalising (kernels/vectors.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import RecipeError
from ..kernels.tokens import utf8
from . import files, hashed_ngrams, minilm, one_model, wordllama

Encode = Callable[[Sequence[str]], NDArray[np.float64]]

#: Texts that are tokenised together: a token takes about 100 bytes meanwhile.
BLOCK_ROWS = 256


class Encoder(NamedTuple):
    """Width of its vectors by default, all widths that are allowed, the model whose files it reads ("" for none)."""

    width: int
    widths: range
    model: str
    load: Callable[[int], Encode]


ENCODERS = {
    "wordllama": Encoder(wordllama.WIDTH, range(1, wordllama.WIDTH + 1), "wordllama", wordllama.load),
    "minilm": Encoder(minilm.WIDTH, range(minilm.WIDTH, minilm.WIDTH + 1), "minilm", minilm.load),
    "hashed_ngrams": Encoder(hashed_ngrams.WIDTH, range(1, 65_537), "", hashed_ngrams.load),
}


def check_dimensions(name: str, dimensions: int) -> None:
    """Raise RecipeError unless the encoder has vectors of that width; 0 is its default.

    Examples
    --------
    >>> check_dimensions("minilm", 128)
    Traceback (most recent call last):
    ...
    lakesift.udfs.errors.RecipeError: dimensions 128 is no width of encoder minilm; allowed: 384; leave it out
    """
    allowed = ENCODERS[name].widths
    if dimensions and dimensions not in allowed:
        span = f"{allowed[0]} to {allowed[-1]}" if len(allowed) > 1 else f"{allowed[0]}"
        raise RecipeError(f"dimensions {dimensions!r} is no width of encoder {name}; allowed: {span}; leave it out")


def check_machine(name: str) -> None:
    """Raise PlatformError if an encoder's packages or files are missing here; reads no content."""
    if name == "minilm":
        minilm.requirements()
    if ENCODERS[name].model:
        files.path_of(ENCODERS[name].model)


def load(name: str, dimensions: int = 0) -> Encode:
    """Return the encoder: the model that this process holds, or one loaded from its verified files.

    Parameters
    ----------
    name : str
        One of ENCODERS.
    dimensions : int, default 0
        Width of the vectors; 0 is the encoder's default.

    Returns
    -------
    callable
        list of n str -> (n, d) float64; rows of NaN where undefined.

    Raises
    ------
    PlatformError
        If a package or a file is missing.
    ScoreError
        If a file is not the pinned one.

    Examples
    --------
    >>> encode = load("hashed_ngrams", 4)
    >>> encode(["to be or not to be", ""]).round(2).tolist()[1]
    [nan, nan, nan, nan]
    """
    width = dimensions or ENCODERS[name].width
    return one_model((name, width), lambda: _on_defined(ENCODERS[name].load(width), width))


def _on_defined(encode: Encode, width: int) -> Encode:
    def rows(texts: Sequence[str]) -> NDArray[np.float64]:
        vectors = np.full((len(texts), width), np.nan)
        defined = [i for i, text in enumerate(texts) if text and utf8(text) is not None]
        for start in range(0, len(defined), BLOCK_ROWS):
            part = defined[start : start + BLOCK_ROWS]
            vectors[part] = encode([texts[i] for i in part])
        return vectors

    return rows
