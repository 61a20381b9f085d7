"""`lakesift plan --probe` against the run that follows: CPU-seconds of all scores, and bytes of the tables.

`python -m tests.bench plan`. Three recipes over 20 000 and more real rows of ../shared/data (else of the standard
library), each in a lake of its own: cheap scores of text, ZIP-FIT, and an embedding with clusters. Met is a ratio of at
least .77 either way, which is 30 %.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lakesift.jobs.commands.plan import Plan, plan
from lakesift.jobs.lake.session import session
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from tests.bench.lines import Line, table, windows
from tests.texts import human_eval, shared_rows

ROWS, NEAR = 24_000, 1 / 1.3
SETS = ("gpteacher/codegen", "gpteacher/roleplay", "gpteacher/toolformer", "dolly_3k/dolly_3k", "gsm8k/train")
SETS += ("gsm8k/model_solutions", "vader_groundtruth/all", "proofnet/mathlib_docgen_nl_pairs")
RECIPES: dict[str, dict[str, Any]] = {
    "cheap": {
        "scores": {
            "tokens": "length_tokens",
            "ratio": "compression_ratio",
            "entropy": {"kind": "information_entropy"},
        },
        "select": {"kind": "top_k", "by": "entropy"},
    },
    "zipfit": {
        "targets": {"goals": {"table": "goals"}},
        "scores": {"alignment": {"kind": "zipfit", "target": "goals"}},
        "select": {"kind": "top_k", "by": "alignment"},
    },
    "clusters": {
        "scores": {"vector": {"kind": "embedding"}, "cells": {"kind": "kmeans", "k": 100}},
        "select": {"kind": "kmeans_random", "cluster": "cells"},
    },
}


def texts(rows: int) -> list[str]:
    """Return so many real texts, repeated with a number where there are fewer."""
    found = [" ".join(str(v) for v in row.values() if isinstance(v, str)) for name in SETS for row in shared_rows(name)]
    found = found or windows(800, 4_000)
    return [found[i % len(found)] + f" {i // len(found)}" * (i >= len(found)) for i in range(rows)]


def predicted_and_spent(spark: SparkSession, root: Path, name: str, rows: int) -> tuple[Plan, dict[str, float], Lake]:
    """Plan with a probe, run; returns the plan, the seconds that each score took, and the lake."""
    lake = Lake(spark, str(root))
    for table_name, some in (("docs", texts(rows)), ("goals", human_eval(60))):
        frame = spark.createDataFrame([(f"{table_name}-{i}", t) for i, t in enumerate(some)], "id string, text string")
        frame.repartition(4).write.format("delta").save(str(root / table_name))
    recipe = parse({"name": name, "documents": {"table": "docs"}, "budget": {"rows": 500}, **RECIPES[name]})
    planned = plan(lake, recipe, with_probe=True)
    steps = run(lake, recipe).steps
    return planned, {s.step.split()[1]: float(s.kernel or 0) for s in steps if s.step.startswith("score ")}, lake


def compare(spark: SparkSession, root: Path, name: str, rows: int) -> list[Line]:
    """One line for the scores of a recipe together, one for the bytes of its tables."""
    planned, spent, lake = predicted_and_spent(spark, root, name, rows)
    costs = {row[0]: row[3] for row in planned.costs.rows}
    sizes = {row[0]: row[2] for row in planned.sizes.rows if row[2] and row[0] != f"selection_{name}"}
    print(planned.costs, planned.sizes, {**spent}, {t: lake.size(t) for t in sizes}, sep="\n", flush=True)
    written = sum(lake.size(t) or 0 for t in sizes)
    return [
        near(f"{name}: CPU-seconds of {rows:,} rows", costs["all"], sum(spent.values())),
        near(f"{name}: MB of memos, hashes and scores", sum(sizes.values()) / 1e6, written / 1e6),
    ]


def near(name: str, predicted: float, real: float) -> Line:
    """One comparison: `ratio` is the smaller by the larger."""
    ratio = min(predicted, real) / max(predicted, real, 1e-9)
    return {"name": name, "ours": predicted, "rival": real, "ratio": ratio, "bar": NEAR, "met": ratio >= NEAR}


def main() -> list[Line]:
    """All three, one after the other."""
    spark, lines = session("local"), list[Line]()
    with tempfile.TemporaryDirectory() as folder:
        for name in RECIPES:
            lines += compare(spark, Path(folder) / name, name, ROWS)
    print(table(lines))
    spark.stop()
    return lines


if __name__ == "__main__":
    main()
