"""What a selection is worth: how many times its bytes of random rows teach a byte model as much about held-out texts.

Byte 5-gram models (ngram_model.py) are fitted on the first S bytes of the selection, and on a quarter, half, one, two
and four times S bytes of random rows, in several random orders. The curve of the latter, linear in the logarithm of the
bytes, is read where it takes as many bits per held-out byte as the selection. Ours; the interval is a bootstrap
(Efron 1979) over both what was drawn and what is held out: 95 % of the answers of resampled orders and held-out texts.

Beyond the ends of the curve nothing is known: there the answer is an end of it. Left out: the spread over other
selections of the same method, which one selection cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import NamedTuple

import numpy as np

from ..arrays import Floats
from .ngram_model import bits_reader, cut, fit

#: Bytes of the selection that are read at most, in multiples of which random rows are read.
BYTES, TIMES = 200_000, (0.25, 0.5, 1.0, 2.0, 4.0)
#: Random orders, bytes of held-out texts, and resamples.
ORDERS, HELD_OUT_BYTES, RESAMPLES = 10, 200_000, 1_000
#: Held-out texts below which an interval over them says nothing.
LEAST_TEXTS = 20


class Worth(NamedTuple):
    """`times` random bytes for one of the selection, with the ends of its 95 % interval; `bytes` were read of it.

    An end of the curve means "at most" or "at least". `curve` has (times, bits per held-out byte of random rows).
    """

    times: float
    low: float
    high: float
    bytes: int
    bits: float
    curve: tuple[tuple[float, float], ...]


def worth(
    selection: Sequence[str], random: Sequence[str], held_out: Mapping[str, Sequence[str]], seed: int
) -> dict[str, Worth | str]:
    """Return by target what a selection is worth in bytes of random rows, or why that cannot be told.

    Parameters
    ----------
    selection : sequence of str
        In random order: it is cut.
    random : sequence of str
        Rows that the selection was chosen from, a random part of them.
    held_out : mapping of str to sequence of str
        By target, in random order: they are cut. Models are fitted once for all of them.

    Returns
    -------
    dict of str to Worth or str
    """
    size, there = min(BYTES, _bytes(selection)), _bytes(random)
    texts = {name: _first(of_target, HELD_OUT_BYTES) for name, of_target in held_out.items()}
    times = [t for t in TIMES if 1 <= int(t * size) <= there]
    few = len(times) < 2 or times[-1] < 1
    found: dict[str, Worth | str] = {}
    for name, of_target in texts.items():
        if len(of_target) < LEAST_TEXTS:
            found[name] = f"{len(of_target)} held-out texts are too few to tell, of {LEAST_TEXTS} at least"
        elif few:
            found[name] = "the rows it was chosen from hold too few bytes to be compared"
    asked = [name for name in texts if name not in found]
    if not asked:
        return found
    bits = bits_reader([text for name in asked for text in texts[name]])
    own = bits(fit(cut(selection, size)))
    rng, curves = np.random.default_rng(seed), np.empty((ORDERS, len(times), len(own)))
    for order in range(ORDERS):
        shuffled = [random[i] for i in rng.permutation(len(random))]
        curves[order] = [bits(fit(cut(shuffled, int(t * size)))) for t in times]
    end = 0
    for name in asked:
        lengths = np.array([len(text) for text in texts[name]], dtype=float)
        mine = slice(end, end := end + len(lengths))
        found[name] = _worth(curves[:, :, mine], own[mine], lengths, times, size, deepcopy(rng))
    return {name: found[name] for name in texts}


def _worth(
    curves: Floats, own: Floats, lengths: Floats, times: Sequence[float], size: int, rng: np.random.Generator
) -> Worth:
    """Return what bits of one target's texts say: (orders, times, texts) after random rows, (texts,) after ours."""
    curve, level = curves.mean(0).sum(1) / lengths.sum(), float(own.sum() / lengths.sum())
    low, high = _interval(curves, own, lengths, times, rng)
    points = tuple((t, float(b)) for t, b in zip(times, curve, strict=True))
    return Worth(bytes_at(curve, level, times), low, high, size, level, points)


def _interval(
    curves: Floats, own: Floats, lengths: Floats, times: Sequence[float], rng: np.random.Generator
) -> tuple[float, float]:
    """Return the interval of 95 % of resampled answers, from bits (orders, times, texts) and (texts,), and bytes."""
    orders_of, texts = len(curves), len(lengths)
    resampled = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        drawn = rng.multinomial(texts, np.full(texts, 1 / texts)).astype(float)
        orders = rng.multinomial(orders_of, np.full(orders_of, 1 / orders_of)) / orders_of
        curve = np.einsum("o,oth,h->t", orders, curves, drawn) / (drawn @ lengths)
        resampled[i] = bytes_at(curve, own @ drawn / (drawn @ lengths), times)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def bytes_at(curve: Floats, bits: float, times: Sequence[float]) -> float:
    """Return where a curve of bits, which may not rise, takes so many; the middle of where it is level.

    Examples
    --------
    >>> curve = np.array([3.0, 2.0, 1.0])
    >>> bytes_at(curve, 1.5, [1, 2, 4]) == 2 * 2**0.5, bytes_at(curve, 0.5, [1, 2, 4]), bytes_at(curve, 9.0, [1, 2, 4])
    (True, 4.0, 1.0)
    >>> bytes_at(np.array([3.0, 3.0, 3.0]), 3.0, [1, 2, 4])
    2.0
    """
    falling, places = np.minimum.accumulate(curve), np.log2(times)
    first, last = int((falling > bits).sum()), int((falling >= bits).sum()) - 1  # that it reaches, and does not pass
    if first <= last:
        return float(2 ** ((places[first] + places[last]) / 2))
    return float(2 ** np.interp(-bits, -falling, places))


def _first(texts: Sequence[str], size: int) -> list[bytes]:
    """Return the first texts, without empty ones, until they hold so many bytes; at least LEAST_TEXTS of them."""
    taken: list[bytes] = []
    for text in filter(None, texts):
        if size <= 0 and len(taken) >= LEAST_TEXTS:
            break
        taken.append(text.encode("utf-8", "surrogatepass"))
        size -= len(taken[-1])
    return taken


def _bytes(texts: Sequence[str]) -> int:
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
