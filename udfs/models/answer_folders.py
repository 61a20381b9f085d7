"""Where the model to train on answers comes from, and where a trained one goes: files, checks, identity.

smollm2, as it was fetched, or a local folder in Hugging Face's form; Llama-type decoders, which have model.layers,
model.norm and lm_head. A folder of a trained model is such a folder again. Left out: chat templates, which the fetched
files do not hold; a folder's own goes along.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

from ..arrays import Matrix
from ..errors import RecipeError, ScoreError
from . import causal_torch, files, on_one_thread
from .causal import BOS, tokenizer
from .reading import reading

REMEDY = "pip install 'lakesift[torch]'"
OTHER = "answers are trained on Llama-type models: name smollm2, or a folder of such a model"
#: What a tokenizer may lie in beside tokenizer.json.
_TOKENIZER = (
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"),
    "chat_template.jinja",
)


def identity(model: str) -> str:
    """Return 16 hex digits of the files of smollm2 or of a folder; PlatformError if a folder holds no model."""
    return files.identity(model) if _fetched(model) else causal_torch.folder_identity(model)


def device_here(device: str) -> Literal["cpu", "cuda"]:
    """Return the device that "auto", "cpu" or "cuda" means on this machine."""
    if device != "auto":
        return "cuda" if device == "cuda" else "cpu"
    torch, _ = causal_torch.requirements()
    return "cuda" if torch.cuda.is_available() else "cpu"


def check(model: str, layers: int = 1) -> None:
    """Raise if a package or file is missing here, or if the model has no `layers` layers to train.

    Raises
    ------
    PlatformError
        If torch, transformers or a file of the model is missing.
    ScoreError
        If the model is not Llama-type, as far as its config.json says.
    RecipeError
        If it has fewer layers.
    """
    causal_torch.requirements()
    _check_layers(folder_of(model), layers)


def save_model(model: str, layers: Mapping[str, Matrix], out: Path) -> None:
    """Write smollm2 or the model of a folder with some parameters replaced, as transformers reads it, in float32.

    Parameters
    ----------
    model : str
    layers : mapping
        Name in the network's state -> values, as a round of training returns them.
    out : Path
        A folder, made if need be: config.json, model.safetensors, tokenizer.json, tokenizer_config.json.

    Raises
    ------
    ScoreError
        If the model has no parameter of a name and shape.
    """
    torch, _ = causal_torch.requirements()
    network, folder = network_of(model), folder_of(model)
    own = {name: tuple(p.shape) for name, p in network.named_parameters()}
    for name, values in layers.items():
        if own.get(name) != values.shape:
            raise ScoreError(f"{model} has no parameter {name} of shape {values.shape}; give the layers of that model")
    network.load_state_dict({name: torch.tensor(values) for name, values in layers.items()}, strict=False)
    if _fetched(model):  # trained answers end with BOS; the fetched files do not say where an answer ends
        bos = tokenizer(folder, REMEDY)[1]
        for said in (network.config, network.generation_config):
            said.bos_token_id = said.eos_token_id = said.pad_token_id = bos
    network.save_pretrained(str(out))
    for name in ("tokenizer.json", *(n for n in _TOKENIZER if (folder / n).is_file())):
        shutil.copyfile(folder / name, out / name)
    if not (folder / "tokenizer_config.json").is_file():
        ends = dict.fromkeys(("bos_token", "eos_token", "pad_token"), BOS)
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **ends}
        (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2))


def _fetched(model: str) -> bool:
    return model in files.MODELS and files.MODELS[model].derived is not None


def folder_of(model: str) -> Path:
    """Return the folder of the files that are read; PlatformError if one is missing."""
    if _fetched(model):
        return files.path_of(model)
    causal_torch.folder_identity(model)
    return Path(model).expanduser()


def _check_layers(folder: Path, layers: int) -> None:
    config = json.loads((folder / "config.json").read_text())
    there = config.get("num_hidden_layers")
    if not isinstance(there, int):
        raise ScoreError(f"{folder} holds a model of type {config.get('model_type', 'unknown')!r}; {OTHER}")
    if layers > there:
        raise RecipeError(f"layers is {layers}, and the model in {folder} has {there}; set layers: 1 to {there}")


def network_of(model: str) -> Any:
    """Return a model by transformers, float32, on the CPU; ScoreError if it is not Llama-type."""
    on_one_thread(*causal_torch.requirements())
    folder = folder_of(model)
    with reading(model) if _fetched(model) else nullcontext():
        network = causal_torch.network(folder)
    body = getattr(network, "model", None)
    if not all(hasattr(body, name) for name in ("layers", "norm", "embed_tokens")) or not hasattr(network, "lm_head"):
        raise ScoreError(f"{folder} holds a {type(network).__name__}; {OTHER}")
    return network.float().eval()
