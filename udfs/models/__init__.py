"""Loads encoders and language models: lazy imports, files with pinned hashes, no network while scoring.

A Python worker holds one model at a time: workers are reused, and three models side by side took 1.9 GB in one of
them. A kernel therefore keeps no model of its own; it calls `one_model` for every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Model = TypeVar("Model")

_loaded: dict[Hashable, Any] = {}


def one_model(key: Hashable, load: Callable[[], Model]) -> Model:
    """Return the model of `key`, loaded if this process does not hold it; another model is released first.

    Examples
    --------
    >>> one_model("a", lambda: [1]) is one_model("a", lambda: [2])
    True
    >>> one_model("b", lambda: [3]), one_model("a", lambda: [4])
    ([3], [4])
    """
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = load()
    model: Model = _loaded[key]
    return model


def on_one_thread(torch: Any, transformers: Any) -> None:
    """Set up torch for a worker: threads spin at barriers when cores are shared; each worker would show progress."""
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
