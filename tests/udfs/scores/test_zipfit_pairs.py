"""zipfit_pairs: its pairs add up to zipfit bit for bit, and it holds the laws of a scorer."""

from __future__ import annotations

import gzip
import math
import pickle
import random

import numpy as np
import pytest

from lakesift.udfs.discovery import scorers
from lakesift.udfs.errors import RecipeError, ScoreError
from lakesift.udfs.kernels import codecs
from lakesift.udfs.scorer import fingerprint
from lakesift.udfs.scores.zipfit import ZipFitScorer
from lakesift.udfs.scores.zipfit_pairs import ZipFitPairsScorer
from tests.texts import ODD, functions, human_eval, stitched

ROWS = [*ODD, *functions(60), *stitched(6000, 2), "x" * 40_000]
TARGETS = (*human_eval(23), "", "数学の問題を解く。")


def whole(codec: str = "gzip", level: int = 1, **more: int) -> ZipFitScorer:
    return ZipFitScorer("text", TARGETS, codec, level, codecs.library_version(codec), **more)


def pairs(subset: list[int], scorer: ZipFitScorer | None = None) -> np.ndarray:
    found: np.ndarray = ZipFitPairsScorer.of_targets(scorer or whole(), subset).kernel()(ROWS)
    return found


@pytest.mark.parametrize(("codec", "level"), [("gzip", 1), ("gzip", 9), ("zstd", 3), ("lz4", 1)])
def test_pairs_from_any_subsets_add_up_to_zipfit_bit_for_bit(codec: str, level: int) -> None:
    pytest.importorskip({"gzip": "gzip", "zstd": "zstandard", "lz4": "lz4.frame"}[codec])
    scorer = whole(codec, level)
    expected = scorer.kernel()(ROWS)
    order = random.Random(level).sample(range(len(TARGETS)), len(TARGETS))
    parts = [pairs(order[a:b], scorer) for a, b in ((0, 4), (4, 16), (16, len(order)))]
    every = np.hstack([part[:, 2:] for part in parts])
    made = np.array([math.fsum(row) / len(TARGETS) for row in every.tolist()])
    assert made.tobytes() == expected.tobytes()
    assert all(part[:, :2].tobytes() == parts[0][:, :2].tobytes() for part in parts), "they do not depend on the subset"


def test_what_needs_no_pair_is_of_all_targets() -> None:
    found = pairs([3])
    alone = [len(gzip.compress(t.encode(), 1)) for t in TARGETS]
    for text, (size, bound, similar) in zip(ROWS, found.tolist(), strict=True):
        if "\ud800" in text:
            assert math.isnan(size + bound + similar)
            continue
        own = len(gzip.compress(text.encode(), 1))
        both = len(gzip.compress((text + TARGETS[3]).encode(), 1))
        assert size == pytest.approx(math.log(own), rel=1e-15)
        assert bound == pytest.approx(math.fsum(min(own, t) / max(own, t) for t in alone) / len(alone), rel=1e-15)
        assert similar == 1 - (both - min(own, alone[3])) / max(own, alone[3])


def test_a_row_of_pairs_depends_on_its_text_alone() -> None:
    scorer = ZipFitPairsScorer.of_targets(whole(), [5, 0, 5])
    every, draw = scorer.kernel()(ROWS), random.Random(2)
    assert every[:, 2].tobytes() == every[:, 4].tobytes()
    for size in (1, 7, 300):
        order = draw.choices(range(len(ROWS)), k=300)
        kernel = scorer.kernel()
        found = np.vstack([kernel([ROWS[i] for i in order[a : a + size]]) for a in range(0, 300, size)])
        assert found.tobytes() == every[order].tobytes()
    assert scorer.kernel()([]).shape == (0, 5)


def test_it_is_no_score_for_recipes_but_pickles_and_is_told_apart() -> None:
    assert "zipfit_pairs" not in scorers()
    one, other = (ZipFitPairsScorer.of_targets(whole(), subset) for subset in ([0, 1], [1, 0]))
    assert pickle.loads(pickle.dumps(one)) == one
    assert len({fingerprint(scorer) for scorer in (one, other, whole())}) == 3
    assert fingerprint(ZipFitPairsScorer.of_targets(whole(), [0, 1])) == fingerprint(one)


def test_what_cannot_be_raced_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"chunk_bytes 500, .* allowed: 0; take chunk_bytes out"):
        ZipFitPairsScorer.of_targets(whole(chunk_bytes=500), [0])
    with pytest.raises(ScoreError, match="this worker compresses with"):
        ZipFitPairsScorer(targets=("a",), sizes=(21,), library="zlib 0.9").kernel()
