"""Tokenizers by name: wordllama's, or a file in the form of Hugging Face's tokenizer.json; text to token ids.

Left out: special tokens, which are no part of a text, and any cut.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path

from ..errors import PlatformError, ScoreError
from ..kernels.tokens import utf8
from . import files, wordllama

_REMEDY = "pip install tokenizers"


def _place(name: str) -> Path:
    return Path(name).expanduser()


def identity(name: str) -> str:
    """Return 16 hex digits that change with a tokenizer's file; "" where it is not here (see `check_machine`)."""
    if name == "wordllama":
        return files.identity(name)
    place = _place(name)
    if not place.is_file():
        return ""
    found = place.stat()
    return _hash(str(place), found.st_size, found.st_mtime_ns)


@cache
def _hash(place: str, _size: int, _changed: int) -> str:
    """Hash a file, once for each size and time of change."""
    return files.sha256(Path(place))[:16]


def check_machine(name: str) -> None:
    """Raise PlatformError if the package or file of a tokenizer is missing here."""
    files.module("tokenizers", _REMEDY)
    if name == "wordllama":
        files.path_of(name)
    elif not _place(name).is_file():
        raise PlatformError(
            f"the tokenizer {name!r} is no file on {platform.node()}; allowed: wordllama, or a tokenizer.json in the "
            "form of Hugging Face, there on the driver and on every worker; correct the path"
        )


def load(name: str, declared: str) -> Callable[[str], list[int]]:
    """Return text -> ids of its tokens; none for text that is not UTF-8.

    Raises
    ------
    PlatformError
        If the package or file is missing.
    ScoreError
        If the file is not the one that was declared, or holds no tokenizer.
    """
    check_machine(name)
    files.refuse_other(declared, identity(name), name, "identity")
    if name == "wordllama":
        return wordllama.tokeniser()
    try:
        loaded = files.tokenizer(_place(name), _REMEDY)
    except PlatformError:
        raise
    except Exception as error:  # the package raises Exception itself
        raise ScoreError(
            f"{name} holds no tokenizer in the form of Hugging Face ({error}); name another file"
        ) from None

    def tokenise(text: str) -> list[int]:
        return [] if utf8(text) is None else list(loaded.encode(text, add_special_tokens=False).ids)

    return tokenise
