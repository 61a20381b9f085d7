"""SmolLM2 itself, where its files are at hand: against transformers, fluent text against shuffled, threads."""

from __future__ import annotations

import numpy as np
import pytest

from lakesift.udfs.models import causal_torch, llama_onnx
from lakesift.udfs.scores.generative_entropy import GenerativeEntropy
from tests.fetched import fetched
from tests.texts import functions, instructions

pytestmark = pytest.mark.long
ROWS = 200


@pytest.fixture(autouse=True, scope="module")
def _fetched() -> None:
    fetched("smollm2")


def texts() -> list[str]:
    """Real rows of 20 words at least: instructions where ../shared is, else functions."""
    found = [t for t in instructions() if len(t.split()) >= 20]
    return (found or [" ".join(t.split()) for t in functions(1500) if len(t.split()) >= 20])[:ROWS]


def test_rows_equal_transformers() -> None:
    """Values of a row within 1e-4 bits, logits within 1e-3, of transformers' Llama with the same weights in float32."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = fetched("smollm2")
    ours, theirs = llama_onnx.load(folder), causal_torch.load(folder)
    for text in texts():
        ids, _ = ours.tokens(text, 100)
        for mine, other in zip(ours.bits(ids), theirs.bits(ids), strict=True):
            assert abs(mine.mean() - other.mean()) < 1e-4
    ort = llama_onnx.requirements()
    body, head = (ort.InferenceSession(str(folder / n)) for n in ("graph.onnx", "head.onnx"))
    reference = causal_torch._derived(folder, torch, transformers).float().eval()
    ids, _ = ours.tokens(texts()[0], 60)
    hidden = body.run(None, {"ids": ids[None], "positions": np.arange(len(ids))[None]})[0]
    with torch.inference_mode():
        expected = reference(torch.from_numpy(ids[None])).logits[0].numpy()
    np.testing.assert_allclose(head.run(None, {"hidden": hidden})[0], expected, atol=1e-3, rtol=0)


def test_fluent_text_is_less_surprising_than_its_words_shuffled() -> None:
    draw, plain = np.random.default_rng(0), texts()
    kernel = GenerativeEntropy(max_tokens=100).kernel()
    shuffled = [" ".join(draw.permutation(t.split())) for t in plain]
    fluent, mixed = kernel(plain), kernel(shuffled)
    assert (fluent["nll_bits"] < mixed["nll_bits"]).mean() >= 0.99
    assert np.median(fluent["generative_entropy_bits"]) < np.median(mixed["generative_entropy_bits"])


def test_the_same_bits_alone_in_another_order_and_twice() -> None:
    kernel, some = GenerativeEntropy(max_tokens=60).kernel(), texts()[:20]
    whole = kernel(some)["nll_bits"]
    assert kernel(some[::-1])["nll_bits"][::-1].tobytes() == whole.tobytes()
    assert np.array([kernel([t])["nll_bits"][0] for t in some]).tobytes() == whole.tobytes()
