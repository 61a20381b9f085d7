"""How selections are compared: bits per byte on held-out rows at equal bytes, length-matched random rows, worth.

A selection is an *order* of rows, of which a budget of bytes takes a prefix. The judge fits a byte n-gram model on that
prefix, its last row cut to the byte, and reads the held-out rows of every task: lower is better. It shares nothing with
the vectors by which selectors choose.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from lakesift.udfs.kernels.bytes_worth import bytes_at
from lakesift.udfs.kernels.ngram_model import cut, fit, reader
from tests.bench.corpus import corpus

Array = np.ndarray[Any, np.dtype[Any]]
#: Length quantiles inside which rows are matched; times the bytes at which random rows are read for `worth`.
BINS, TIMES = 20, (0.5, 1.0, 2.0, 4.0)


class Judge:
    """Reads held-out rows, by task: {task: texts}."""

    def __init__(self, held_out: Mapping[str, Sequence[str]], order: int = 5) -> None:
        self.names, self._order = list(held_out), order
        rows = {name: [text.encode("utf-8", "surrogatepass") for text in texts] for name, texts in held_out.items()}
        self._sizes = np.array([sum(map(len, of_task)) for of_task in rows.values()])
        self._read = reader([row for of_task in rows.values() for row in of_task], order)

    def __call__(self, texts: Sequence[str], order: Sequence[int] | Array, budget: int) -> Array:
        """Return bits per byte of each task, (tasks,), after the first `budget` bytes of texts in an order.

        InputError where the texts have fewer.
        """
        bits = -np.log2(self._read(fit(cut([texts[i] for i in order], budget), self._order)))
        sums: Array = np.add.reduceat(bits, np.cumsum(self._sizes) - self._sizes) / self._sizes
        return sums


@cache
def judge_of(name: str) -> Judge:
    """Return the judge of a corpus, the same for all its pools."""
    return Judge(corpus(name).held_out)


def sizes_of(texts: Sequence[str]) -> Array:
    """Return the bytes of each text."""
    return np.array([len(text.encode("utf-8", "surrogatepass")) for text in texts])


def rows_within(sizes: Array, order: Array, budget: int) -> Array:
    """Return the first rows of an order that fit into a budget of bytes whole, at least one.

    Examples
    --------
    >>> rows_within(np.array([5, 1, 3]), np.array([2, 1, 0]), 5).tolist()
    [2, 1]
    """
    return order[: max(1, int(np.searchsorted(np.cumsum(sizes[order]), budget, "right")))]


def in_turn(group: Array, key: Array, weight: Array, draw: np.random.Generator) -> Array:
    """Return all rows in the order of a quota: the i-th of group j by `key` has the place (i - u_j) / weight_j.

    Every prefix holds groups in proportion to their weights, (groups,), as far as they have rows; those of weight 0
    come last.

    Examples
    --------
    >>> in_turn(np.array([0, 0, 0, 1]), np.arange(4), np.ones(2), np.random.default_rng(0)).tolist()
    [0, 3, 1, 2]
    """
    size, offset = np.bincount(group, minlength=len(weight)), draw.random(len(weight))
    rows = np.lexsort((key, group))
    place = np.empty(len(group))
    place[rows] = np.arange(1, len(group) + 1) - (np.cumsum(size) - size)[group[rows]]
    with np.errstate(divide="ignore"):
        return np.argsort((place - offset[group]) / weight[group], kind="stable")


def length_matched(sizes: Array, chosen: Array, draw: np.random.Generator) -> Array:
    """Return all rows in a random order of which every prefix has the lengths of the chosen ones: shares by bin."""
    ends = np.quantile(sizes, np.arange(1, BINS) / BINS)
    bins = np.searchsorted(ends, sizes)
    return in_turn(bins, draw.random(len(sizes)), np.bincount(bins[chosen], minlength=BINS).astype(float), draw)


def worth(bits: float, curve: ArrayLike, times: Sequence[float] = TIMES) -> float:
    """Return how many times the bytes of random rows give the same bits, by a curve of random rows at `times`.

    Log bytes are interpolated; outside the curve it is the curve's end.

    Examples
    --------
    >>> round(worth(2.5, [3.0, 2.8, 2.6, 2.4]), 2), worth(9.0, [3.0, 2.8, 2.6, 2.4])
    (2.83, 0.5)
    """
    return bytes_at(np.asarray(curve, float), bits, times)


def interval(values: ArrayLike) -> tuple[float, float]:
    """Return the mean and half of its 95 % t-interval; a half of infinity for fewer than two values.

    Examples
    --------
    >>> [round(number, 2) for number in interval([1.0, 2.0, 3.0])]
    [2.0, 2.48]
    """
    v = np.asarray(values, float)
    if len(v) < 2:
        return float(v.mean()) if len(v) else math.nan, math.inf
    return float(v.mean()), float(student.ppf(0.975, len(v) - 1) * v.std(ddof=1) / math.sqrt(len(v)))


def number(value: float, digits: int, sign: bool = True) -> str:
    """Return a number as docs/ writes it.

    Examples
    --------
    >>> number(-0.2049, 3), number(0.5, 1, sign=False), number(1.234, 2)
    ('-.205', '.5', '+1.23')
    """
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("0.", ".", int(abs(round(value, digits)) < 1))


def cell(values: ArrayLike, digits: int = 3) -> str:
    """Return mean +- half width of the 95 % t-interval, in bold where it leaves out 0.

    Examples
    --------
    >>> cell([1.0, 2.0, 3.0], 1), cell([2.0, 2.1, 2.2], 1), cell([-0.1])
    ('+2.0 +- 2.5', '**+2.1 +- .2**', '-.100')
    """
    mean, half = interval(values)
    if math.isinf(half):
        return number(mean, digits)
    said = f"{number(mean, digits)} +- {number(half, digits, sign=False)}"
    return f"**{said}**" if abs(mean) > half else said


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as docs/ writes it.

    Examples
    --------
    >>> print(markdown(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"|{'|'.join(line)}|" if line[0] == "---" else f"| {' | '.join(line)} |" for line in lines)
