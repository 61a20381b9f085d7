"""zipfit against the package zip-fit itself, and its errors."""

from __future__ import annotations

import dataclasses
import importlib
import random
import sys
import types
from typing import Any

import numpy as np
import pytest

from lakesift.udfs.errors import BoundError, InputError, PlatformError, RecipeError, ScoreError
from lakesift.udfs.scores.zipfit import Texts, ZipFit, ZipFitScorer
from tests.texts import ODD, functions, human_eval
from tests.udfs.scores.conftest import TARGET, fit_locally


@pytest.fixture(scope="module")
def reference() -> Any:
    """The package's class. It imports `datasets` for a function that is not used here: seconds, replaced by a stub."""
    pytest.importorskip("zip_fit")
    stub = types.ModuleType("datasets")
    stub.load_dataset = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "datasets", stub)
        return importlib.import_module("zip_fit.zipfit").ZIPFIT


def fitted(texts: list[str], **parameters: Any) -> ZipFitScorer:
    scorer = fit_locally(ZipFit(target=TARGET, **parameters), {TARGET: {"text": texts}})
    assert isinstance(scorer, ZipFitScorer)
    return scorer


def expected(reference: Any, rows: list[str], targets: list[str], codec: str, level: int) -> list[float]:
    """Return the package's own mean similarities (what its ranking sorts by), pair by pair."""
    theirs = reference("", "", k=1, compression_algorithm=codec, compress_level=level)
    alone = [theirs.compress(target) for target in targets]
    means = []
    for i, row in enumerate(rows):
        own = theirs.compress(row)
        pairs = [theirs.similarity((row, t, own, c, i))[1] for t, c in zip(targets, alone, strict=True)]
        means.append(np.mean(pairs))
    return means


def pairs_of() -> tuple[list[str], list[str]]:
    """Rows and targets: real functions and tasks, other scripts, empty, one character, 40 to 250 KB."""
    source = "\n".join(functions(1200))
    long = [source[:1000], source[:6000], source[:40_000], source[:100_000], source[:250_000], source[::-1][:100_000]]
    draw = random.Random(4)
    scripts = ["".join(chr(draw.randint(s, s + 90)) for _ in range(700)) for s in (0x400, 0x4E00, 0x1F600)]
    rows = [*(t for t in ODD if "\ud800" not in t), *long, *scripts, *functions(120)]
    targets = [*human_eval(33), "", "x", "数学の問題を解く。", scripts[0], source[5000:45_000]]
    return rows, targets


@pytest.mark.parametrize("level", [1, 6, 9])
def test_gzip_equals_the_package(reference: Any, level: int) -> None:
    rows, targets = pairs_of()
    assert len(rows) * len(targets) >= 5000
    ours = fitted(targets, level=level).kernel()(rows)
    np.testing.assert_allclose(ours, expected(reference, rows, targets, "gzip", level), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("codec", "level"), [("zstd", 1), ("zstd", 3), ("zstd", 9), ("lz4", 1), ("lz4", 9)])
def test_other_codecs_equal_the_package(reference: Any, codec: str, level: int) -> None:
    pytest.importorskip({"zstd": "zstandard", "lz4": "lz4.frame"}[codec])
    rows, targets = pairs_of()
    rows, targets = rows[:35], [*targets[:8], *targets[-5:-1]]
    ours = fitted(targets, codec=codec, level=level).kernel()(rows)
    np.testing.assert_allclose(ours, expected(reference, rows, targets, codec, level), rtol=0, atol=1e-12)


def test_a_target_counts_as_often_as_it_occurs(reference: Any) -> None:
    rows, targets = functions(5), [*human_eval(2), human_eval(2)[0]]
    scorer = fitted(targets)
    assert scorer.targets == tuple(sorted(targets))
    np.testing.assert_allclose(scorer.kernel()(rows), expected(reference, rows, targets, "gzip", 1), rtol=0, atol=1e-12)


def test_a_text_is_nearest_to_itself_and_undefined_without_utf8() -> None:
    texts = human_eval(12)
    matrix = np.array([fitted([text]).kernel()(texts) for text in texts])
    assert (matrix.argmax(axis=1) == np.arange(12)).all()
    value, undefined = fitted(texts).kernel()(["", "\udfff"])
    assert np.isfinite(value)
    assert np.isnan(undefined)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"target": ""}, "zipfit: target is ''; the name of a target is needed"),
        ({"level": 0}, "level 0 does not compress .* allowed levels: 1 to 9"),
        ({"level": 10}, "level 10 is not gzip's; allowed levels: 1 to 9"),
        ({"level": "1"}, "level is '1'; a whole number is needed; the default is 1"),
        ({"level": True}, "level is True; a whole number is needed"),
        ({"codec": "zstd", "level": 0}, "level 0 is not zstd's; allowed levels: 1 to 22"),
        ({"codec": "gzipp"}, "codec is 'gzipp'; did you mean 'gzip'. allowed: gzip, lz4, zstd"),
        ({"codec": ["gzip"]}, "allowed: gzip, lz4, zstd"),
        ({"chunk_bytes": -1}, "chunk_bytes is -1; a whole number from 0 is needed"),
        ({"chunk_how": "median"}, "chunk_how is 'median'; .*allowed: max, mean"),
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        ZipFit(**{"target": TARGET, **parameters})


def test_targets_that_cannot_be_used() -> None:
    with pytest.raises(InputError, match="target 'target' has no texts"):
        fitted([])
    with pytest.raises(InputError, match=r"holds 'a\\ud800', which is not UTF-8"):
        fitted(["b", "a\ud800"])
    fold = Texts()
    half = fold.add(fold.zero(), ["é" * 4_000_000])
    with pytest.raises(BoundError, match="16000001 bytes, the bound is 16000000"):
        fold.merge(half, fold.add(fold.zero(), ["é" * 4_000_000, "x"]))
    with pytest.raises(BoundError, match="16000002 bytes"):
        fold.add(fold.zero(), ["é" * 2_666_667] * 3)


@pytest.mark.parametrize("codec", ["gzip", "zstd", "lz4"])
def test_a_worker_with_another_library_stops(codec: str) -> None:
    scorer = fitted(["x"], codec=codec)
    with pytest.raises(ScoreError, match=r"this worker compresses with .* fitted with 'zlib 0.9'"):
        dataclasses.replace(scorer, library="zlib 0.9").kernel()


@pytest.mark.parametrize(("codec", "package"), [("zstd", "zstandard"), ("lz4", "lz4")])
def test_a_missing_codec_says_what_to_install(monkeypatch: pytest.MonkeyPatch, codec: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PlatformError, match=rf"package {package}, .*lakesift\[codecs\]"):
        fitted(["x"], codec=codec)
