"""ZIP-FIT finds what the target is made of: word problems in a pool of five sources, beside both controls.

Needs the larger sets in ../shared/data beside the checkout; prints the numbers that it asserts.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakesift.jobs.run import run
from lakesift.udfs.kernels.ngram_model import held_out_bits_per_byte
from tests.jobs.conftest import World, recipe

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
EACH, GOALS, HELD_OUT = 970, 100, 480

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data beside the checkout"),
]

Row = dict[str, Any]
#: Name -> (files, text of a row); rows are taken at even distances.
SOURCES: dict[str, tuple[str, Callable[[Row], str]]] = {
    "gpteacher": ("gpteacher/*", lambda r: "\n".join(filter(None, (r["instruction"], r["input"], r["output"])))),
    "flan_cot": ("flan_cot/*", lambda r: "\n".join(filter(None, (r["instruction"], r["input"], r["output"])))),
    "gsm8k": ("gsm8k/train*", lambda r: f"{r['question']}\n{r['answer']}"),
    "pool_speech": ("pool_speech/*", lambda r: str(r["text"])),
    "mbpp": ("mbpp/*", lambda r: f"{r['text']}\n{r['code']}"),
}


def texts(name: str) -> list[str]:
    pattern, text = SOURCES[name]
    made: list[str] = []
    for path in sorted(DATA.glob(f"{pattern}.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        made += [text(r) for r in rows if not (name == "flan_cot" and "gsm8k" in r["task"])]
    return made


def evenly(items: list[str], count: int) -> list[str]:
    return [items[i * len(items) // count] for i in range(count)]


@pytest.fixture(scope="module")
def mixed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, Row], list[str]]:
    """The lake, its documents by id, and word problems that nothing else holds."""
    problems = evenly(texts("gsm8k"), EACH + GOALS + HELD_OUT)
    parts = {name: evenly(texts(name), EACH) for name in SOURCES if name != "gsm8k"}
    # Every 15th problem is a goal, every third of the rest is held out: neither is in the pool.
    goals = problems[::15][:GOALS]
    others = [p for p in problems if p not in set(goals)]
    held_out = others[::3][:HELD_OUT]
    parts["gsm8k"] = [p for p in others if p not in set(held_out)][:EACH]
    docs = [{"id": f"{s}-{i}", "source": s, "text": t} for s, rows in parts.items() for i, t in enumerate(rows)]
    assert len(docs) == EACH * len(SOURCES)
    world = World(spark, tmp_path_factory.mktemp("sane"))
    world.put("docs", docs)
    world.put("goals", [{"text": t} for t in goals], files=1)
    return world, {d["id"]: d for d in docs}, held_out


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.10])
def test_the_selection_is_what_the_target_is(
    mixed: tuple[World, dict[str, Row], list[str]], fraction: float, capsys: pytest.CaptureFixture[str]
) -> None:
    world, docs, held_out = mixed
    scores = {"alignment": {"kind": "zipfit", "target": "goals", "level": 1}, "tokens": {"kind": "length_tokens"}}
    changes: dict[str, Any] = {"scores": scores, "where": "", "report": {}, "targets": {"goals": {"table": "goals"}}}
    run(world.lake, recipe("sane", **changes, budget={"fraction": fraction}))
    chosen = world.sql("SELECT 'selection' AS control, id, rank FROM {selection_sane}")
    chosen += world.sql("SELECT control, id, rank FROM {controls_sane}")
    sets: dict[str, list[Row]] = {}
    for row in sorted(chosen, key=lambda r: int(r["rank"])):
        sets.setdefault(row["control"], []).append(docs[row["id"]])
    share = {k: sum(r["source"] == "gsm8k" for r in rows) / len(rows) for k, rows in sets.items()}
    size = min(sum(len(r["text"].encode()) for r in rows) for rows in sets.values())
    bits = {k: held_out_bits_per_byte([r["text"] for r in rows], held_out, size) for k, rows in sets.items()}
    with capsys.disabled():
        print(f"\ntop {fraction:.0%} of {len(docs):,} rows, {size:,} bytes of each set")  # noqa: T201
        for name in sets:
            print(f"  {name:15s} gsm8k {share[name]:.3f}  held-out bits per byte {bits[name]:.3f}")  # noqa: T201
    base = 1 / len(SOURCES)
    assert share["selection"] >= 4 * base
    assert share["selection"] >= 2 * share["length_matched"]
    assert bits["selection"] < min(bits["random"], bits["length_matched"])
