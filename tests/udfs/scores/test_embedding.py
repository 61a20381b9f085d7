"""Embeddings: equal to the packages they stand for, the same bits in every batch."""

from __future__ import annotations

import logging
import math
import random
import re
import zlib
from collections import Counter
from dataclasses import replace
from importlib import util
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakesift.udfs import models
from lakesift.udfs.errors import RecipeError, ScoreError
from lakesift.udfs.kernels.scripts import spelling
from lakesift.udfs.models import encoders, files
from lakesift.udfs.scorer import fingerprint
from lakesift.udfs.scores.embedding import Embedding
from tests.texts import ODD, functions, human_eval

TOKENS = ("<s>", "a<s>b </s> c", "<unk>", "▁▁ ▁a", "  a  b  ", "\t\r\n", "x" * 3_000, "é" * 700, "\x00\x7f\ufffd")
STORIES = ("The dog ran across the field to its master.", "A puppy was running over the meadow with its owner.")
FINANCE = "Central banks raised interest rates to slow inflation in the euro area."
needs_wordllama = pytest.mark.skipif(util.find_spec("wordllama") is None, reason="wordllama is not installed")


@pytest.fixture(scope="module")
def package() -> Any:
    """The package wordllama itself, whose import sets up logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    wordllama = pytest.importorskip("wordllama")
    root.handlers[:], root.level = handlers, level
    return lambda **cut: wordllama.WordLlama.load(
        cache_dir=str(Path(wordllama.__file__).parent), disable_download=True, **cut
    )


@needs_wordllama
def test_wordllama_equals_its_package(package: Any) -> None:
    texts = [text for text in (*TOKENS, *ODD, *functions(200), *human_eval(20), "\n".join(functions(60))) if text]
    texts.remove("\ud800 lone")
    for norm in (True, False):
        expected = package().embed(texts, norm=norm, batch_size=1)
        found = Embedding(normalise=norm).kernel()(texts)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    cut = package(trunc_dim=64).embed(texts, norm=True, batch_size=1)
    np.testing.assert_allclose(Embedding(dimensions=64).kernel()(texts), cut, rtol=0, atol=1e-6)


@needs_wordllama
def test_wordllama_sums_exactly(package: Any) -> None:
    own, texts = package(), functions(20)
    found = Embedding(normalise=False).kernel()(texts)
    for text, row in zip(texts, found, strict=True):
        token = own.tokenizer.encode(text, add_special_tokens=False).ids
        grid = own.embedding[token].astype(np.float64) * 2**24
        assert (grid == np.rint(grid)).all()
        exact = [sum(map(int, column)) for column in grid.T]
        assert row.tolist() == [float(np.float32(s / 2**24 / len(token))) for s in exact]
    assert abs(own.embedding).max() * 6e7 * 2**24 < 2**53


@pytest.mark.parametrize("encoder", [pytest.param("wordllama", marks=needs_wordllama), "hashed_ngrams"])
@pytest.mark.parametrize("normalise", [True, False])
def test_a_row_has_the_same_bits_in_every_batch(encoder: Any, normalise: bool) -> None:
    texts = [*ODD, *TOKENS, *functions(2 * encoders.BLOCK_ROWS), *human_eval(5), ODD[1]]
    kernel, draw = Embedding(encoder=encoder, normalise=normalise).kernel(), random.Random(1)
    whole = kernel(texts)
    for _ in range(3):
        order = draw.sample(range(len(texts)), len(texts))
        assert kernel([texts[i] for i in order]).tobytes() == whole[order].tobytes()
    for i in draw.sample(range(len(texts)), 60):
        assert kernel([texts[i]]).tobytes() == whole[i].tobytes()
    assert kernel([]).shape == (0, 256)


@pytest.mark.parametrize("encoder", [pytest.param("wordllama", marks=needs_wordllama), "hashed_ngrams"])
def test_lengths_and_undefined_rows(encoder: Any) -> None:
    texts = [*ODD, *functions(50)]
    found = Embedding(encoder=encoder).kernel()(texts)
    undefined = np.isnan(found)
    assert (undefined.all(axis=1) == undefined.any(axis=1)).all()
    wordless = ("", "\ud800 lone", *((" ", "\n\t ") if encoder == "hashed_ngrams" else ()))
    assert [text for text, bad in zip(texts, undefined[:, 0], strict=True) if bad] == [t for t in ODD if t in wordless]
    lengths = np.linalg.norm(found[~undefined[:, 0]].astype(np.float64), axis=1)
    assert abs(lengths - 1).max() < 1e-6


@needs_wordllama
def test_wordllama_puts_like_near_like() -> None:
    a, b, c = Embedding().kernel()([*STORIES, FINANCE])
    assert a @ b > 0.3
    assert a @ b > a @ c + 0.2
    code, prose = functions(40), [task.partition('"""')[2].partition(">>>")[0] for task in human_eval(40)]
    vectors = Embedding().kernel()([*code, *prose]).astype(np.float64)
    middle = np.stack([vectors[:20].mean(axis=0), vectors[40:60].mean(axis=0)])
    nearer = (vectors @ middle.T).argmax(axis=1)
    assert (nearer[20:40] == 0).mean() > 0.8
    assert (nearer[60:] == 1).mean() > 0.8


