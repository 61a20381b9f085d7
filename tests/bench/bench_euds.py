"""When the entropies of EUDS help: accuracy at 50, 30 and 16 % of the training rows kept, beside random and length.

`python -m tests.bench euds`: `lakesift tune` with the default search (9 places, 10 seeds, as many random draws) on
vader_groundtruth (sentiment, 2 classes) and dolly_3k (category, 8 classes) from ../shared/data beside the checkout,
where they are, and on functions of the standard library (the ten modules that have most of them), at most 6 000 rows a
set; at 30 % the winners are fine-tuned as well where torch is installed. IGSE is the line `combined`. Beside them
Spearman's correlations of the scores with each other and with length, of two landmark samples without a common row (of
larger pools, too, which have 5 000 rows for each), and ten texts of each tail. Lakes lie in build/euds, so that a bench
that was stopped goes on. Up to 2 hours on two cores.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import lakesift as ls
from lakesift.jobs.sources.samples import SAMPLES
from lakesift.udfs.errors import PlatformError
from lakesift.udfs.kernels.semantic_entropy import Landmarks
from lakesift.udfs.models import files
from lakesift.udfs.models.learners import check_learner
from lakesift.udfs.scores.embedding import Embedding
from tests.bench.lines import Line
from tests.texts import INSTRUCTED, SHARED, instructions, shared_rows

ROWS, WINDOW, TAIL, SHOWN = 6_000, 8, 10, 110
LM = "lm.generative_entropy_bits"
NGRAM = "ngram.ngram_entropy_bits"
Row = dict[str, Any]


def vader() -> list[Row]:
    """Sentences whose mean human rating is at least half a point from neutral; the label is its sign."""
    rows = shared_rows("vader_groundtruth/all")
    return [
        {"id": r["id"], "text": r["text"], "label": str(r["sentiment"] > 0)} for r in rows if abs(r["sentiment"]) >= 0.5
    ]


def dolly() -> list[Row]:
    """Instructions with input and answer; the label is the category."""
    rows = shared_rows("dolly_3k/dolly_3k")
    keys = ("instruction", "input", "output")
    return [{"id": r["id"], "text": "\n".join(filter(None, map(r.get, keys))), "label": r["category"]} for r in rows]


def stdlib() -> list[Row]:
    """Functions of the ten modules that have most; the label is the module."""
    rows = [r for r in SAMPLES["python_stdlib"].rows() if r["kind"] == "function"]
    most = {module for module, _ in Counter(r["module"] for r in rows).most_common(10)}
    return [{"id": r["id"], "text": r["text"], "label": r["module"]} for r in rows if r["module"] in most]


SETS: dict[str, Callable[[], list[Row]]] = {"vader": vader, "dolly": dolly, "stdlib": stdlib}


def recipe(name: str, path: Path, bounds: list[str], finetuned: bool) -> Row:
    """Return the recipe of a set: four entropies, and the search over some of them."""
    scores = {
        "words": {"kind": "information_entropy", "window": WINDOW},
        "vector": {"kind": "embedding", "encoder": "wordllama"},
        "meaning": {"kind": "semantic_entropy", "of": "vector"},
        "ngram": {"kind": "ngram_entropy"},
        "lm": {"kind": "generative_entropy"},
        "tokens": {"kind": "length_tokens"},
    }
    return {
        "name": name,
        "documents": {"table": "rows", "from": {"files": str(path)}},
        "scores": scores,
        "select": {"kind": "interval", "bounds": {score: ["q0.1", "q0.9"] for score in bounds}},
        "budget": {"rows": 100},
        "tune": {"label": "label", "finetune_shares": [0.3] if finetuned else [], "rows": ROWS},
    }


def finetunes() -> bool:
    """Return whether the fine-tuned model can be run here."""
    try:
        check_learner("finetune")
    except PlatformError as error:
        print(f"without fine-tuning: {error}")
        return False
    return True


def correlations(scores: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's rank correlations of the four entropies and length."""
    columns = {
        "words": scores["words"],
        "meaning": scores["meaning"],
        "lm": [s["generative_entropy_bits"] for s in scores["lm"]],
        "lm nll": [s["nll_bits"] for s in scores["lm"]],
        "ngram": [s["ngram_entropy_bits"] for s in scores["ngram"]],
        "length": scores["tokens"],
    }
    return pd.DataFrame(columns).astype(float).rank().corr()


