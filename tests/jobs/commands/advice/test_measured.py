"""The choice by held-out rows: hand-computed intervals, legal answers, and real rows whose order is known. No Spark."""

from __future__ import annotations

import numpy as np
import pytest

from lakesift.jobs.commands.advice.candidates import BLOCKS, Rows, ordered, reading
from lakesift.jobs.commands.advice.measured import beside_random, choose
from lakesift.jobs.commands.advice.trials import Trial
from lakesift.udfs.errors import InputError
from lakesift.udfs.kernels.ngram_model import bits_per_byte, cut, fit
from lakesift.udfs.models import encoders
from tests.texts import functions, human_eval

SIZES = (np.full(4, 10.0), np.full(4, 10.0))


def trial(method: str, choosing: float, judging: list[float], draw: int = 1) -> Trial:
    return Trial(method, draw, 50, np.full(4, choosing), np.array(judging))


def test_the_interval_is_paired_over_rows_and_knows_the_draws() -> None:
    bits, random = np.array([8.0, 9.0, 10.0, 11.0]), np.array([10.0, 11.0, 12.0, 13.0])
    gain, half = beside_random([bits], [random], SIZES[1])
    assert (gain, half) == (pytest.approx(-0.2), pytest.approx(0.0))
    gain, half = beside_random([bits], [random + 1, random - 1], SIZES[1])
    # The two draws are .1 above and below: sd .1 sqrt(2), error of their mean .1; t of 3 degrees of freedom is 3.1824.
    assert (gain, half) == (pytest.approx(-0.2), pytest.approx(0.31824, abs=1e-4))
    gain, half = beside_random([bits + np.array([2, -2, 2, -2])], [random], SIZES[1])
    # Rows scatter by 2 around the mean: sqrt(4 * 4 * 4 / 3) / 40 = .11547.
    assert (gain, half) == (pytest.approx(-0.2), pytest.approx(3.18245 * 0.11547, abs=1e-4))


@pytest.mark.parametrize(
    ("trials", "choice", "words"),
    [
        ([trial("random", 9, [9.0] * 4), trial("zipfit", 8, [8.0] * 4)], "zipfit", "-0.100 ± 0.000"),
        ([trial("random", 9, [9.0] * 4), trial("zipfit", 8, [12.0, 6, 6, 8])], "random", "no selector differs"),
        ([trial("random", 7, [9.0] * 4), trial("zipfit", 8, [1.0] * 4)], "random", "no selector differs"),
        ([trial("random", 9, [9.0] * 4)], "random", "no selector differs"),
        (
            [trial("random", 9, [9.0] * 4), trial("zipfit", 8, [8.0] * 4), trial("coverage", 7, [8.5] * 4)],
            "coverage",
            "-0.050",
        ),
    ],
)
def test_choices(trials: list[Trial], choice: str, words: str) -> None:
    found, said, table = choose(trials, SIZES)
    assert found == choice
    assert words in said
    assert [row[0] for row in table.rows] == list(dict.fromkeys(t.method for t in trials))


def test_bits_of_texts_add_up_to_bits_per_byte() -> None:
    texts, held_out = ["a little text", "and another one", "é"], ["a text", "one", "é"]
    order, sizes = np.array([2, 0, 1]), np.array([6, 3, 2])
    bits = reading(held_out)(texts, order, 20)
    model = fit(cut([texts[i] for i in order], 20))
    assert bits / sizes == pytest.approx([bits_per_byte(model, [text]) for text in held_out])
    with pytest.raises(InputError, match="fewer than the budget"):
        reading(held_out)(texts, order, 2_000)


@pytest.fixture(scope="module")
def mixed() -> tuple[Rows, list[str], np.ndarray]:
    """60 HumanEval tasks among 240 rows of prose and 60 copies; 20 others are seen."""
    tasks, code = human_eval(80), functions(200)
    prose = [f"The river {i} runs past the town of {i % 7}, where people of {i % 11} streets meet." for i in range(240)]
    texts = [*tasks[:60], *prose, *code[:1], *[code[1]] * 60]
    order = np.random.default_rng(0).permutation(len(texts))
    rows = [texts[i] for i in order]
    vectors = encoders.load("hashed_ngrams", 256)(rows).astype(np.float32)
    vectors /= np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    return Rows(rows, vectors), tasks[60:], order < 60


@pytest.mark.parametrize("method", ["zipfit", "dsir per token"])
def test_methods_for_targets_put_its_kind_first(mixed: tuple[Rows, list[str], np.ndarray], method: str) -> None:
    rows, seen, wanted = mixed
    order = ordered(rows, method, seen, 5_000, 0)
    assert sorted(order) == list(range(len(rows.texts)))
    assert wanted[order[:40]].mean() > 0.8


def test_coverage_takes_copies_once_and_ends_on_the_budget_at_least(mixed: tuple[Rows, list[str], np.ndarray]) -> None:
    rows, _, _ = mixed
    order = ordered(rows, "coverage", [], 30_000, 0)
    taken = [rows.texts[i] for i in order]
    assert len(set(taken)) == len(taken)
    left = len(set(rows.texts))
    assert rows.sizes()[order].sum() >= 30_000 or len(order) <= left
    again = ordered(rows, "coverage", [], 3_000, 0)
    assert order[: len(again)].tolist() == again.tolist(), "a smaller budget is a prefix"


def test_draws_differ_and_are_the_same_again(mixed: tuple[Rows, list[str], np.ndarray]) -> None:
    rows = mixed[0]
    one, two = (ordered(rows, "random", [], 1, seed).tolist() for seed in (1, 2))
    assert one != two
    assert one == ordered(rows, "random", [], 1, 1).tolist()
    assert list(BLOCKS)[:2] == ["random", "coverage"], "what needs no target comes first"
