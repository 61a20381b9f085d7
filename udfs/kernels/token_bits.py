"""What a language model's logits say of each token: bits of surprise, and the entropy of the prediction.

With p = softmax(logits): nll = -log2 p(token), entropy = -sum p log2 p. Sums run in float64, exponentials in float32.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Ints, Matrix

LOG_2 = np.log(2)


def token_bits(logits: Matrix, tokens: Ints, scratch: Matrix | None = None) -> tuple[Floats, Floats]:
    """Return (n,) entropy and (n,) nll in bits from logits (n, v), which are overwritten, and the tokens (n,) they met.

    `scratch` is room for n or more rows of logits: making 12 MB anew takes longer than all of the arithmetic.

    Examples
    --------
    >>> entropy, nll = token_bits(np.zeros((1, 8), np.float32), np.array([5]))
    >>> entropy.tolist(), nll.tolist()
    ([3.0], [3.0])
    """
    logits -= logits.max(axis=1, keepdims=True)
    met = logits[np.arange(len(tokens)), tokens].astype(np.float64)
    weights = np.exp(logits, out=None if scratch is None else scratch[: len(logits)])
    total = weights.sum(axis=1, dtype=np.float64)
    weights *= logits
    log_total = np.log(total)
    entropy = log_total - weights.sum(axis=1, dtype=np.float64) / total
    return entropy / LOG_2, (log_total - met) / LOG_2
