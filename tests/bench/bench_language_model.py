"""The language model and the two cheap entropies: CPU a row beside torch, in Spark beside bare, memory of two workers.

`python -m tests.bench language_model`, after `lakesift encoders get smollm2`. Rows are functions of 100 tokens, every
engine on one thread, engines in turns; a figure is the median over the rows of (ours / rival), whose values must agree.
torch in float32 and bfloat16 where torch is installed; the prototype in numpy where ../shared lies beside the checkout.
In Spark: seconds of the kernel a row with two workers, against two bare processes; and wall time at the margin between
two numbers of rows. Memory: two bare processes after 200 rows of 256 tokens.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import lakesift as ls
from lakesift.jobs.lake.session import session
from lakesift.udfs.errors import PlatformError
from lakesift.udfs.kernels import ngram_model
from lakesift.udfs.kernels.ngram_table import NgramScorer, tabulate
from lakesift.udfs.kernels.semantic_entropy import Landmarks
from lakesift.udfs.models import causal_torch, files, llama_onnx
from lakesift.udfs.scores.generative_entropy import GenerativeEntropy
from tests.bench.lines import Line, line, table
from tests.texts import SHARED, functions

TOKENS, ROWS, IN_SPARK, LONG_ROWS = 100, 40, (200, 600), 200
PROTOTYPE = SHARED.parent / "platform" / "prototypes" / "np_llama.py"
Bits = Callable[[Any], tuple[Any, Any]]


def _prototype(folder: Path, work: str) -> Bits | None:
    """Return the prototype's forward pass over token ids, if it is there."""
    spec = importlib.util.spec_from_file_location("np_llama", PROTOTYPE)
    if not PROTOTYPE.is_file() or spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.convert(str(next(folder.parent.glob("*.gguf"))), work)
    model = module.NpLlama(work)

    def bits(text: str) -> tuple[Any, Any]:
        _, nll, entropy = model.score([text], TOKENS)[0] / np.log(2)
        return np.array([entropy]), np.array([nll])

    return bits


def engines() -> list[Line]:
    """CPU of a row of 100 tokens, ours in multiples of each rival's."""
    folder, texts = files.verified("smollm2"), functions(3 * ROWS)
    ours = llama_onnx.load(folder)
    rows = [(t, ours.tokens(t, TOKENS)[0]) for t in texts]
    rows = [(ours.tokenizer.decode(ids.tolist()), ids) for _, ids in rows if len(ids) == TOKENS][:ROWS]
    rivals: dict[str, tuple[Callable[[str, Any], tuple[Any, Any]], float]] = {}
    with contextlib.suppress(PlatformError):
        whole, half = causal_torch.load(folder), causal_torch.load(folder, dtype="bfloat16")
        rivals["torch float32"] = (lambda _, ids: whole.bits(ids)), 0.6
        rivals["torch bfloat16"] = (lambda _, ids: half.bits(ids)), 1.5
    with tempfile.TemporaryDirectory() as work, threadpool_limits(1):  # numpy's threads spin beside the others
        if prototype := _prototype(folder, work):
            rivals["numpy prototype"] = (lambda text, _: prototype(text)), 0.65
        return [_ratio(name, ours.bits, rows, rival, bar) for name, (rival, bar) in rivals.items()]


def _ratio(name: str, ours: Bits, rows: list[Any], rival: Callable[..., tuple[Any, Any]], bar: float) -> Line:
    costs = []
    for text, ids in rows:
        a = time.process_time()
        mine = ours(ids)[1].mean()
        b = time.process_time()
        theirs = rival(text, ids)[1].mean()
        costs.append((b - a, time.process_time() - b))
        assert abs(mine - theirs) < (0.05 if "bfloat16" in name else 1e-3), (name, mine, theirs)
    ratio = median(x / y for x, y in costs)
    mine, theirs = (median(c) * 1e3 for c in zip(*costs, strict=True))
    return line(f"{name}, CPU ms a row of {TOKENS} tokens", mine, mine / ratio, 1 / bar) | {"median_rival": theirs}


