"""Language models by torch and transformers: the fetched one, or a local folder in Hugging Face's form; CPU or GPU.

For architectures that llama_graph.py does not write (GPT-2, Qwen), and for GPUs. One text at a time, one thread.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Floats, Ints
from ..errors import PlatformError, ScoreError
from ..kernels.token_bits import token_bits
from . import files, on_one_thread
from .causal import CausalModel, ids_of, tokenizer
from .reading import closed, identity

_REMEDY = "pip install 'lakesift[torch]'"
#: The files of a folder that decide its values; weights as safetensors only, which hold no code.
_NEEDED = ("config.json", "tokenizer.json")
WEIGHTS = "*.safetensors"
#: Which weights lie in which file, where there are several; and what decides no value.
_INDEX, _ALSO = "model.safetensors.index.json", "generation_config.json"


def requirements() -> tuple[Any, Any]:
    """Return torch and transformers; PlatformError with the command to run if they are not installed."""
    return files.module("torch", _REMEDY), files.module("transformers", _REMEDY)


def folder_identity(folder: str) -> str:
    """Return 16 hex digits of the SHA-256 of a folder's weights, their index, config and tokenizer.

    Raises
    ------
    PlatformError
        If the folder holds no model in Hugging Face's form.
    """
    path = Path(folder).expanduser()
    weights = sorted(path.glob(WEIGHTS))
    absent = [name for name in _NEEDED if not (path / name).is_file()] + ([] if weights else [WEIGHTS])
    if absent:
        raise PlatformError(
            f"{folder} is no folder of a language model: it has no {', '.join(absent)}; name smollm2, or a folder that "
            "save_pretrained wrote, there on the driver and on every worker"
        )
    members = [*(path / name for name in _NEEDED), *weights, *path.glob(_INDEX)]
    return _identity(tuple((str(m), identity(m)) for m in members))


@cache
def _identity(members: tuple[tuple[str, tuple[int, ...]], ...]) -> str:
    """Hash files, once for what the file system says of them."""
    digest = hashlib.sha256()
    for name, _ in members:
        digest.update(f"{Path(name).name} {files.sha256(Path(name))}\n".encode())
    return digest.hexdigest()[:16]


def load(folder: Path, device: str = "cpu", dtype: str = "float32") -> CausalModel:
    """Return the model of a folder: Hugging Face's form, or the derived files of a Llama (llama_graph.py)."""
    torch, transformers = requirements()
    on_one_thread(torch, transformers)
    if device == "cuda" and not torch.cuda.is_available():
        raise PlatformError("device cuda is asked for, and torch sees no GPU here; set device: cpu")
    model = network(folder).to(device=device, dtype=getattr(torch, dtype)).eval()

    def predict(context: Ints, tokens: Ints) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            logits = model(input_ids=torch.from_numpy(context[None]).to(device)).logits[0]
            return token_bits(logits.float().cpu().numpy(), tokens)

    return CausalModel(*tokenizer(folder, _REMEDY), predict)


def network(folder: Path) -> Any:
    """Return transformers' model of a folder, as `load` takes it, float32 on the CPU; ScoreError if it cannot."""
    torch, transformers = requirements()
    if (folder / "weights.f32").is_file():
        return _derived(folder, torch, transformers)
    there = [path.name for pattern in (*_NEEDED, WEIGHTS, _INDEX, _ALSO) for path in folder.glob(pattern)]
    try:
        with closed(folder, there) as place:
            return transformers.AutoModelForCausalLM.from_pretrained(
                str(place), local_files_only=True, use_safetensors=True
            )
    except (OSError, ValueError, KeyError) as error:
        raise ScoreError(f"transformers cannot load a causal language model from {folder}: {error}") from error


@dataclass(frozen=True)
class Sampler:
    """Draws continuations: `prompt` cuts a text into at most so many tokens, `go_on` continues it.

    `go_on` takes uniform draws (tokens, samples) in [0, 1) and returns one text a sample: each token is the first whose
    cumulated probability exceeds its draw. A continuation ends at BOS or at the model's end token.
    """

    prompt: Callable[[str, int], list[int]]
    go_on: Callable[[list[int], Any], list[str]]


def sampler(folder: Path) -> Sampler:
    """Return a sampler of the model in a folder of derived files; float32, one thread."""
    torch, transformers = requirements()
    on_one_thread(torch, transformers)
    model = _derived(folder, torch, transformers).eval()
    loaded, bos = tokenizer(folder, _REMEDY)
    ends = {bos, loaded.token_to_id("<|im_end|>")}
    # Renamed in transformers 5.
    cache_name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"

    def go_on(prompt: list[int], draws: Any) -> list[str]:
        ids, said = torch.tensor([[bos, *prompt]] * draws.shape[1]), []
        held = {cache_name: transformers.DynamicCache(), "use_cache": True}  # filled in place
        with torch.inference_mode():
            for uniform in torch.from_numpy(draws):
                logits = model(input_ids=ids, **held).logits
                reached = torch.softmax(logits[:, -1].double(), dim=1).cumsum(dim=1)
                ids = torch.searchsorted(reached, uniform[:, None], right=True).clamp(max=reached.shape[1] - 1)
                said.append(ids[:, 0])
        rows = torch.stack(said, dim=1).tolist()
        return [loaded.decode(list(itertools.takewhile(lambda t: t not in ends, row))) for row in rows]

    return Sampler(lambda text, most: ids_of(loaded, text)[:most], go_on)


def _derived(folder: Path, torch: Any, transformers: Any) -> Any:
    """Return transformers' Llama with the weights of derived files."""
    config = json.loads((folder / "config.json").read_text())
    places, mapped = config.pop("tensors"), np.memmap(folder / "weights.f32", np.float32, "r")
    names = {k: v for k, v in config.items() if k != "rope_theta"}
    up = places["model.layers.0.mlp.up_proj.weight"][1][1]
    shape = transformers.LlamaConfig(
        **names, intermediate_size=up, rope_theta=config["rope_theta"], tie_word_embeddings=True
    )
    model = transformers.LlamaForCausalLM(shape)
    state = {}
    for name, (at, size) in places.items():
        values = mapped[at // 4 : at // 4 + int(np.prod(size))].reshape(size)
        if name.startswith("model."):
            turned = values.T if name.startswith("model.layers.") and len(size) == 2 else values
            state[name] = torch.from_numpy(np.array(turned))
    model.load_state_dict(state, strict=False)
    model.tie_weights()
    return model
