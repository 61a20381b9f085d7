"""Makes what onnxruntime reads out of a Llama-type GGUF file: two ONNX graphs, their weights, and a tokenizer.

`graph.onnx` is token ids (1, n) -> hidden states (n, d), `head.onnx` hidden states -> logits (n, v); both point into
`weights.f32`, which all workers of a host map once. Standard operators of opset 23 only. Needs gguf and onnx, once, on
the machine that fetches the model; a worker needs neither. Tokenizer and weights follow from the GGUF file alone, bit
for bit; the bytes of the graphs depend on the version of onnx, their meaning does not.

Left out: other architectures than llama, scaled rotary positions, biases, mixtures of experts, other tokenizers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Matrix
from ..errors import PlatformError
from . import files

#: Positions that the tables of the rotary embedding hold: the longest text, in tokens.
POSITIONS = 2048
#: Tensors start at multiples of a page, so that a mapping can begin there.
PAGE = 4096
OPSET, IR = 23, 11
MADE = ("graph.onnx", "head.onnx", "weights.f32", "tokenizer.json", "config.json")
_REMEDY = "pip install 'lakesift[local]'"
#: How names of llama.cpp's tensors are called here, and in Hugging Face's Llama.
_LAYER = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """What of a Llama is not in its tensors; names as in Hugging Face's config.json."""

    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    hidden_size: int
    rms_norm_eps: float
    rope_theta: float

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads


def make(gguf_file: Path, folder: Path) -> None:
    """Write the files of MADE into a folder.

    Raises
    ------
    PlatformError
        If a package is missing, or the file holds another architecture or tokenizer than is understood.
    """
    gguf = files.module("gguf", _REMEDY)
    reader = gguf.GGUFReader(gguf_file)

    def fact(key: str) -> Any:
        if key not in reader.fields:
            raise PlatformError(f"{gguf_file} has no {key}; only Llama-type files of llama.cpp are understood")
        return reader.fields[key].contents()

    shape = _shape(gguf_file, fact)
    tensors = _tensors(gguf_file, gguf, reader, shape)
    places = _write_weights(folder / "weights.f32", tensors)
    _write_graphs(folder, shape, places)
    (folder / "tokenizer.json").write_text(_tokenizer(gguf_file, fact), encoding="utf-8")
    config = {**vars(shape), "vocab_size": places["model.embed_tokens.weight"][1][0], "tensors": places}
    (folder / "config.json").write_text(json.dumps(config, sort_keys=True), encoding="utf-8")


def _shape(path: Path, fact: Callable[[str], Any]) -> Shape:
    if (name := fact("general.architecture")) != "llama":
        raise PlatformError(f"{path} holds a model of architecture {name!r}; allowed: llama; take another file")
    return Shape(
        fact("llama.block_count"), fact("llama.attention.head_count"), fact("llama.attention.head_count_kv"),
        fact("llama.embedding_length"), fact("llama.attention.layer_norm_rms_epsilon"), fact("llama.rope.freq_base"),
    )  # fmt: skip


def _tensors(path: Path, gguf: Any, reader: Any, shape: Shape) -> dict[str, Matrix]:
    """Return the dequantised tensors by Hugging Face's names; matrices of layers as (in, out), which MatMul takes."""
    made: dict[str, Matrix] = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        name, *layer = tensor.name.split(".")
        if tensor.name == "token_embd.weight":
            made["model.embed_tokens.weight"] = values
        elif tensor.name == "output_norm.weight":
            made["model.norm.weight"] = values
        elif name == "blk" and len(layer) == 3 and layer[1] in _LAYER and layer[2] == "weight":
            if layer[1] in ("attn_q", "attn_k"):
                heads = shape.num_attention_heads if layer[1] == "attn_q" else shape.num_key_value_heads
                values = _rotate_halves(values, heads)
            made[f"model.layers.{layer[0]}.{_LAYER[layer[1]]}.weight"] = values.T if values.ndim == 2 else values
        else:
            raise PlatformError(
                f"{path} has the tensor {tensor.name}, for which a Llama with tied embeddings has no place; "
                "take another file"
            )
    angles = np.arange(POSITIONS)[:, None] * shape.rope_theta ** (-np.arange(0, shape.head_dim, 2) / shape.head_dim)
    return made | {"cos": np.cos(angles).astype(np.float32), "sin": np.sin(angles).astype(np.float32)}


def _rotate_halves(rows: Matrix, heads: int) -> Matrix:
    """Return the rows of q or k in the order that rotates halves; llama.cpp keeps the pairs side by side."""
    return rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _write_weights(path: Path, tensors: dict[str, Matrix]) -> dict[str, tuple[int, list[int]]]:
    """Write tensors one after the other; returns where each starts, in bytes, and its shape."""
    places: dict[str, tuple[int, list[int]]] = {}
    with path.open("wb") as out:
        for name, values in tensors.items():
            out.write(b"\0" * (-out.tell() % PAGE))
            places[name] = out.tell(), list(values.shape)
            out.write(np.ascontiguousarray(values).tobytes())
    return places