def test_hashed_ngrams_put_like_near_like() -> None:
    near = ("sort the list of numbers in ascending order", "the numbers of the list are sorted in ascending order")
    a, b, c = Embedding(encoder="hashed_ngrams").kernel()([*near, FINANCE])
    assert a @ b > 0.5
    assert abs(a @ c) < 0.3
    assert Embedding(encoder="hashed_ngrams").kernel()(["A b, C"])[0] @ a < 0.3
    lower, upper = Embedding(encoder="hashed_ngrams").kernel()(["a b c", "A, b: C!"])
    assert lower.tobytes() == upper.tobytes()


def slow_hashed(text: str, dimensions: int) -> list[float]:
    """Return signed root counts of words and pairs, by hand."""

    def mixed(x: int) -> int:
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return (x ^ x >> 31) % 2**40

    words = [zlib.crc32(word.encode()) for word in re.findall(r"\w+", spelling(text))]
    units = [mixed(w + 0x9E3779B97F4A7C15) for w in words]
    units += [mixed(a << 32 | b) for a, b in pairwise(words)]
    found = [0.0] * dimensions
    for unit, count in Counter(units).items():
        found[(unit >> 1) % dimensions] += math.sqrt(count) * (1 if unit & 1 else -1)
    return found


@pytest.mark.parametrize("dimensions", [1, 7, 256, 65_536])
def test_hashed_ngrams_as_a_slow_twin_has_them(dimensions: int) -> None:
    texts = ["to be or not to be, to be", *functions(15), ODD[6]]
    found = Embedding(encoder="hashed_ngrams", dimensions=dimensions, normalise=False).kernel()(texts)
    np.testing.assert_allclose(found, [slow_hashed(text, dimensions) for text in texts], rtol=1e-6, atol=1e-5)


def test_hashed_ngrams_keep_inner_products() -> None:
    texts = functions(60)
    wide, narrow = (
        Embedding(encoder="hashed_ngrams", dimensions=d).kernel()(texts).astype(np.float64) for d in (65_536, 1_024)
    )
    error = (narrow @ narrow.T - wide @ wide.T)[np.triu_indices(60, 1)]
    assert abs(error.mean()) < 0.01, "signs make it unbiased"
    assert error.std() < 2 / math.sqrt(1_024)


