"""A random Llama of 90 688 parameters as a GGUF file, and its forward pass in numpy: a twin that no engine shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakesift.jobs.commands import encoders
from lakesift.udfs.models import files, llama_graph

LAYERS, HEADS, KV_HEADS, WIDTH, INNER, BYTES = 2, 4, 2, 64, 128, 256
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VOCABULARY = len(SPECIAL) + BYTES + 1
EPSILON, THETA = 1e-5, 10_000.0
Array = NDArray[np.float32]


def tensors(seed: int = 7) -> dict[str, Array]:
    """Return random weights by the names of llama.cpp, (out, in), rows of q and k in Hugging Face's order."""
    draw, kv = np.random.default_rng(seed), WIDTH // HEADS * KV_HEADS
    sizes = {"token_embd": (VOCABULARY, WIDTH), "output_norm": (WIDTH,)}
    for i in range(LAYERS):
        sizes |= {f"blk.{i}.attn_{n}": (s, WIDTH) for n, s in (("q", WIDTH), ("k", kv), ("v", kv), ("output", WIDTH))}
        sizes |= {f"blk.{i}.ffn_{n}": s for n, s in (("gate", (INNER, WIDTH)), ("up", (INNER, WIDTH)))}
        sizes |= {f"blk.{i}.ffn_down": (WIDTH, INNER), f"blk.{i}.attn_norm": (WIDTH,), f"blk.{i}.ffn_norm": (WIDTH,)}
    return {name: (draw.normal(size=size) * 0.3 + (len(size) == 1)).astype(np.float32) for name, size in sizes.items()}


def write_gguf(path: Path, weights: dict[str, Array], architecture: str = "llama", pre: str = "smollm") -> Path:
    """Write the model as llama.cpp keeps it: q and k with the two halves of a rotation side by side."""
    import gguf

    out = gguf.GGUFWriter(path, architecture)
    out.add_block_count(LAYERS)
    out.add_context_length(512)
    out.add_embedding_length(WIDTH)
    out.add_feed_forward_length(INNER)
    out.add_head_count(HEADS)
    out.add_head_count_kv(KV_HEADS)
    out.add_layer_norm_rms_eps(EPSILON)
    out.add_rope_freq_base(THETA)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre(pre)
    out.add_token_list([*SPECIAL, *byte_alphabet(), "th"])
    out.add_token_types([3] * len(SPECIAL) + [1] * (BYTES + 1))
    out.add_token_merges(["t h"])
    for name, values in weights.items():
        heads = {"attn_q": HEADS, "attn_k": KV_HEADS}.get(name.split(".")[-1])
        out.add_tensor(f"{name}.weight", values if heads is None else _side_by_side(values, heads))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


def byte_alphabet() -> list[str]:
    """Return the characters that stand for the bytes 0 to 255 in byte-level BPE: printable ones for themselves."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(others)) for b in range(BYTES)]


def _side_by_side(rows: Array, heads: int) -> Array:
    return np.ascontiguousarray(rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape))


def twin_logits(weights: dict[str, Array], ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the logits (n, v) after each of n tokens, in float64, written from the definition of a Llama."""
    w = {k: v.astype(np.float64) for k, v in weights.items()}
    n, d = len(ids), WIDTH // HEADS
    angles = np.arange(n)[:, None] * THETA ** (-np.arange(0, d, 2) / d)
    x = w["token_embd"][ids]
    for i in range(LAYERS):
        layer = {k.split(".")[2]: v for k, v in w.items() if k.startswith(f"blk.{i}.")}
        h = _norm(x, layer["attn_norm"])
        q, k, v = (h @ layer[f"attn_{name}"].T for name in "qkv")
        attended = np.empty((n, WIDTH))
        for head in range(HEADS):
            group = head // (HEADS // KV_HEADS)
            a = _rotate(q[:, head * d : (head + 1) * d], angles)
            b = _rotate(k[:, group * d : (group + 1) * d], angles)
            scores = a @ b.T / np.sqrt(d)
            scores[np.triu_indices(n, 1)] = -np.inf
            weight = np.exp(scores - scores.max(axis=1, keepdims=True))
            weight /= weight.sum(axis=1, keepdims=True)
            attended[:, head * d : (head + 1) * d] = weight @ v[:, group * d : (group + 1) * d]
        x = x + attended @ layer["attn_output"].T
        h = _norm(x, layer["ffn_norm"])
        gate = h @ layer["ffn_gate"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ layer["ffn_up"].T)) @ layer["ffn_down"].T
    return _norm(x, w["output_norm"]) @ w["token_embd"].T


def _norm(x: Any, weight: Any) -> Any:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPSILON) * weight


def _rotate(x: Any, angles: Any) -> Any:
    first, second = np.split(x, 2, axis=1)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=1)


def install(cache: Path, name: str = "smollm2") -> files.Model:
    """Put the tiny model into an empty cache folder, made ready; returns its entry, to stand for `name` in MODELS."""
    place = cache / f"{name}-1.0"
    place.mkdir(parents=True)
    source = write_gguf(place / "tiny.gguf", tensors())
    derived = files.Derived("onnx-1", dict.fromkeys(llama_graph.MADE, ""))
    encoders._made(name, derived, place, place / derived.folder)
    pins = {"tiny.gguf": files.sha256(source)}
    return files.Model("tiny-llama==1.0", "tiny_llama", pins, "0" * 64, 0, "none", "a test", derived)
