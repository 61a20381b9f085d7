"""Scorers of other shapes than one number, and ones that misbehave: what the Spark edge must cope with."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lakesift.udfs.scorer import Kernel, Scorer


@dataclass(frozen=True)
class Ends(Scorer):
    """First and last code point: a struct of two integers; undefined for the empty text (both null)."""

    kind = "ends"
    value = "struct<first:bigint,last:double>"
    comment = "code points of the first and the last character; null where there is none"

    def kernel(self) -> Kernel:
        """Return texts (n,) -> {"first": (n,), "last": (n,)}."""

        def kernel(texts: Sequence[str]) -> dict[str, Any]:
            first = np.array([ord(t[0]) if t else np.nan for t in texts])
            return {"first": first, "last": np.array([float(ord(t[-1])) if t else np.nan for t in texts])}

        return kernel


@dataclass(frozen=True)
class Digits(Scorer):
    """Counts of the digits 0 to 2: a vector of three floats; undefined without a digit."""

    kind = "digits"
    value = "array<float>"
    comment = "counts of 0, 1 and 2; null without any"

    def kernel(self) -> Kernel:
        """Return texts (n,) -> (n, 3)."""

        def kernel(texts: Sequence[str]) -> Any:
            counts = np.array([[t.count(d) for d in "012"] for t in texts], dtype=np.float32).reshape(-1, 3)
            return np.where(counts.sum(axis=1, keepdims=True) > 0, counts, np.nan)

        return kernel


@dataclass(frozen=True)
class DigitSum(Scorer):
    """Sum of a vector: a scorer that reads another score."""

    kind = "digit_sum"
    comment = "sum of the vector, at least 0; null where the vector is"
    takes = "vector"

    of: str = "digits"

    def kernel(self) -> Kernel:
        """Return vectors (n, d) -> (n,)."""

        def kernel(vectors: Any) -> Any:
            return vectors.sum(axis=1).astype(float)

        return kernel


@dataclass(frozen=True)
class Mortal(Scorer):
    """Length in characters; kills its own Python worker once (`marker` remembers), yields infinity for `poison`."""

    kind = "mortal"
    comment = "characters, from 0; larger is longer"

    marker: str = ""
    poison: str = ""

    def kernel(self) -> Kernel:
        """Return texts (n,) -> float64 (n,)."""

        def kernel(texts: Sequence[str]) -> Any:
            if self.marker and not Path(self.marker).exists():
                Path(self.marker).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return np.array([np.inf if self.poison and self.poison in t else len(t) for t in texts], dtype=float)

        return kernel


@dataclass(frozen=True)
class Picky(Scorer):
    """Length in characters; raises for texts that hold a backslash."""

    kind = "picky"
    comment = "characters, from 0; larger is longer"

    def kernel(self) -> Kernel:
        """Return texts (n,) -> float64 (n,)."""

        def kernel(texts: Sequence[str]) -> Any:
            if any("\\" in t for t in texts):
                raise ValueError("no backslashes, please")
            return np.array([len(t) for t in texts], dtype=float)

        return kernel
