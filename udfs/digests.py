"""Digests of parameters and fitted state: equal content, equal digits, whatever the order of keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def _canonical(value: Any) -> Any:
    """Return a JSON-able twin of a parameter in which equal content is equal text."""
    if isinstance(value, np.ndarray):
        body = np.ascontiguousarray(value)
        return ["array", str(body.dtype), list(body.shape), hashlib.sha256(body.tobytes()).hexdigest()]
    if isinstance(value, bytes):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if isinstance(value, Mapping):
        return {str(k): _canonical(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"a parameter of type {type(value).__name__} has no canonical form")


def digest(value: Any) -> str:
    """Return 16 hex digits of SHA-256 over the canonical JSON of parameters, arrays and nested mappings.

    Examples
    --------
    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    >>> digest([1]) == digest([1.0])
    False
    """
    text = json.dumps(_canonical(value), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def derived_seed(*parts: object) -> int:
    """Return a seed, below 2^60, for one use of randomness, named by numbers and strings: independent of all others.

    Examples
    --------
    >>> derived_seed(42, "a") == derived_seed(42, "a"), derived_seed(42, "a") == derived_seed(42, "b")
    (True, False)
    """
    return int(digest(list(parts))[:15], 16)
