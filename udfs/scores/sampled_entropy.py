"""sampled_entropy: in how many ways, by meaning, a language model would go on from a text; for samples of a pool.

Semantic entropy by sampling (Kuhn, Gal and Farquhar, arXiv 2302.09664; counts of groups as in Farquhar et al., Nature
630, 2024): some continuations are drawn, those of like meaning are put together, and the entropy of the groups' shares
is the value. Meaning is compared by cosine of MiniLM, where the papers use an entailment model; ours. Draws are keyed
by the text, so that a text has one value. It takes 1 to 5 CPU-seconds a row: ask for it, or score a sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ..arrays import Floats
from ..constraints import AtLeast, Between
from ..kernels.hashing import uniforms
from ..kernels.tokens import utf8
from ..models import causal_torch, files, minilm, one_model
from ..models.reading import reading
from ..scorer import Kernel, Scorer


def share_entropy(vectors: Floats, cosine: float) -> float:
    """Return the entropy in bits of groups of unit vectors (m, d), 0 to log2 m.

    Each vector joins the first group whose first member is at least so near, as in Kuhn et al., algorithm 1.

    Examples
    --------
    >>> share_entropy(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), 0.5)
    1.0
    """
    firsts: list[Floats] = []
    sizes: list[int] = []
    for vector in vectors:
        group = next((i for i, first in enumerate(firsts) if float(first @ vector) >= cosine), len(firsts))
        if group == len(firsts):
            firsts.append(vector)
            sizes.append(0)
        sizes[group] += 1
    shares = np.array(sizes) / len(vectors)
    return abs(float((shares * np.log2(shares)).sum()))


@dataclass(frozen=True)
class SampledEntropy(Scorer):
    """Entropy of the meanings of sampled continuations.

    Parameters
    ----------
    of : str, default "text"
    samples : int, default 5
        Continuations of a text.
    tokens : int, default 16
        Tokens of a continuation.
    prompt_tokens : int, default 64
        A text is cut to so many first tokens; one without tokens is undefined.
    cosine : float, default .5
        Continuations at least so alike are one meaning; it decides much: .3 gives half the mean that .5 gives.
    seed : int, default 0
    identity : str
        Of both models' files, filled in; `kernel()` raises ScoreError where others are found.

    Raises
    ------
    PlatformError
        If torch, transformers or a model's files are missing.

    Examples
    --------
    >>> SampledEntropy(samples=3).alone
    True
    """

    kind = "sampled_entropy"
    alone = True
    seconds_per_row = 2.0
    comment = (
        "entropy of the meanings of sampled continuations by SmolLM2, bits, 0 to log2 samples; larger is more open; "
        "null for empty text or not UTF-8"
    )

    samples: Annotated[int, Between(2, 64)] = 5
    tokens: Annotated[int, Between(1, 256)] = 16
    prompt_tokens: Annotated[int, Between(1, 1024)] = 64
    cosine: Annotated[float, Between(-1, 1)] = 0.5
    seed: Annotated[int, AtLeast(0)] = 0
    identity: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.identity:
            object.__setattr__(self, "identity", _identity())

    @property
    def model_held(self) -> Hashable:
        """The two models, which a worker loads once."""
        return ("sampled", self.identity)

    def check_machine(self) -> None:
        """Raise PlatformError if a package or a file is missing here."""
        causal_torch.requirements()
        files.path_of("smollm2")
        files.path_of("minilm")

    def kernel(self) -> Kernel:
        """Return texts (n,) -> float64 (n,)."""
        files.refuse_other(self.identity, _identity(), "smollm2 and minilm", "identity")
        self._load()

        def kernel(texts: Sequence[str]) -> Floats:
            sampler, encode = self._load()
            return np.array([self._row(sampler, encode, text) for text in texts], np.float64)

        return kernel

    def _load(self) -> Any:
        def load() -> Any:
            with reading("smollm2") as folder:
                return causal_torch.sampler(folder), minilm.load(minilm.WIDTH)

        return one_model(self.model_held, load)

    def _row(self, sampler: causal_torch.Sampler, encode: Any, text: str) -> float:
        if (body := utf8(text)) is None or not (prompt := sampler.prompt(text, self.prompt_tokens)):
            return np.nan
        key = int.from_bytes(hashlib.blake2b(body, digest_size=7).digest(), "little")
        draws = uniforms(self.seed + key, 0, self.samples * self.tokens).reshape(self.tokens, self.samples)
        # Blank continuations have no vector of their own; they are one meaning.
        continuations = [said if said.strip() else "." for said in sampler.go_on(prompt, draws)]
        vectors = encode(continuations)
        return share_entropy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), self.cosine)


def _identity() -> str:
    return f"{files.identity('smollm2')} {files.identity('minilm')}"
