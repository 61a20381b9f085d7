"""Iterative against static choices with a real model in the loop: loss of held-out answers over five seeds.

`python -m tests.bench refine`: needs torch, SmolLM2 and, for its first case, ../shared/data beside the checkout. Every
method chooses equally many rows of the same pool; the same base model is then trained on them by equal steps (2 epochs,
batches of 8) and measured on the same held-out rows. A line is the mean over seeds of (method - static choice) in nats
a token with its 95 % t-interval, over all held-out rows (each row, or each token, counts the same) and by cluster; an
interval that holds 0 claims nothing.
CPU-seconds are of choosing (Spark, and the training that iterative choosing needs) beside those of the final training.
Each seed of a case is kept in build/refine: a bench that was stopped goes on.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.bench.lines import Line, tree_cpu
from tests.bench.refine_cases import CASES, Case, Row
from tests.conftest import local_conf

SEEDS = 5
OUT = Path("build") / "refine"
#: Means over all held-out rows.
BY_ROWS, BY_TOKENS = "all, by rows", "all, by tokens"
#: Half width of a 95 % interval in standard errors, four degrees of freedom.
T = 2.776


def one_seed(name: str, seed: int) -> dict[str, Any]:
    """Choose, train and measure by every method of a case; read from build/refine where that was done."""
    kept, case = OUT / f"{name}-{seed}.json", CASES[name]
    said: dict[str, Any] = (
        json.loads(kept.read_text()) if kept.is_file() else {"case": name, "seed": seed, "methods": {}}
    )
    left = [method for method in case.methods if method not in said["methods"]]
    if not left:
        return said
    from lakesift.jobs.lake.session import session
    from lakesift.jobs.lake.tables import Lake

    folder = Path(tempfile.mkdtemp(prefix="refine-"))
    conf = folder / "spark.conf"
    conf.write_text(local_conf(folder / "warehouse").replace("local[2,4]", "local[1,4]"))
    lake, rows = Lake(session(str(conf)), str(folder / "lake")), case.rows(seed)
    for table, some in (("docs", rows), ("rated", [r for r in rows if r["split"] == "train"][::3])):
        frame = pd.DataFrame(some).assign(text=[r["prompt"] + r["completion"] for r in some])
        lake.spark.createDataFrame(frame).write.format("delta").save(str(folder / "lake" / table))
    OUT.mkdir(parents=True, exist_ok=True)
    states: dict[str, Any] = {}
    for method in left:
        said["methods"][method] = _one_method(lake, case, method, rows, seed, states)
        said["clusters"] = _clusters(lake, case, method, rows)
        kept.write_text(json.dumps(said))
    shutil.rmtree(folder, ignore_errors=True)
    return said


def _clusters(lake: Any, case: Case, method: str, rows: list[Row]) -> list[str]:
    """Return the cluster of each held-out row, in order of ids."""
    clusters = {r["id"]: r["cluster"] for r in rows if r["split"] == "test"}
    if "cells" in case.scores:
        cells = lake.read(f"scores_{_recipe_name(method)}").selectExpr("id", "cells.cluster AS c").collect()
        clusters = {r["id"]: f"cluster {r['c']}" for r in cells if r["id"] in clusters}
    return [clusters[i] for i in sorted(clusters)]


def _recipe_name(method: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in method.lower())


def _one_method(
    lake: Any, case: Case, method: str, rows: list[Row], seed: int, states: dict[str, Any]
) -> dict[str, Any]:
    """Return the held-out loss by row, tokens, CPU-seconds, and how the rounds went.

    `states` of rows below the trained layers are kept for the next method; CPU-seconds of training leave them out.
    """
    from lakesift.jobs.recipe import parse
    from lakesift.jobs.run import refine, run
    from lakesift.udfs.models.answer_process import train_in_process
    from lakesift.udfs.models.answer_task import Row as Answer
    from lakesift.udfs.models.answer_task import Task, Training

    raw = {
        "name": _recipe_name(method), "documents": {"table": "docs", "prompt": "prompt", "completion": "completion"},
        "scores": case.scores, "where": "split = 'train'", "budget": {"rows": case.budget}, "seed": seed, "keep": [],
        "targets": case.targets if "classifier" in method else {}, **json.loads(json.dumps(case.methods[method])),
    }  # fmt: skip
    if raw.get("refine", {}).get("reward", {}).get("kind") == "language_model":
        raw["refine"]["reward"]["most"] = case.most
    recipe, before = parse(raw), tree_cpu()
    (refine if recipe.refine else run)(lake, recipe)
    chose = tree_cpu() - before
    ids = [r["id"] for r in lake.read(f"selection_{recipe.name}").select("id", "rank").orderBy("rank").collect()]
    texts = {r["id"]: Answer(r["id"], r["prompt"], r["completion"]) for r in rows}
    held_out = [texts[i] for i in sorted(r["id"] for r in rows if r["split"] == "test")]
    task = Task("smollm2", Training(seed, most=case.most), [texts[i] for i in ids], [], held_out)
    with tempfile.TemporaryDirectory(prefix="refine-") as work:
        result = train_in_process(Path(work), task, {i: states[i] for i in texts.keys() & states.keys()})
    states |= result.hidden
    trained = sum(seconds for phase, seconds in result.seconds.items() if phase != "hidden")
    rounds: list[Any] = []
    if recipe.refine:
        columns = ("round", "cluster", "weight", "chosen", "scored", "reward_mean", "weight_next")
        lines = lake.read("rounds").where(f"recipe = '{recipe.name}'").orderBy("round", "cluster")
        rounds = [list(r) for r in lines.select(*columns).collect()]
    sizes = pd.Series([next(r["cluster"] for r in rows if r["id"] == i) for i in ids]).value_counts().to_dict()
    sys.stderr.write(f"{case.name} {seed} {method}: {np.nanmean(result.held_out.after):.4f}\n")
    return {
        "before": _plain(result.held_out.before), "after": _plain(result.held_out.after),
        "tokens": result.held_out.tokens.tolist(), "chose": chose, "trained": trained, "rounds": rounds,
        "chosen": sizes, "rss_mb": result.rss_mb,
    }  # fmt: skip


def _plain(values: Any) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]


def _mean(said: dict[str, Any], method: str, shown: str, when: str = "after") -> float:
    """Return the mean loss of held-out rows: of all, each row or each token counting the same, or of one cluster."""
    found = said["methods"][method]
    nll, tokens = np.array(found[when], float), np.array(found["tokens"], float)
    mine = np.array([shown in (BY_ROWS, BY_TOKENS, c) for c in said["clusters"]]) & (tokens > 0)
    return float(np.average(nll[mine], weights=tokens[mine] if shown == BY_TOKENS else None)) if mine.any() else np.nan


def _interval(values: list[float]) -> tuple[float, float]:
    found = np.array([v for v in values if np.isfinite(v)])
    return float(found.mean()), float(T * found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 2 else float("nan")


def _show(name: str, said: list[dict[str, Any]]) -> list[Line]:
    methods = list(CASES[name].methods)
    static = next(m for m in methods if m.startswith("static"))
    clusters = [BY_ROWS, BY_TOKENS, *sorted({c for s in said for c in s["clusters"]})]
    print(f"\n{name}: loss of held-out answers in nats a token, {len(said)} seeds; difference from {static}")
    for method in methods:
        cost = np.mean([s["methods"][method]["chose"] for s in said])
        trained = np.mean([s["methods"][method]["trained"] for s in said])
        print(f"  {method}: choosing {cost:.0f} CPU-s, training {trained:.0f} CPU-s")
        for cluster in clusters:
            base = np.mean([_mean(s, method, cluster, "before") for s in said])
            after = np.mean([_mean(s, method, cluster) for s in said])
            mean, half = _interval([_mean(s, method, cluster) - _mean(s, static, cluster) for s in said])
            print(f"    {cluster:<24} {base:7.3f} -> {after:7.4f}   {mean:+.4f} +- {half:.4f}")
        if rounds := [r for s in said for r in s["methods"][method]["rounds"]]:
            frame = pd.DataFrame(rounds, columns=["round", "cluster", "weight", "chosen", "scored", "mean", "next"])
            print(frame.groupby(["round", "cluster"])[["weight", "chosen", "mean"]].mean().round(3).to_string())
    cost = {m: float(np.mean([s["methods"][m]["chose"] + s["methods"][m]["trained"] for s in said])) for m in methods}
    ours, rival = cost[methods[0]], cost[static]
    return [{"name": f"refine, {name}: CPU-s iterative, static", "ours": ours, "rival": rival, "ratio": rival / ours,
             "bar": 0.0, "met": True}]  # fmt: skip


def main() -> list[Line]:
    """Compare in two processes; prints every comparison."""
    jobs = [(name, seed) for name in CASES for seed in range(1, SEEDS + 1)]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        said = list(pool.map(one_seed, *zip(*jobs, strict=True)))
    return [line for name in CASES for line in _show(name, [s for s in said if s["case"] == name])]
