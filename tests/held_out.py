"""The loss of answers that no training has seen, by a base model with the layers that a round trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def row_nll(model: str, layers: Mapping[str, Any], pairs: Sequence[tuple[str, str]], most: int = 192) -> np.ndarray:
    """Return the sum of the NLL (nats) and the number of tokens, (n, 2), of completions given their prompts."""
    from lakesift.udfs.models import causal_torch
    from lakesift.udfs.models.answer_folders import folder_of, network_of
    from lakesift.udfs.models.answer_model import AnswerModel

    torch, _ = causal_torch.requirements()
    network = network_of(model)
    network.load_state_dict({name: torch.tensor(values) for name, values in layers.items()}, strict=False)
    opened = AnswerModel(network, folder_of(model), 1, "cpu")
    found = []
    for prompt, completion in pairs:
        row = opened.read(prompt, completion, most)
        nll = opened.nll(row, torch.tensor(opened.lower(row)))
        found.append((nll.sum(), len(nll)))
    return np.array(found)


def mean_nll(model: str, layers: Mapping[str, Any], pairs: Sequence[tuple[str, str]], most: int = 192) -> float:
    """Return the mean NLL of all tokens of completions, in nats."""
    total, tokens = row_nll(model, layers, pairs, most).sum(axis=0)
    return float(total / tokens)
