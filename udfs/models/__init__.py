"""Loading of encoders and language models: lazy imports, files with pinned hashes, no network while scoring.

A Python worker holds one model at a time: workers are reused, and three models side by side took 1.9 GB in one of
them. A kernel therefore keeps no model of its own; it asks for it at every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Model = TypeVar("Model")

_held: dict[Hashable, Any] = {}


def only(key: Hashable, load: Callable[[], Model]) -> Model:
    """Return the model of `key`, loaded unless it is the one that is held; any other is let go first.

    Examples
    --------
    >>> only("a", lambda: [1]) is only("a", lambda: [2])
    True
    >>> only("b", lambda: [3]), only("a", lambda: [4])
    ([3], [4])
    """
    if key not in _held:
        _held.clear()
        _held[key] = load()
    model: Model = _held[key]
    return model