def landmark_agreement(texts: list[str]) -> float:
    """Return Spearman's correlation of semantic entropy under two landmark samples that share no row."""
    vectors = np.ascontiguousarray(Embedding().kernel()(texts), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    half = min(5_000, len(vectors) // 2)
    order = np.random.default_rng(0).permutation(len(vectors))
    both = [Landmarks(vectors[order[i * half : (i + 1) * half]]).entropy(vectors, 0.1) for i in (0, 1)]
    return float(pd.DataFrame(both).T.rank().corr().to_numpy()[0, 1])


def large_pools() -> dict[str, list[str]]:
    """Return texts of pools that are large enough for two samples of 5 000 landmarks."""
    instructed = [text for name in INSTRUCTED for text in instructions(name) if text]
    library = [r["text"] for r in SAMPLES["python_stdlib"].rows()]
    return {"the standard library": library, "flan_cot and gpteacher": instructed}


def tails(rows: list[Row], scores: pd.DataFrame) -> None:
    """Print ten texts of each tail of the three entropies."""
    text = {r["id"]: r["text"] for r in rows}
    values = {
        "words": scores["words"],
        "meaning": scores["meaning"],
        "lm": pd.Series([s["generative_entropy_bits"] for s in scores["lm"]]),
    }
    for name, value in values.items():
        order = value.dropna().sort_values().index
        for tail, some in (("lowest", order[:TAIL]), ("highest", order[-TAIL:])):
            print(f"  {name}, {tail}:")
            for i in some:
                print(f"    {value[i]:.2f} {' '.join(text[scores['id'][i]].split())[:SHOWN]}")


def search(name: str, make: Callable[[], list[Row]], finetuned: bool) -> None:
    """Print everything about one set."""
    rows = sorted(make(), key=lambda r: hashlib.sha256(str(r["id"]).encode()).digest())[:ROWS]
    rows = [r for r in rows if r["text"].strip()]
    folder = Path("build") / "euds" / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    lake = ls.Lake(str(folder / "lake"))
    print(f"\n== {name}: {len(rows):,} rows, {len({r['label'] for r in rows})} classes")
    scores = ls.run(lake, recipe(name, path, ["words"], False), "score").scores.toPandas()
    print("Spearman's rank correlation\n" + correlations(scores).round(2).to_string())
    print(
        f"of semantic entropy under two disjoint landmark samples: {landmark_agreement([r['text'] for r in rows]):.3f}"
    )
    for part, bounds in (("ngram", [NGRAM]), ("igse", ["words", "meaning", LM])):
        raw = recipe(f"{name}_{part}", path, bounds, finetuned and part == "igse")
        print(ls.tune(lake, raw, out=str(folder / f"{part}_tuned.yaml")), flush=True)
    tails(rows, scores)


def main() -> list[Line]:
    """Print the tables; they have no bars, so there are no lines."""
    files.verified("smollm2")
    finetuned = find_spec("torch") is not None and finetunes()
    for name, make in SETS.items():
        if name == "stdlib" or SHARED.is_dir():
            search(name, make, finetuned)
        else:
            print(f"\n== {name} needs ../shared/data beside the checkout: left out")
    for name, texts in large_pools().items():
        if texts:
            print(f"\ntwo disjoint landmark samples, {name}, {len(texts):,} rows: {landmark_agreement(texts):.3f}")
    return []


if __name__ == "__main__":
    main()
