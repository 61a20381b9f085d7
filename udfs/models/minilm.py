"""all-MiniLM-L6-v2 by torch and transformers: the mean of the last hidden states, float32, one row at a time.

Batch mates and padding move a vector by 1e-7 in float32, so a batch would break the law of rows; alone they are the
same bits. The model is the one sentence-transformers loads, with its cut at 256 tokens. Other CPUs and builds of torch
give other last bits. Left out: bfloat16 and GPUs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import files

WIDTH = 384
MAX_TOKENS = 256
_REMEDY = "pip install 'lakesift[torch]' and lakesift models get minilm"


def load(folder: Path) -> Callable[[Sequence[str]], NDArray[np.float64]]:
    """Return n texts, none empty and all UTF-8 -> (n, 384) float64."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    torch, transformers = requirements()
    transformers.logging.disable_progress_bar()  # one for every worker
    torch.set_num_threads(1)  # threads spin at barriers as soon as cores are shared
    tokenizer = files.module("tokenizers", _REMEDY).Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    model = transformers.AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    model = model.float().eval()

    def encode(texts: Sequence[str]) -> NDArray[np.float64]:
        rows = np.empty((len(texts), model.config.hidden_size))
        with torch.inference_mode():
            for i, found in enumerate(tokenizer.encode_batch_fast(texts)):
                token = torch.tensor([found.ids])
                states = model(input_ids=token, attention_mask=torch.ones_like(token)).last_hidden_state
                rows[i] = states[0].double().mean(dim=0).numpy()
        return rows

    return encode


def requirements() -> tuple[Any, Any]:
    """Return torch and transformers; PlatformError with the two commands where they are not installed."""
    return files.module("torch", _REMEDY), files.module("transformers", _REMEDY)
