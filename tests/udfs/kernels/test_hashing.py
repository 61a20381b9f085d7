"""splitmix64 against Python's integers and the published sequences; uniforms and seeded hashes."""

from __future__ import annotations

import numpy as np
import pytest

from lakesift.udfs.kernels.hashing import GOLDEN, mix_in_place, seeded_hash, sequence, splitmix64, uniforms

WORD = 2**64


def by_hand(z: int) -> int:
    """The finalizer on Python's integers."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def test_the_finalizer_equals_integer_arithmetic() -> None:
    odd = [0, 1, 2**63, WORD - 1, *np.random.default_rng(0).integers(0, WORD, 200, dtype=np.uint64).tolist()]
    x = np.array(odd, np.uint64)
    assert splitmix64(x).tolist() == [by_hand((v + int(GOLDEN)) % WORD) for v in odd]
    assert x.tolist() == odd, "the input is left as it was"
    assert mix_in_place(x) is x
    assert x.tolist() == [by_hand(v) for v in odd]


def test_the_published_sequences() -> None:
    states = np.arange(3, dtype=np.uint64) * GOLDEN
    assert [hex(v) for v in splitmix64(states)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"]
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert sequence(1234567, 5).tolist() == known
    assert sequence(1234567, 3).tolist() == known[:3]


@pytest.mark.parametrize("seed", [0, 1, -1, -3, 2**64 - 1, 2**64 + 7])
def test_seeds_wrap_and_single_values_follow_from_their_definition(seed: int) -> None:
    assert sequence(seed, 4).tolist() == [by_hand((seed + i * int(GOLDEN)) % WORD) for i in range(1, 5)]
    salt = by_hand((seed + int(GOLDEN)) % WORD)
    expected = [by_hand(((h % WORD ^ salt) + int(GOLDEN)) % WORD) for h in (-5, 0, 9)]
    assert seeded_hash(np.array([-5, 0, 9]), seed).tolist() == expected
    assert uniforms(seed, 9, 1).tolist() == [(expected[2] >> 11) / 2**53]


def test_seeded_hashes_are_distinct_and_uniforms_even() -> None:
    assert np.unique(seeded_hash(np.arange(-5000, 5000), -3)).size == 10_000
    drawn = uniforms(1, 0, 20_000)
    assert abs(drawn.mean() - 0.5) < 0.01
    assert drawn.min() >= 0
    assert drawn.max() < 1