def cheap() -> list[Line]:
    """Rows a second and core of the two cheap entropies, as seconds for as many rows as the bar asks."""
    whole = functions(3000)
    texts = [" ".join(t.split()[:60]) for t in whole if len(t.split()) >= 60]
    scorer = NgramScorer(tabulate(ngram_model.fit(ngram_model.cut(whole, 750_000))))
    coded = [t.encode() for t in texts] * (1 + 5_000 // len(texts))
    a = time.process_time()
    for at in range(0, 5_000, 256):
        scorer.bits(coded[at : min(at + 256, 5_000)])
    ngram = time.process_time() - a
    vectors = np.random.default_rng(0).normal(size=(8_000, 256)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    landmarks = Landmarks(vectors[:5_000])
    a = time.process_time()
    landmarks.entropy(vectors[5_000:], 0.1)
    semantic = time.process_time() - a
    return [
        line("ngram_entropy, CPU s for 5 000 rows of 60 words", ngram, 1.0, 1.0),
        line("semantic_entropy, CPU s for 3 000 rows", semantic, 1.0, 1.0),
    ]


def _texts(rows: int, tokens: int) -> list[str]:
    """Return distinct texts of at least so many tokens."""
    body = "\n".join(functions(3000)).split()
    return [f"# {i} " + " ".join(body[i * 40 % 30_000 :][:tokens]) for i in range(rows)]


def _bare(rows: int, barrier: Any) -> float:
    """Return the seconds a row of one process beside another."""
    kernel, texts = GenerativeEntropy(max_tokens=TOKENS).kernel(), _texts(rows, TOKENS)
    kernel(texts[:5])
    barrier.wait()
    start = time.perf_counter()
    kernel(texts)
    return (time.perf_counter() - start) / rows


def in_spark() -> list[Line]:
    """Kernel seconds a row with two workers, and wall at the margin, against two bare processes."""
    with multiprocessing.Manager() as manager, ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as both:
        barrier = manager.Barrier(2)
        bare = max(f.result() for f in [both.submit(_bare, 100, barrier) for _ in range(2)]) * 1e3
    walls, kernels = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        spark = session("local")
        lake = ls.Lake(f"{folder}/lake", spark)
        for rows in (20, *IN_SPARK):  # the first for the workers, which load the model
            texts = [(f"{i} of {rows}", t) for i, t in enumerate(_texts(rows, TOKENS))]  # no row is known already
            frame = spark.createDataFrame(texts, "id string, text string").repartition(4)
            frame.write.format("delta").save(f"{folder}/lake/docs_{rows}")
            recipe = {
                "name": f"lm_{rows}", "documents": {"table": f"docs_{rows}"},
                "scores": {"lm": {"kind": "generative_entropy", "max_tokens": TOKENS}},
                "select": {"kind": "random"}, "budget": {"rows": 1},
            }  # fmt: skip
            steps = {s.step: s for s in ls.run(lake, recipe, "score").manifest.steps}
            walls[rows], kernels[rows] = steps["compute"].seconds, steps["score lm"].kernel
    few, many = IN_SPARK
    kernel = (kernels[many] - kernels[few]) / (many - few) * 1e3
    margin = (walls[many] - walls[few]) / (many - few) * 1e3
    return [
        line("language model in a worker / bare, ms a row", kernel, bare, 1 / 1.1),
        line("two workers, wall at the margin / two bare processes, ms", margin, bare / 2, 0.9),
    ]


def _memory(rows: int, barrier: Any) -> tuple[float, float, float]:
    """Return private MB, MB of weights that are mapped, and the part of these that is this process's own (PSS)."""
    kernel = GenerativeEntropy().kernel()
    kernel(_texts(rows, 400))
    barrier.wait()
    found = _mapped()
    barrier.wait()
    return found


def _mapped() -> tuple[float, float, float]:
    private = weights = share = 0.0
    inside = False
    for entry in io.StringIO(Path("/proc/self/smaps").read_text()):
        words = entry.split()
        if "-" in words[0] and not words[0].endswith(":"):
            inside = words[-1].endswith("weights.f32")
        elif words[0] in ("Private_Dirty:", "Private_Clean:") and not inside:
            private += int(words[1]) / 1024
        elif inside and words[0] in ("Rss:", "Pss:"):
            weights += int(words[1]) / 1024 if words[0] == "Rss:" else 0
            share += int(words[1]) / 1024 if words[0] == "Pss:" else 0
    return private, weights, share


def memory() -> list[Line]:
    """MB of two processes that have scored 200 rows of 256 tokens each, at one moment."""
    with multiprocessing.Manager() as manager, ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as both:
        barrier = manager.Barrier(2)
        found = [f.result() for f in [both.submit(_memory, LONG_ROWS, barrier) for _ in range(2)]]
    private, weights, share = (max(values) for values in zip(*found, strict=True))
    return [
        line("private MB of a process with the model", private, 350.0, 1.0),
        line("MB of weights, each process's part of one mapping", share, weights / 2 * 1.02, 1.0),
    ]


def main() -> list[Line]:
    """Return all lines."""
    lines: list[Line] = []
    for part in (engines, cheap, memory, in_spark):
        found = part()
        print(table(found), flush=True)
        lines += found
    return lines


if __name__ == "__main__":
    main()
