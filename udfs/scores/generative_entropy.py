"""generative_entropy: how uncertain a causal language model is about each next token of a text, and how surprised.

The second of the three entropies of EUDS (arXiv 2602.17465); the paper's formula is not public, so this definition is
ours: the mean, over the tokens of the text, of the entropy of the prediction given the tokens before. The mean negative
log-likelihood comes with it; the two are nearly one signal (rank correlation .94), so never count both.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from ..constraints import Between, Needed
from ..errors import RecipeError, ScoreError
from ..kernels.tokens import utf8
from ..models import causal, causal_torch, files, llama_onnx, one_model
from ..models.reading import reading
from ..scorer import Kernel, Scorer

#: Fewer scored tokens leave both means undefined: they would be about the start of a text alone.
FEWEST = 8


@dataclass(frozen=True)
class GenerativeEntropy(Scorer):
    """Predictive entropy and negative log-likelihood of a text under a causal language model, in bits per token.

    Parameters
    ----------
    of : str, default "text"
    model : str, default "smollm2"
        A model of `lakesift encoders list`, or a local folder in Hugging Face's form (engine torch), which every worker
        must see.
    engine : {"onnx", "torch"}
        "onnx": onnxruntime, float32. "torch": torch and transformers.
    max_tokens : int, default 256
        Only the first are scored, of the first 16 384 characters; `truncated` says that there are more.
    device : {"cpu", "cuda"}
        Where torch runs; "cuda" was not measured.
    dtype : {"float32", "bfloat16"}
        Of torch; bfloat16 moves the means by .04 bits.
    identity : str
        Of the model's files, filled in; `kernel()` raises ScoreError where others are found.

    Raises
    ------
    RecipeError
        If parameters contradict each other.
    PlatformError
        If a package or file is missing.
    ScoreError
        From `kernel()`, if files are not those of `identity`.

    Notes
    -----
    A row of 100 tokens takes about 0.2 CPU-seconds. Both means are over the same tokens, the first included, which is
    predicted from <|endoftext|> alone; under 8 tokens both are undefined, and `tokens_scored` says why. A text that is
    not UTF-8 is undefined.

    Examples
    --------
    >>> GenerativeEntropy(model="smollm2", engine="torch", dtype="bfloat16").inputs
    ('text',)
    """

    kind = "generative_entropy"
    alone = True
    seconds_per_row = 0.25
    value = "struct<generative_entropy_bits:double,nll_bits:double,tokens_scored:int,truncated:boolean>"
    comment = (
        "mean entropy of the model's next-token predictions and mean surprise, bits per token, 0 to log2 vocabulary, "
        "larger is less predictable; null under 8 tokens; tokens scored; whether the text has more"
    )

    model: Annotated[str, Needed("smollm2 or a folder")] = "smollm2"
    engine: Literal["onnx", "torch"] = "onnx"
    max_tokens: Annotated[int, Between(FEWEST, 2048)] = 256
    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    identity: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.engine == "onnx" and not self._fetched:
            raise RecipeError(
                f"generative_entropy: engine onnx runs the models {', '.join(self._models())}, got {self.model!r}; "
                "set engine: torch for a folder"
            )
        if self.engine == "onnx" and (self.device, self.dtype) != ("cpu", "float32"):
            raise RecipeError(
                f"generative_entropy: engine onnx runs on the cpu in float32, got {self.device}, {self.dtype}; "
                "leave both out, or set engine: torch"
            )
        if not self.identity:
            object.__setattr__(self, "identity", self._found())

    @staticmethod
    def _models() -> list[str]:
        return [name for name, model in files.MODELS.items() if model.derived]

    @property
    def _fetched(self) -> bool:
        return self.model in self._models()

    def _found(self) -> str:
        return files.identity(self.model) if self._fetched else causal_torch.folder_identity(self.model)

    @property
    def model_held(self) -> Hashable:
        """The language model, which a worker loads once."""
        return ("causal", self.identity, self.engine, self.device, self.dtype)

    def check_machine(self) -> None:
        """Raise PlatformError if a package or a file is missing here."""
        if self.engine == "onnx":
            llama_onnx.requirements()
        else:
            causal_torch.requirements()
        if self._fetched:
            files.path_of(self.model)

    def kernel(self) -> Kernel:
        """Return texts (n,) -> the four fields, float64 (n,) each."""
        self._refuse_other()
        self._load()  # so that a missing file is reported now, not in the middle of a table

        def kernel(texts: Sequence[str]) -> dict[str, Any]:
            model = self._load()
            rows = [_row(model, text, self.max_tokens) for text in texts]
            entropy, nll, scored, cut = np.array(rows, np.float64).reshape(-1, 4).T
            return {"generative_entropy_bits": entropy, "nll_bits": nll, "tokens_scored": scored, "truncated": cut}

        return kernel

    def _load(self) -> causal.CausalModel:
        def load() -> causal.CausalModel:
            if not self._fetched:
                model = causal_torch.load(Path(self.model).expanduser(), self.device, self.dtype)
                self._refuse_other()  # what was loaded is what was hashed before
                return model
            with reading(self.model) as folder:
                if self.engine == "onnx":
                    return llama_onnx.load(folder)
                return causal_torch.load(folder, self.device, self.dtype)

        return one_model(self.model_held, load)

    def _refuse_other(self) -> None:
        """Raise ScoreError if the files here are not those that the score was declared with."""
        if (found := self._found()) != self.identity:
            raise ScoreError(
                f"the score was declared with model files {self.identity!r}, here are {found!r} for {self.model}; give "
                "driver and workers the same files and the same version of lakesift"
            )


def _row(model: causal.CausalModel, text: str, most: int) -> tuple[float, float, float, float]:
    """Return the mean entropy, the mean nll, the tokens they are over, and 1 if there are more."""
    if utf8(text) is None:
        return np.nan, np.nan, np.nan, np.nan
    tokens, cut = model.tokens(text, most)
    if len(tokens) < FEWEST:
        return np.nan, np.nan, len(tokens), cut
    entropy, nll = model.bits(tokens)
    return float(entropy.mean()), float(nll.mean()), len(tokens), cut
