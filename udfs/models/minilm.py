"""all-MiniLM-L6-v2 by torch and transformers: the mean of the last hidden states, float32, one row at a time.

In a batch, the other rows and padding move a vector by 1e-7 in float32, and a score must depend on its own row alone;
one at a time, rows give the same bits every time. The model is the one that sentence-transformers loads, with its cut
at 256 tokens. Other CPUs and builds of torch give other last bits. Left out: bfloat16 and GPUs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Floats
from . import files, on_one_thread
from .reading import closed, reading

WIDTH = 384
MAX_TOKENS = 256
_REMEDY = "pip install 'lakesift[torch]' and lakesift encoders get minilm"


def load(_: int) -> Callable[[Sequence[str]], Floats]:
    """Return n texts, none empty and all UTF-8 -> (n, 384) float64; it has no other width."""
    torch, transformers = requirements()  # before the files, because its message names everything that is needed
    with reading("minilm") as folder:
        on_one_thread(torch, transformers)
        tokenizer = files.tokenizer(folder / "tokenizer.json", _REMEDY)
        model = weights(transformers, folder).eval()
    tokenizer.enable_truncation(MAX_TOKENS)

    def encode(texts: Sequence[str]) -> Floats:
        rows = np.empty((len(texts), model.config.hidden_size))
        with torch.inference_mode():
            for i, tokens in enumerate(tokenizer.encode_batch_fast(texts)):
                ids = torch.tensor([tokens.ids])
                states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
                rows[i] = states[0].double().mean(dim=0).numpy()
        return rows

    return encode


def weights(transformers: Any, folder: Path) -> Any:
    """Return the model with its own weights, float32, of its folder; no other file there is read."""
    with closed(folder, files.MODELS["minilm"].pins) as place:
        model = transformers.AutoModel.from_pretrained(str(place), local_files_only=True, use_safetensors=True)
        return model.float()


def requirements() -> tuple[Any, Any]:
    """Return torch and transformers; PlatformError with the commands to run if they are not installed."""
    return files.module("torch", _REMEDY), files.module("transformers", _REMEDY)