def test_column_takes_the_vectors_that_are_there() -> None:
    rows = np.array([[3, 4], [0, 0], [math.nan, 1], [math.inf, 1]])
    scorer = Embedding(of="vec", encoder="column", dimensions=2)
    assert (scorer.inputs, scorer.columns, scorer.model) == (("vec",), ("vec",), "")
    assert Embedding().columns == ()
    nan, inf = math.nan, math.inf
    np.testing.assert_array_equal(scorer.kernel()(rows), np.array([[0.6, 0.8], [nan, nan], [nan, nan], [inf, 1]], "f4"))
    as_they_are = replace(scorer, normalise=False).kernel()(rows)
    np.testing.assert_array_equal(as_they_are, np.array([[3, 4], [0, 0], [nan, nan], [inf, 1]], "f4"))
    assert np.isnan(replace(scorer, dimensions=3).kernel()(rows)).tolist() == [[True] * 3] * 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"encoder": "wordlama"}, "encoder is 'wordlama'; did you mean 'wordllama'"),
        ({"encoder": "column"}, "encoder column reads vectors, got of: text"),
        ({"encoder": "column", "of": "vec"}, "needs the number of elements of its vectors, got dimensions 0"),
        ({"encoder": "column", "of": "vec", "dimensions": -1}, "dimensions is -1; a whole number from 0 is needed"),
        ({"dimensions": 257}, "dimensions 257 is no width of encoder wordllama; allowed: 1 to 256"),
        ({"dimensions": 8.0}, "dimensions is 8.0; a whole number from 0"),
        ({"encoder": "minilm", "dimensions": 256}, "allowed: 384"),
        ({"encoder": "hashed_ngrams", "dimensions": 65_537}, "allowed: 1 to 65536"),
        ({"encoder": "hashed_ngrams", "model": "abc"}, "reads no model files, got model 'abc'"),
        ({"normalise": "no"}, "normalise is 'no'; true or false is needed"),
    ],
)
def test_a_wrong_parameter_is_told(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Embedding(**given)


def test_the_fingerprint_follows_the_model_files(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Embedding()
    assert before.model == files.identity("wordllama")
    assert fingerprint(Embedding(encoder="minilm")) != fingerprint(before)
    model = files.MODELS["wordllama"]
    monkeypatch.setitem(files.MODELS, "wordllama", replace(model, pins={**model.pins, "more": "00"}))
    assert fingerprint(Embedding()) != fingerprint(before)
    with pytest.raises(ScoreError, match=f"declared with model files '{before.model}', this installation has pinned"):
        before.kernel()


@pytest.fixture
def tiny_minilm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A random one-layer model in place of minilm's files, with its transformers twin."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from tokenizers import Tokenizer, pre_tokenizers, processors
    from tokenizers import models as kinds

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted(set(" ".join(STORIES).split()))]
    tokenizer = Tokenizer(kinds.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_padding(length=128)
    torch.manual_seed(0)
    shape = {"num_hidden_layers": 1, "num_attention_heads": 12, "intermediate_size": 32}
    model = transformers.BertModel(transformers.BertConfig(vocab_size=len(words), hidden_size=384, **shape)).eval()
    folder = tmp_path / "minilm-0.1.0"
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    pins = {member: files.sha256(folder / member) for member in files.MODELS["minilm"].pins}
    monkeypatch.setenv("LAKESIFT_MODELS", str(tmp_path))
    monkeypatch.setitem(files.MODELS, "minilm", replace(files.MODELS["minilm"], pins=pins))
    monkeypatch.setattr(models, "_loaded", {})
    return tokenizer, model


def test_minilm_is_the_mean_of_hidden_states(tiny_minilm: Any) -> None:
    import torch

    tokenizer, model = tiny_minilm
    texts = [*STORIES, "dog", "field " * 1_000]
    kernel = Embedding(encoder="minilm", normalise=False).kernel()
    found = kernel(["", *texts])
    assert np.isnan(found[0]).all()
    for text, row in zip(texts, found[1:], strict=True):
        assert kernel([text]).tobytes() == row.tobytes()
        tokenizer.no_padding()
        ids = tokenizer.encode(text).ids
        ids = [*ids[:255], 3] if len(ids) > 256 else ids
        padded = torch.tensor([ids + [0] * 7])
        mask = (torch.arange(len(ids) + 7) < len(ids)).long()[None]
        with torch.inference_mode():
            states = model(input_ids=padded, attention_mask=mask).last_hidden_state[0, : len(ids)]
        np.testing.assert_allclose(row, states.mean(dim=0).numpy(), atol=1e-5)
    lengths = np.linalg.norm(Embedding(encoder="minilm").kernel()(texts), axis=1)
    assert abs(lengths - 1).max() < 1e-6
