"""The language model as an ONNX graph: against a numpy twin, the same bits in any company, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lakesift.jobs.commands import encoders
from lakesift.udfs import models
from lakesift.udfs.errors import LakeSiftError, PlatformError, ScoreError
from lakesift.udfs.kernels.token_bits import token_bits
from lakesift.udfs.models import causal, causal_torch, files, llama_graph, llama_onnx
from lakesift.udfs.scores.generative_entropy import GenerativeEntropy
from tests import tiny_llama
from tests.texts import functions

FIELDS = ("generative_entropy_bits", "nll_bits", "tokens_scored", "truncated")


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The random Llama in the place of SmolLM2; yields the folder of its derived files."""
    monkeypatch.setenv("LAKESIFT_MODELS", str(tmp_path / "cache"))
    monkeypatch.setitem(files.MODELS, "smollm2", tiny_llama.install(tmp_path / "cache"))
    models._loaded.clear()
    yield files.path_of("smollm2")
    models._loaded.clear()


def twin_row(text: str, model: causal.CausalModel, most: int = 256) -> tuple[float, float]:
    """Return entropy and nll of a text by the twin, in float64 from logits to bits."""
    ids, _ = model.tokens(text, most)
    logits = tiny_llama.twin_logits(tiny_llama.tensors(), np.concatenate([[model.bos], ids[:-1]]))
    logits -= logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    entropy = -(np.exp(log_p) * log_p).sum(axis=1).mean()
    return entropy / np.log(2), -log_p[np.arange(len(ids)), ids].mean() / np.log(2)


def test_the_graph_equals_the_twin(tiny: Path) -> None:
    assert sum(w.size for w in tiny_llama.tensors().values()) == 90_688
    model, texts = llama_onnx.load(tiny), functions(20)
    found = GenerativeEntropy().kernel()(texts)
    twins = np.array([twin_row(text, model) for text in texts])
    np.testing.assert_allclose(found["generative_entropy_bits"], twins[:, 0], atol=1e-4, rtol=0)
    np.testing.assert_allclose(found["nll_bits"], twins[:, 1], atol=1e-4, rtol=0)


def test_logits_equal_the_twins(tiny: Path) -> None:
    ort = llama_onnx.requirements()
    body, head = (ort.InferenceSession(str(tiny / n)) for n in ("graph.onnx", "head.onnx"))
    ids = np.arange(3, 200, dtype=np.int64)
    hidden = body.run(None, {"ids": ids[None], "positions": np.arange(len(ids))[None]})[0]
    logits = head.run(None, {"hidden": hidden})[0]
    np.testing.assert_allclose(logits, tiny_llama.twin_logits(tiny_llama.tensors(), ids), atol=1e-3, rtol=0)


def test_a_prefix_has_the_bits_of_the_text_cut_there(tiny: Path) -> None:
    model = llama_onnx.load(tiny)
    ids = np.arange(3, 3 + 150, dtype=np.int64)
    whole = model.bits(ids)
    for n in (8, 9, 63, 64, 65, 66, 72, 127, 128, 129):
        for part, all_of_it in zip(model.bits(ids[:n]), whole, strict=True):
            assert part.tobytes() == all_of_it[:n].tobytes(), n


def test_max_tokens_cuts_and_says_so() -> None:
    text = functions(1)[0]
    found = GenerativeEntropy(max_tokens=8).kernel()([text, text[:8], text[:7]])
    assert found["tokens_scored"].tolist() == [8, 8, 7]
    assert found["truncated"].tolist() == [1, 0, 0]
    assert found["nll_bits"][0] == found["nll_bits"][1]
    assert np.isnan(found["nll_bits"][2])


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0), ("a", 1), (" ", 1), ("   \n\t ", 6), ("?!?!?!?!", 8), ("\ud800 is no text", np.nan),
        ("Ünï", 5), ("x" * 1_000_000, 256), ("дом 家", 10), ("<|endoftext|>", 13),
    ],
)  # fmt: skip
def test_odd_rows(text: str, tokens: float) -> None:
    found = GenerativeEntropy().kernel()([text])
    assert found["tokens_scored"].tolist() == [tokens] or np.isnan(tokens)
    defined = tokens >= 8
    assert [bool(np.isfinite(found[name][0])) for name in FIELDS[:2]] == [defined, defined]
    assert np.isnan(found["truncated"][0]) == np.isnan(tokens)


def test_hand_values_of_bits() -> None:
    uniform = token_bits(np.full((2, 16), 3.5, np.float32), np.array([0, 15]))
    assert [x.tolist() for x in uniform] == [[4.0, 4.0], [4.0, 4.0]]
    sure = token_bits(np.array([[200, 0, 0]], np.float32), np.array([0]))
    assert [x.tolist() for x in sure] == [[0.0], [0.0]]
    two = token_bits(np.log(np.array([[0.25, 0.75]], np.float32)), np.array([0]))
    np.testing.assert_allclose(np.ravel(two), [0.811278124459, 2.0], atol=1e-6)


def test_another_architecture_or_tokenizer_is_refused(tmp_path: Path) -> None:
    weights = tiny_llama.tensors()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"architecture": "gpt2"}, "holds a model of architecture 'gpt2'; allowed: llama"),
        ({"pre": "qwen2"}, r"has the tokenizer \('gpt2', 'qwen2'\); allowed"),
    ]
    for i, (other, said) in enumerate(cases):
        path = tiny_llama.write_gguf(tmp_path / f"{i}.gguf", weights, **other)
        (tmp_path / str(i)).mkdir()
        with pytest.raises(PlatformError, match=said):
            llama_graph.make(path, tmp_path / str(i))
    biased = {**weights, "blk.0.attn_q.bias": np.zeros(64, np.float32)}
    path = tiny_llama.write_gguf(tmp_path / "bias.gguf", biased)
    with pytest.raises(PlatformError, match=r"has the tensor blk.0.attn_q.bias.weight, for which a Llama"):
        llama_graph.make(path, tmp_path)