class _Graph:
    """Nodes and weights of one ONNX graph; every name is the name of what it yields."""

    def __init__(self, places: dict[str, tuple[int, list[int]]]) -> None:
        self.onnx = files.module("onnx", _REMEDY)
        self.places, self.nodes, self.weights = places, list[Any](), dict[str, Any]()

    def weight(self, name: str) -> str:
        """Return a tensor of weights.f32, as a reference into it."""
        at, shape = self.places[name]
        tensor = self.onnx.TensorProto(name=name, data_type=self.onnx.TensorProto.FLOAT, dims=shape, data_location=1)
        for key, value in (("location", "weights.f32"), ("offset", at), ("length", 4 * int(np.prod(shape)))):
            tensor.external_data.add(key=key, value=str(value))
        self.weights[name] = tensor
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Append an operator with one output; returns its name."""
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def save(self, path: Path, inputs: dict[str, list[Any]], output: str, shape: list[Any]) -> None:
        """Write the graph: int64 inputs, but for "hidden", and one float output."""
        helper, types = self.onnx.helper, self.onnx.TensorProto
        takes = [
            helper.make_tensor_value_info(n, types.FLOAT if n == "hidden" else types.INT64, s)
            for n, s in inputs.items()
        ]
        gives = [helper.make_tensor_value_info(output, types.FLOAT, shape)]
        body = helper.make_graph(self.nodes, path.stem, takes, gives, list(self.weights.values()))
        model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        path.write_bytes(model.SerializeToString(deterministic=True))


def _write_graphs(folder: Path, shape: Shape, places: dict[str, tuple[int, list[int]]]) -> None:
    width, graph = shape.hidden_size, _Graph(places)
    for table in ("cos", "sin"):
        graph.weight(table)
    x = graph.node("Gather", [graph.weight("model.embed_tokens.weight"), "ids"], "embedded")
    for i in range(shape.num_hidden_layers):
        x = _layer(graph, f"model.layers.{i}", x, shape)
    x = graph.node("RMSNormalization", [x, graph.weight("model.norm.weight")], "normed", epsilon=shape.rms_norm_eps)
    graph.node("Squeeze", [x, _first_axis(graph)], "hidden_out")
    graph.save(folder / "graph.onnx", {"ids": [1, "n"], "positions": [1, "n"]}, "hidden_out", ["n", width])
    head = _Graph(places)
    head.node("Gemm", ["hidden", head.weight("model.embed_tokens.weight")], "logits", transB=1)
    vocabulary = places["model.embed_tokens.weight"][1][0]
    head.save(folder / "head.onnx", {"hidden": ["n", width]}, "logits", ["n", vocabulary])


def _first_axis(graph: _Graph) -> str:
    graph.weights["zero"] = graph.onnx.numpy_helper.from_array(np.array([0], np.int64), "zero")
    return "zero"


def _layer(graph: _Graph, layer: str, x: str, shape: Shape) -> str:
    """Append one layer: attention and gated feed-forward, each on normalised rows and added to them."""

    def norm(rows: str, name: str) -> str:
        weight = graph.weight(f"{layer}.{name}.weight")
        return graph.node("RMSNormalization", [rows, weight], f"{layer}.{name}", epsilon=shape.rms_norm_eps)

    def linear(rows: str, name: str) -> str:
        return graph.node("MatMul", [rows, graph.weight(f"{layer}.{name}.weight")], f"{layer}.{name}")

    def rotated(rows: str, heads: int) -> str:
        return graph.node("RotaryEmbedding", [rows, "cos", "sin", "positions"], f"{rows}.rotated", num_heads=heads)

    heads, kv_heads = shape.num_attention_heads, shape.num_key_value_heads
    h = norm(x, "input_layernorm")
    q, k = rotated(linear(h, "self_attn.q_proj"), heads), rotated(linear(h, "self_attn.k_proj"), kv_heads)
    causal = {"is_causal": 1, "q_num_heads": heads, "kv_num_heads": kv_heads}
    attended = graph.node("Attention", [q, k, linear(h, "self_attn.v_proj")], f"{layer}.attended", **causal)
    x = graph.node("Add", [x, linear(attended, "self_attn.o_proj")], f"{layer}.after_attention")
    h = norm(x, "post_attention_layernorm")
    gate = linear(h, "mlp.gate_proj")
    silu = graph.node("Mul", [gate, graph.node("Sigmoid", [gate], f"{gate}.sigmoid")], f"{gate}.silu")
    gated = graph.node("Mul", [silu, linear(h, "mlp.up_proj")], f"{layer}.gated")
    return graph.node("Add", [x, linear(gated, "mlp.down_proj")], f"{layer}.out")


def _tokenizer(path: Path, fact: Callable[[str], Any]) -> str:
    """Return tokenizer.json: byte-level BPE with single digits, as SmolLM2's."""
    kinds = (fact("tokenizer.ggml.model"), fact("tokenizer.ggml.pre"))
    if kinds != ("gpt2", "smollm"):
        raise PlatformError(f"{path} has the tokenizer {kinds}; allowed: ('gpt2', 'smollm'); take another file")
    tokens, types = fact("tokenizer.ggml.tokens"), fact("tokenizer.ggml.token_type")
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    body = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": i, "content": tokens[i], **plain} for i, kind in enumerate(types) if kind == 3],
        "pre_tokenizer": {
            "type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in fact("tokenizer.ggml.merges")],
        },
    }  # fmt: skip
    return json.dumps(body, ensure_ascii=False)
