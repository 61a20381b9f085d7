"""The language model by onnxruntime: float32, one thread, weights mapped from the file that all workers share.

Prepacking is off: packed weights are a copy of 500 MB in every worker. It moves last bits, so it is not a setting. The
head runs in chunks of positions, because logits take 200 KB each.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Floats, Ints
from ..errors import PlatformError
from ..kernels.token_bits import token_bits
from . import files
from .causal import CausalModel, tokenizer

#: Positions whose logits are computed together, and the fewest: one row alone takes another path of other last bits.
CHUNK, FEWEST = 64, 8
OLDEST = (1, 23)
_REMEDY = "pip install 'lakesift[local]'"


def requirements() -> Any:
    """Return onnxruntime; PlatformError if it is missing or knows no opset 23."""
    ort = files.module("onnxruntime", _REMEDY)
    if tuple(map(int, re.findall(r"\d+", ort.__version__)[:2])) < OLDEST:
        raise PlatformError(
            f"onnxruntime {ort.__version__} is installed here, and the language model needs 1.23 or later on the "
            f"driver and on every worker; run {_REMEDY} there"
        )
    return ort


def load(folder: Path) -> CausalModel:
    """Return the model whose derived files are in a folder."""
    ort = requirements()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.log_severity_level = 3
    body, head = (
        ort.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
        for name in ("graph.onnx", "head.onnx")
    )
    scratch = np.empty((CHUNK, head.get_outputs()[0].shape[1]), np.float32)

    def predict(context: Ints, tokens: Ints) -> tuple[Floats, Floats]:
        positions = np.arange(len(context))
        hidden = body.run(None, {"ids": context[None], "positions": positions[None]})[0]
        parts = [
            token_bits(logits(hidden[i : i + CHUNK]), tokens[i : i + CHUNK], scratch)
            for i in range(0, len(tokens), CHUNK)
        ]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def logits(hidden: Any) -> Any:
        rows = len(hidden)
        padded = hidden if rows >= FEWEST else np.pad(hidden, ((0, FEWEST - rows), (0, 0)))
        return head.run(None, {"hidden": padded})[0][:rows]

    return CausalModel(*tokenizer(folder, _REMEDY), predict)
