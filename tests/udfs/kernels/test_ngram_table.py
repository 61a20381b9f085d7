"""The tables of an n-gram model against the model itself, byte by byte, and the sum over 256 bytes that they avoid."""

from __future__ import annotations

import numpy as np
import pytest

from lakesift.udfs.kernels.code_table import CodeTable
from lakesift.udfs.kernels.ngram_model import fit, probabilities
from lakesift.udfs.kernels.ngram_table import NgramScorer, tabulate
from tests.texts import functions

TRAIN = [text.encode() for text in functions(80)[:60]]
TEXTS = [text.encode()[:400] for text in functions(80)[60:]]


def test_nll_is_the_models() -> None:
    model = fit(TRAIN, 5)
    _, nll = NgramScorer(tabulate(model)).bits(TEXTS)
    p = probabilities(model, TEXTS)
    ends = np.cumsum([len(t) for t in TEXTS])
    expected = [-np.log2(part).mean() for part in np.split(p, ends[:-1])]
    np.testing.assert_allclose(nll, expected, rtol=1e-6)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_entropy_is_the_sum_over_all_bytes(order: int) -> None:
    model, text = fit(TRAIN, order), b"def \xc3\xa9x(self): return zq"
    scorer, expected = NgramScorer(tabulate(model)), []
    for i in range(len(text)):
        p = np.array([probabilities(model, [text[:i] + bytes([b])])[-1] for b in range(256)])
        np.testing.assert_allclose(p.sum(), 1)
        expected.append(-(p * np.log2(p)).sum())
    for n in range(1, len(text) + 1):
        np.testing.assert_allclose(scorer.bits([text[:n]])[0][0], np.mean(expected[:n]), rtol=1e-6)


def test_values_of_a_text_do_not_follow_from_its_mates() -> None:
    scorer = NgramScorer(tabulate(fit(TRAIN, 5)))
    whole = scorer.bits([*TEXTS, b"", TEXTS[0]])
    for i, text in enumerate(TEXTS):
        for alone, all_of_them in zip(scorer.bits([text]), whole, strict=True):
            assert alone.tobytes() == all_of_them[i : i + 1].tobytes()
    assert np.isnan([x[-2] for x in whole]).all()


def test_known_values() -> None:
    # "aa" at order 1: c(a) = 2, so P(a) = 1.25 / 2 + .375 / 256, and .375 / 256 for each other byte.
    p = 1.25 / 2 + 0.375 / 256
    entropy, nll = NgramScorer(tabulate(fit([b"aa"], 1))).bits([b"a", b"b"])
    np.testing.assert_allclose(nll, [-np.log2(p), -np.log2(0.375 / 256)], rtol=1e-6)
    np.testing.assert_allclose(entropy, [-p * np.log2(p) - 255 * 0.375 / 256 * np.log2(0.375 / 256)] * 2, rtol=1e-6)


def test_a_table_finds_every_code_and_no_other() -> None:
    draw = np.random.default_rng(1)
    for size in (0, 1, 7, 1000, 4096):
        codes = np.unique(draw.integers(0, 2**52, size, dtype=np.uint64))
        draw.shuffle(codes)
        table = CodeTable(codes)
        assert (table.find(codes) == np.arange(len(codes))).all()
        others = draw.integers(0, 2**52, 500, dtype=np.uint64)
        assert (table.find(others) == np.where(np.isin(others, codes), table.find(others), -1)).all()
    # Codes that all want one place: neighbours along the table.
    same = np.arange(1, 200, dtype=np.uint64) * np.uint64(0xF1DE83E19937733D)  # the inverse of the multiplier
    assert (CodeTable(same).find(same[::-1]) == np.arange(len(same))[::-1]).all()