def test_a_changed_or_half_written_derived_file_is_refused(tiny: Path) -> None:
    score = GenerativeEntropy()
    weights = tiny / "weights.f32"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + b"x")
    with pytest.raises(ScoreError, match=r"weights.f32 on .* has the SHA-256 .*; run lakesift encoders get smollm2"):
        score.kernel()
    (tiny / files.NOTED).unlink()
    with pytest.raises(ScoreError, match=r"sha256.json cannot be read"):
        score.kernel()
    weights.unlink()
    with pytest.raises(PlatformError, match=r"weights.f32, .* is missing on .*; run lakesift encoders get smollm2"):
        score.check_machine()


def test_derived_files_are_made_again_where_they_are_damaged(tiny: Path) -> None:
    before = files.sha256(tiny / "weights.f32")
    (tiny / "weights.f32").write_bytes(b"half")
    assert encoders.get(["smollm2"])[0].startswith("smollm2: 0 MB in")
    assert files.sha256(files.verified("smollm2") / "weights.f32") == before
    assert {p.name for p in tiny.parent.iterdir()} == {"tiny.gguf", "onnx-1"}
    assert [p.name for p in tiny.parent.parent.iterdir()] == ["smollm2-1.0"]


def test_a_pinned_derived_file_that_comes_out_otherwise_is_not_kept(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived = files.Derived("onnx-2", {**files.MODELS["smollm2"].derived.pins, "weights.f32": "0" * 64})  # type: ignore[union-attr]
    monkeypatch.setitem(files.MODELS, "smollm2", replace(files.MODELS["smollm2"], derived=derived))
    with pytest.raises(PlatformError, match=r"weights.f32, made from .*, pinned is 0000.*; nothing was kept"):
        encoders.get(["smollm2"])
    assert {p.name for p in tiny.parent.iterdir()} == {"tiny.gguf", "onnx-1"}


def test_another_derivation_is_another_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    score, entry = GenerativeEntropy(), files.MODELS["smollm2"]
    assert entry.derived is not None
    monkeypatch.setitem(files.MODELS, "smollm2", replace(entry, derived=replace(entry.derived, folder="onnx-2")))
    assert GenerativeEntropy().identity != score.identity
    with pytest.raises(ScoreError, match="was declared with model files"):
        score.kernel()


def test_engines_that_are_missing_or_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(files.importlib, "import_module", lambda _: SimpleNamespace(__version__="1.22.1"))
        with pytest.raises(PlatformError, match=r"onnxruntime 1\.22\.1 .* needs 1\.23 or later .* run pip install"):
            GenerativeEntropy().check_machine()

    def absent(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(files.importlib, "import_module", absent)
    with pytest.raises(PlatformError, match=r"the package onnxruntime, .* run pip install 'lakesift\[local\]' there"):
        GenerativeEntropy().check_machine()
    with pytest.raises(PlatformError, match=r"the package torch, .* run pip install 'lakesift\[torch\]' there"):
        GenerativeEntropy(engine="torch").check_machine()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"model": "gpt2"}, "engine onnx runs the models smollm2, got 'gpt2'; set engine: torch for a folder"),
        ({"device": "cuda"}, "engine onnx runs on the cpu in float32, got cuda, float32"),
        ({"model": "nowhere", "engine": "torch"}, "nowhere is no folder of a language model: it has no config.json"),
        ({"max_tokens": 4}, "max_tokens is 4; a whole number from 8 to 2,048 is needed"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(LakeSiftError, match=said):
        GenerativeEntropy(**parameters)


def test_a_folder_is_known_by_its_content(tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text(name)
    first = GenerativeEntropy(model=str(folder), engine="torch")
    assert first.identity == causal_torch.folder_identity(str(folder))
    (folder / "config.json").write_text("else")
    assert GenerativeEntropy(model=str(folder), engine="torch").identity != first.identity
    with pytest.raises(ScoreError, match="was declared with model files"):
        first.kernel()


def test_torch_says_the_same() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    texts = functions(10)
    by_onnx, by_torch = (GenerativeEntropy(engine=engine).kernel()(texts) for engine in ("onnx", "torch"))
    for name in FIELDS:
        np.testing.assert_allclose(by_torch[name], by_onnx[name], atol=1e-4, rtol=0)


def test_continuations_follow_from_the_text_and_the_draws_alone(tiny: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    sampler, draws = causal_torch.sampler(tiny), np.random.default_rng(0).random((6, 3))
    prompt = sampler.prompt("def add(a, b):", 8)
    assert len(prompt) == 8
    said = sampler.go_on(prompt, draws)
    assert said == sampler.go_on(prompt, draws)
    assert sampler.go_on(prompt, draws[:, ::-1].copy()) == said[::-1]
    # The first token by hand: the first one whose cumulated probability exceeds its draw.
    logits = tiny_llama.twin_logits(tiny_llama.tensors(), np.array([0, *prompt]))[-1]
    reached = np.cumsum(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum())
    first = [int(np.searchsorted(reached, u, side="right")) for u in draws[0]]
    alphabet = [*tiny_llama.SPECIAL, *tiny_llama.byte_alphabet(), "th"]
    one = sampler.go_on(prompt, draws[:1])
    known = [(text, alphabet[i]) for text, i in zip(one, first, strict=True) if alphabet[i].isascii() and i > 2]
    assert known
    assert all(text == token for text, token in known)
