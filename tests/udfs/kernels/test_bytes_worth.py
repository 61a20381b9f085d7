"""What a selection is worth in bytes of random rows: one for a draw, more near a target, less for copies."""

from __future__ import annotations

import random
import time

import pytest

from lakesift.udfs.kernels.bytes_worth import BYTES, Worth, worth
from tests.texts import functions, human_eval

TEXTS = sorted(set(functions(1200)))
POOL, HELD_OUT = TEXTS[::2], TEXTS[1::2][:60]


def of(selection: list[str], pool: list[str] = POOL, held_out: list[str] = HELD_OUT) -> Worth:
    found = worth(selection, pool, {"t": held_out}, seed=5)["t"]
    assert isinstance(found, Worth), found
    assert found.low <= found.times <= found.high
    return found


def test_a_random_draw_is_worth_its_bytes() -> None:
    inside = 0
    for seed in range(4):
        drawn = random.Random(seed).sample(POOL, len(POOL) // 8)
        found = of(drawn)
        assert 0.6 < found.times < 1.7
        inside += found.low <= 1 <= found.high
    assert inside >= 3


def test_more_of_the_same_is_worth_less_and_the_target_more() -> None:
    drawn = random.Random(1).sample(POOL, len(POOL) // 8)
    copies = drawn[: len(drawn) // 4] * 4
    assert of(copies).high < 0.7
    mixed = [*POOL, *human_eval(164)[:60]]
    near = of(human_eval(164)[:60], pool=mixed, held_out=human_eval(164)[60:140])
    assert near.low > 1.5
    assert [bits for _, bits in near.curve] == sorted((bits for _, bits in near.curve), reverse=True)


def test_by_hand() -> None:
    """Rows that are all one: a quarter of the bytes teaches all that there is; one is the middle of a level curve."""
    found = worth(["abcd"] * 50, ["abcd"] * 400, {"t": ["abcd"] * 30}, seed=0)["t"]
    assert isinstance(found, Worth)
    assert (found.times, found.bytes, len({bits for _, bits in found.curve})) == (1, 200, 1)


@pytest.mark.parametrize(
    ("selection", "pool", "held_out", "reason"),
    [
        ([], POOL, HELD_OUT, "too few bytes"),
        (["", ""], POOL, HELD_OUT, "too few bytes"),
        (POOL, POOL[:3], HELD_OUT, "too few bytes"),
        (POOL[:9], POOL, HELD_OUT[:19], "19 held-out texts are too few to tell, of 20 at least"),
        (POOL[:9], POOL, ["", *HELD_OUT[:19]], "19 held-out texts are too few to tell, of 20 at least"),
        (POOL[:9], [], HELD_OUT, "too few bytes"),
    ],
)
def test_what_cannot_be_told(selection: list[str], pool: list[str], held_out: list[str], reason: str) -> None:
    found = worth(selection, pool, {"t": held_out}, seed=1)["t"]
    assert isinstance(found, str)
    assert reason in found


def test_several_targets_at_once_are_each_alone() -> None:
    held_out = {"own": HELD_OUT[:30], "few": HELD_OUT[:3], "exam": human_eval(164)[:25]}
    found = worth(POOL[:40], POOL, held_out, seed=2)
    assert list(found) == list(held_out)
    assert found == {name: worth(POOL[:40], POOL, {name: of}, seed=2)[name] for name, of in held_out.items()}


@pytest.mark.long
def test_it_is_bounded_and_repeats() -> None:
    assert of(POOL[:40]) == of(POOL[:40])
    long = ["\ud800 half a pair and " + "x" * 3_000 * (i % 3) + str(i) for i in range(300)]
    started = time.process_time()
    assert of(long, pool=long * 8, held_out=long).bytes == BYTES
    assert time.process_time() - started < 60
