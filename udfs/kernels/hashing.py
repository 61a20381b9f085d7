"""splitmix64: 64-bit hashes of integers and a random sequence that can be entered at any place.

The sequence of a seed is mix(seed + GOLDEN), mix(seed + 2 GOLDEN), ... modulo 2^64. Source: Steele, Lea and Flood,
"Fast splittable pseudorandom number generators" (2014). Not cryptographic: whoever knows a hash can find its input.
Left out: hashes of strings (callers hash bytes by CRC-32 or BLAKE2 first and spread the bits here).
"""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Hashes, Ints

#: The increment of the sequence: 2^64 divided by the golden ratio, made odd.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


def mix_in_place(x: Hashes) -> Hashes:
    """Overwrite (n,) uint64 with their hashes and return them: every bit of the input moves every bit. A bijection.

    Examples
    --------
    >>> x = np.array([0, 1], np.uint64)
    >>> [hex(h) for h in mix_in_place(x)], hex(x[1])
    (['0x0', '0x5692161d100b05e5'], '0x5692161d100b05e5')
    """
    x ^= x >> _SHIFTS[0]
    x *= _FIRST
    x ^= x >> _SHIFTS[1]
    x *= _SECOND
    x ^= x >> _SHIFTS[2]
    return x


def splitmix64(x: Hashes) -> Hashes:
    """Return the first number of the sequence of each seed, (n,) uint64; the seeds are not changed. A bijection.

    Examples
    --------
    >>> hex(splitmix64(np.zeros(1, np.uint64))[0])
    '0xe220a8397b1dcdaf'
    """
    return mix_in_place(x + GOLDEN)


def sequence(seed: int, count: int) -> Hashes:
    """Return the first `count` numbers of a seed's sequence, (count,) uint64: fewer are the first of more.

    Examples
    --------
    >>> [hex(h) for h in sequence(0, 2)]
    ['0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4']
    """
    return mix_in_place(np.uint64(seed % 2**64) + np.arange(1, count + 1, dtype=np.uint64) * GOLDEN)


def seeded_hash(h: Ints, seed: int) -> Hashes:
    """Return (n,) uint64 from int64 hashes and a seed: an order of the rows that changes with the seed.

    Examples
    --------
    >>> h = np.array([1, 2, 3])
    >>> bool((seeded_hash(h, 0) != seeded_hash(h, 1)).all())
    True
    """
    salt = splitmix64(np.array([seed % 2**64], np.uint64))
    return splitmix64(np.asarray(h, np.int64).view(np.uint64) ^ salt)


def uniforms(seed: int, first: int, count: int) -> Floats:
    """Return the seeded hashes of `first` to `first + count - 1` as numbers in [0, 1), (count,) float64.

    Examples
    --------
    >>> bool((uniforms(7, 0, 5)[2:] == uniforms(7, 2, 3)).all())
    True
    """
    return fractions(seeded_hash(np.arange(first, first + count), seed))


def fractions(hashes: Hashes) -> Floats:
    """Return uint64 hashes as numbers in [0, 1): their top 53 bits, all that float64 holds without rounding.

    Examples
    --------
    >>> fractions(np.array([0, 1 << 63], np.uint64)).tolist()
    [0.0, 0.5]
    """
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
