"""A fitted byte n-gram model as tables: probability of every known n-gram, entropy after every known history.

The model is that of ngram_model.py. With P_n(b | h) its probability at length n, g(h) = D d(h) / c(h) what a history
leaves for shorter ones, and h' the history without its first byte, the entropy after h follows from that after h':

    H(h) = -sum_seen P log2 P - g [log2 g (1 - sum_seen P') - H(h') - sum_seen P' log2 P']      H of no model = 8 bits

where P' = P_{n-1}(b | h'), and sums run over the bytes seen after h. So nothing is summed over 256 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Hashes, Ints
from .code_table import CodeTable
from .ngram_model import BYTE, DISCOUNT, NgramModel

#: A code is the bytes, and their number above them.
LENGTH = np.uint64(48)


@dataclass(frozen=True, eq=False)
class NgramTable:
    """n-grams of 1 to `order` <= 5 bytes, and their histories, each sorted by code.

    Parameters
    ----------
    grams : (g,) uint64, probability : (g,) float32, history : (g,) int32
        Codes, P(last byte | bytes before), and the place of the bytes before among `histories`.
    histories : (h,) uint64, rest : (h,) float32, entropy : (h,) float32
        Codes, the factor for shorter histories, and the entropy of the next byte in bits, 0 to 8.
    """

    order: int
    grams: Hashes
    probability: NDArray[np.float32]
    history: NDArray[np.int32]
    histories: Hashes
    rest: NDArray[np.float32]
    entropy: NDArray[np.float32]


def tabulate(model: NgramModel) -> NgramTable:
    """Return the tables of a fitted model."""
    shorter_p, shorter_h = np.array([1 / 256]), np.array([8.0])  # of no bytes
    grams, p, of, histories, rest, entropy, before = [], [], [], [], [], [], 0
    shorter_grams, shorter_histories = np.zeros(1, np.uint64), np.zeros(1, np.uint64)
    for n, level in enumerate(model, 1):
        last = np.uint64((1 << 8 * (n - 1)) - 1)  # without the first byte
        at = np.searchsorted(level.histories, level.grams >> BYTE)
        gamma = DISCOUNT * level.distinct / np.maximum(level.totals, 1)
        back = shorter_p[np.searchsorted(shorter_grams, level.grams & last)]
        own = (level.counts - DISCOUNT) / level.totals[at] + gamma[at] * back
        parent = shorter_h[np.searchsorted(shorter_histories, level.histories & (last >> BYTE))]
        size = len(level.histories)
        seen, seen_log = (np.bincount(at, x, size) for x in (back, back * np.log2(back)))
        unseen = np.log2(gamma) * np.maximum(1 - seen, 0) - parent - seen_log
        after = -np.bincount(at, own * np.log2(own), size) - gamma * unseen
        grams.append(level.grams | np.uint64(n) << LENGTH)
        histories.append(level.histories | np.uint64(n - 1) << LENGTH)
        p.append(own)
        of.append(before + at)
        rest.append(gamma)
        entropy.append(after)
        before += size
        shorter_p, shorter_h, shorter_grams, shorter_histories = own, after, level.grams, level.histories
    return NgramTable(
        len(model),
        np.concatenate(grams),
        np.concatenate(p).astype(np.float32),
        np.concatenate(of).astype(np.int32),
        np.concatenate(histories),
        np.concatenate(rest).astype(np.float32),
        np.maximum(np.concatenate(entropy), 0).astype(np.float32),
    )


class NgramScorer:
    """Mean entropy and mean surprise of texts in bits per byte, by look-ups."""

    def __init__(self, table: NgramTable) -> None:
        self.table = table
        self._grams, self._histories = CodeTable(table.grams), CodeTable(table.histories)

    def bits(self, texts: Sequence[bytes]) -> tuple[Floats, Floats]:
        """Return (n,) mean entropy and (n,) mean nll of the bytes of each text; NaN for an empty one.

        A text's values depend on it alone, bit for bit.

        Examples
        --------
        >>> from .ngram_model import fit
        >>> [x.tolist() for x in NgramScorer(tabulate(fit([]))).bits([b"ab", b""])]
        [[8.0, nan], [8.0, nan]]
        """
        lengths = np.array([len(text) for text in texts], np.int64)
        entropy, nll = self._bytes(b"".join(texts), lengths)
        row = np.repeat(np.arange(len(texts)), lengths)
        divisor = np.where(lengths, lengths, np.nan)
        # bincount adds in order, so that the other rows do not matter.
        return tuple(np.bincount(row, x, len(texts)) / divisor for x in (entropy, nll))  # type: ignore[return-value]

    def _bytes(self, joined: bytes, lengths: Ints) -> tuple[Floats, Floats]:
        """Return entropy and nll of every byte of the joined texts."""
        table, order = self.table, self.table.order
        byte = np.frombuffer(joined, np.uint8).astype(np.uint64)
        offset = np.arange(len(byte)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        length = np.minimum(offset, order - 1).astype(np.uint64) + np.uint64(1)  # of the longest n-gram that ends here
        code = byte.copy()
        for k in range(1, order):
            code[k:] |= byte[:-k] << (BYTE * np.uint64(k))
        p, entropy = np.ones(len(byte)), np.full(len(byte), np.nan)
        left = np.arange(len(byte))
        while len(left):
            n = length[left]
            bytes_in = code[left] & ((np.uint64(1) << BYTE * n) - np.uint64(1))
            at = self._grams.find(bytes_in | n << LENGTH)
            hit = at >= 0
            p[left[hit]] *= table.probability[at[hit]]
            after = np.full(len(left), -1)
            after[hit] = table.history[at[hit]]
            missed = np.flatnonzero(~hit)
            known = self._histories.find(bytes_in[missed] >> BYTE | (n[missed] - np.uint64(1)) << LENGTH)
            after[missed] = known
            p[left[missed[known >= 0]]] *= table.rest[known[known >= 0]]
            first = (after >= 0) & np.isnan(entropy[left])  # the longest known history decides
            entropy[left[first]] = table.entropy[after[first]]
            left = left[missed]
            length[left] -= np.uint64(1)
            ended = length[left] == 0
            p[left[ended]] /= 256
            left = left[~ended]
        return np.where(np.isnan(entropy), 8.0, entropy), -np.log2(p)
