"""embedding: the vector of a text, for k-means, neighbours and everything else that needs distances.

Encoders: wordllama (mean of token vectors, the default), minilm (a sentence transformer, needs torch), hashed_ngrams
(no model at all), and column, which reads vectors from a source column. A row's vector is the same bits in every batch.
Left out: training an encoder, and vectors from an API.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, Literal

from ..constraints import AtLeast
from ..errors import RecipeError
from ..kernels import vectors
from ..kernels.scripts import UNICODE, check_unicode
from ..models import encoders, files
from ..scorer import DOCUMENT_INPUTS, Kernel, Scorer, Takes


@dataclass(frozen=True)
class Embedding(Scorer):
    """The vector of a text; undefined for empty text and text that is not UTF-8.

    Parameters
    ----------
    of : str, default "text"
        With encoder column: the source column that holds one array of numbers per row.
    encoder : {"wordllama", "minilm", "hashed_ngrams", "column"}
        wordllama has 256 dimensions, minilm 384 of the first 256 tokens, hashed_ngrams 256 of words and word pairs (a
        text without words is undefined). column reads float32; a vector with a null or NaN in it is undefined.
    dimensions : int, default 0
        Width of the vectors; 0 is the encoder's default. wordllama keeps the first 1 to 256 (trained for 64 and 128),
        hashed_ngrams has 1 to 65 536. With column it must be given; vectors of another width are undefined.
    normalise : bool, default True
        Scale to length 1, after which a vector of zeros is undefined.
    model : str
        Identity of the encoder's files, filled in; `kernel()` raises ScoreError if others are pinned.
    unicode : str
        The driver's version of Unicode, filled in for hashed_ngrams; `kernel()` raises ScoreError for another.

    Raises
    ------
    RecipeError
        If a parameter is not allowed.
    PlatformError
        From `kernel()`, if a package or a model file is missing.
    ScoreError
        From `kernel()`, if a model file is not the pinned one; from scoring, for vectors of no elements.

    Examples
    --------
    >>> a, b, c = Embedding(encoder="hashed_ngrams").kernel()(["the red house", "a red house", "forty-two apples"])
    >>> bool(a @ b > a @ c), a.shape
    (True, (256,))
    >>> Embedding(of="vec", encoder="column", dimensions=3).columns
    ('vec',)
    """

    kind = "embedding"
    revision = 2
    value = "array<float>"
    comment = "vector of the text, of length 1 unless normalise: false; no direction; null for empty text or not UTF-8"

    encoder: Literal["wordllama", "minilm", "hashed_ngrams", "column"] = "wordllama"
    dimensions: Annotated[int, AtLeast(0)] = 0
    normalise: bool = True
    model: str = ""
    unicode: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder != "column":
            encoders.check_dimensions(self.encoder, self.dimensions)
        elif self.of in DOCUMENT_INPUTS:
            raise RecipeError(
                f"encoder column reads vectors, got of: {self.of}, which is text; "
                "allowed is a source column of arrays; set of: COLUMN, or another encoder"
            )
        elif not self.dimensions:
            raise RecipeError(
                f"encoder column needs the number of elements of its vectors, got dimensions {self.dimensions!r}; "
                "set dimensions: to a whole number from 1; vectors of another length will be undefined"
            )
        if self.model and not self._files:
            raise RecipeError(f"encoder {self.encoder} reads no model files, got model {self.model!r}; leave it out")
        if self._files and not self.model:
            object.__setattr__(self, "model", files.identity(self._files))
        if self.encoder == "hashed_ngrams" and not self.unicode:
            object.__setattr__(self, "unicode", UNICODE)

    @property
    def _files(self) -> str:
        """The model whose files the encoder reads; "" for none."""
        return "" if self.encoder == "column" else encoders.ENCODERS[self.encoder].model

    @property
    def seconds_per_row(self) -> float:
        """By the encoder."""
        return 0.02 if self.encoder == "minilm" else 0.0003

    @property
    def width(self) -> int:
        """Number of elements of a vector."""
        return self.dimensions or encoders.ENCODERS[self.encoder].width

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of vectors, for encoder column."""
        return (self.of,) if self.encoder == "column" else ()

    @property
    def input_width(self) -> int:
        """The dimensions, with encoder column."""
        return self.dimensions if self.encoder == "column" else 0

    @property
    def model_held(self) -> Hashable:
        """The encoder, whose files a worker loads once."""
        return None if self.encoder == "column" else (self.encoder, self.dimensions)

    @property
    def takes(self) -> Takes:
        """Vectors with encoder column, else text."""
        return "vector" if self.encoder == "column" else "text"

    def check_machine(self) -> None:
        """Raise PlatformError if the encoder's packages or files are missing here."""
        if self.encoder != "column":
            encoders.check_machine(self.encoder)

    def kernel(self) -> Kernel:
        """Return texts (n,), or vectors (n, d) with encoder column -> float32 (n, d); rows of NaN are undefined."""
        finish = vectors.unit_rows if self.normalise else vectors.whole_rows
        name, width = self.encoder, self.dimensions
        if name == "column":
            return lambda values: finish(vectors.as_vectors(values, width))
        if self._files:
            files.refuse_other(self.model, files.identity(self._files), name, "model")
        if name == "hashed_ngrams":
            check_unicode(self.unicode)
        encoders.load(name, width)  # so that a missing file is reported now, not in the middle of a table
        return lambda texts: finish(encoders.load(name, width)(texts))
