"""Notebooks run from top to bottom on a lake that is written here without a JVM, and show what stands in it."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import polars as pl
import pytest
from deltalake import CommitProperties, write_deltalake
from nbclient import NotebookClient

from lakesift.jobs.lake import refinement_tables, schemas

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
ROWS = 40


def _write(lake: Path, name: str, frame: pl.DataFrame, note: dict[str, object] | None = None) -> None:
    properties = CommitProperties(custom_metadata={"userMetadata": json.dumps(note)}) if note else None
    write_deltalake(str(lake / name), frame.to_arrow(), mode="overwrite", commit_properties=properties)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake with the tables of one recipe; the ten rows of the best score are selected."""
    ids = [f"row-{i:02d}" for i in range(ROWS)]
    documents = pl.DataFrame({"id": ids, "kind": ["function", "topic"] * (ROWS // 2), "text": ids})
    scores = pl.DataFrame(
        {
            "id": ids,
            "content_hash": range(ROWS),
            "alignment": [i / ROWS if i % 9 else None for i in range(ROWS)],
            "tokens": range(ROWS),
        }
    )
    best = scores.drop_nulls().sort("alignment", descending=True).head(10)
    ones = pl.DataFrame({"weight": [1.0] * 10, "copies": [1] * 10})
    selection = pl.concat(
        [
            best.select("id", pl.int_range(1, 11).alias("rank"), pl.col("alignment").alias("gain")),
            ones,
            best.select("alignment", "tokens"),
        ],
        how="horizontal",
    )
    controls = pl.DataFrame({"control": ["random"] * 10, "id": ids[:10], "rank": range(1, 11)})
    step = {"step": "select", "rows": ROWS, "computed": 10, "outcome": "wrote version 1", "seconds": 0.5}
    resolved = {
        "documents": {"table": "corpus"},
        "scores": {"alignment": {"kind": "zipfit"}, "tokens": {"kind": "length_tokens"}},
        "select": {"kind": "top_k", "by": "alignment"},
        "report": {"shares": ["kind"]},
    }
    manifest = json.dumps({"steps": [step], "resolved": resolved})
    runs = pl.DataFrame({"run_id": ["feed"], "recipe": ["zipfit_code"], "selection_version": [1], "rows": [10]})
    at = pl.datetime(2026, 11, 22, time_zone="UTC").alias("finished_at")
    runs = runs.with_columns(at, manifest=pl.lit(manifest), sequence=1)
    _write(tmp_path, "corpus", documents)
    _write(tmp_path, "scores_zipfit_code", scores)
    _write(tmp_path, "selection_zipfit_code", selection.head(0))
    _write(tmp_path, "selection_zipfit_code", selection, {"run_id": "feed", "counts": {"selected": 10}})
    _write(tmp_path, "controls_zipfit_code", controls)
    _write(tmp_path, "runs", runs)
    assert {c.name for c in schemas.FIXED} <= set(selection.columns)
    assert [c.name for c in schemas.controls("x", 1).columns] == controls.columns
    assert {c.name for c in schemas.runs().columns} == set(runs.columns)
    return tmp_path


def _shown(notebook: nbformat.NotebookNode) -> list[str]:
    """Return, for each code cell, what its last output says as text, and "image" for a plot."""
    made = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            parts = [out.get("data", {"text/plain": out.get("text", "")}) for out in cell.outputs]
            made.append(" ".join(["image" if "image/png" in p else p.get("text/plain", "") for p in parts]))
    return made


def test_explore(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKESIFT_LAKE", str(lake))
    monkeypatch.setenv("POLARS_FMT_MAX_ROWS", "20")
    notebook = nbformat.read(FOLDER / "explore.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(lake)}}).execute()
    _, head, scatter, medians, shares, versions, steps = _shown(notebook)
    assert head.index("row-39") < head.index("row-38") < head.index("row-37")
    assert "row-36" not in head  # its score is null
    assert "image" in scatter
    # Hand-computed: rows 39 38 37 35 34 33 32 31 30 29, whose odd ones are topics; the median is 33.5 / 40.
    assert "0.8375" in medians
    assert "image" in shares
    assert [line.split()[1::2] for line in shares.splitlines() if "function" in line or "topic" in line] == [
        ["function", "0.5", "0.4", "0.5"],
        ["topic", "0.5", "0.6", "0.5"],
    ]
    assert "feed" in versions
    assert "wrote version 1" in steps


def test_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight rows in two clusters: kmq takes one of each, k_center two of one."""
    ids = [f"row-{i}" for i in range(8)]
    cells = [{"cluster": i // 4, "distance_sq": 0.0} for i in range(8)]
    _write(tmp_path, "scores_kmq", pl.DataFrame({"id": ids, "cells": cells}))
    for name, chosen in {"kmq": ["row-0", "row-4"], "k_center": ["row-4", "row-5"]}.items():
        _write(tmp_path, f"selection_{name}", pl.DataFrame({"id": chosen}))
    _write(tmp_path, "controls_kmq", pl.DataFrame({"control": ["random"] * 2, "id": ["row-1", "row-2"]}))
    scored = {"vector": {"kind": "embedding"}, "cells": {"kind": "kmeans"}}
    manifest = json.dumps({"fingerprints": {"vector": "feed"}, "resolved": {"scores": scored}})
    _write(tmp_path, "selection_elsewhere", pl.DataFrame({"id": ["another pool's"]}))
    runs = pl.DataFrame({"recipe": ["kmq"], "sequence": [1], "manifest": [manifest]})
    _write(tmp_path, "runs", runs)
    vectors = [[float(i // 4), i / 8, 0.0] for i in range(8)]
    _write(tmp_path, "memos", pl.DataFrame({"id": ids, "fingerprint": ["feed"] * 8, "vector": vectors}))
    monkeypatch.setenv("LAKESIFT_LAKE", str(tmp_path))
    notebook = nbformat.read(FOLDER / "compare.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    _, overlap, covered, maps = _shown(notebook)
    assert "image" in overlap or "0.333333" in overlap
    assert "elsewhere" not in overlap + covered
    assert [line.split()[1::2][:5] for line in covered.splitlines() if "kmq" in line or "k_center" in line] == [
        ["kmq", "2", "2", "2", "1.0"],
        ["k_center", "2", "1", "2", "0.0"],
    ]
    assert "image" in maps


def test_entropies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty rows whose entropies rise with their number, of which the middle ten are selected; and a small search."""
    ids = [f"row-{i:02d}" for i in range(ROWS)]
    lm = [{"generative_entropy_bits": -i / 10, "nll_bits": 1.0} if i else None for i in range(ROWS)]
    scores = pl.DataFrame({"id": ids, "tokens": range(ROWS), "words": [i / 10 for i in range(ROWS)], "lm": lm})
    _write(tmp_path, "scores_igse", scores.with_columns((pl.col("words") ** 2).alias("meaning")))
    _write(tmp_path, "selection_igse", pl.DataFrame({"id": ids[15:25]}))
    _write(tmp_path, "stdlib_2000", pl.DataFrame({"id": ids, "text": [f"text\n  {i}" for i in range(ROWS)]}))
    tries = [
        ("all", 1.0, 0.9),
        *((m, s, s + bonus) for m, bonus in (("words", 0.2), ("random", 0.1)) for s in (0.3, 0.5)),
    ]
    given = {
        "recipe": "igse", "run": "feed", "learner": "logistic", "split": "test", "interval": "", "rows": 9,
        "position": 0, "seed": [1, 2] * len(tries), "method": [m for m, _, _ in tries for _ in (1, 2)],
        "share": [s for _, s, _ in tries for _ in (1, 2)], "metric": [a + d for _, _, a in tries for d in (-0.1, 0.1)],
    }  # fmt: skip
    assert set(given) == {c.name for c in schemas.trials().columns}
    _write(tmp_path, "trials", pl.DataFrame(given))
    monkeypatch.setenv("LAKESIFT_LAKE", str(tmp_path))
    notebook = nbformat.read(FOLDER / "entropies.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    _, shapes, ranges, matrix, accuracy, tails = _shown(notebook)
    assert "image" in shapes
    assert [line.split()[1::2] for line in ranges.splitlines() if line.startswith(("│ words", "│ lm"))] == [
        ["words", "0.0", "1.5", "2.4"],
        ["lm", "0.025", "-2.4", "-1.5"],
    ]
    assert [line.split()[3::2] for line in matrix.splitlines() if line.startswith("│ lm")] == [
        ["-1.0", "-1.0", "1.0", "-1.0"]
    ]
    assert [line.split()[1::2] for line in accuracy.splitlines() if line.startswith("│ 0.")] == [
        ["0.3", "0.4", "0.5"],
        ["0.5", "0.6", "0.7"],
    ]
    assert tails.index("words, lowest") < tails.index("0.00  text 0") < tails.index("3.90  text 39")


def test_mig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six rows over four labels, of which 0 and 1 are neighbours; the selection covers all, its control two."""
    ids = [f"row-{i}" for i in range(6)]
    topics = [[0], [0], [1], [2, 3], [], None]
    _write(
        tmp_path,
        "scores_mig",
        pl.DataFrame({"id": ids, "topics": topics}, schema_overrides={"topics": pl.List(pl.Int32)}),
    )
    selection = {
        "id": ["row-3", "row-0", "row-2"],
        "rank": [1, 2, 3],
        "gain": [2.0, 1.0, 0.5],
        "information": [2.0, 3.5, 4.0],
    }
    _write(tmp_path, "selection_mig", pl.DataFrame(selection))
    control = {"control": ["random"] * 3, "id": ["row-0", "row-4", "row-2"], "rank": [1, 2, 3]}
    _write(tmp_path, "controls_mig", pl.DataFrame(control))
    manifest = json.dumps({"fingerprints": {"topics": "feed"}})
    _write(tmp_path, "runs", pl.DataFrame({"recipe": ["mig"], "sequence": [1], "manifest": [manifest]}))
    labels = [{"label": i, "name": f"topic {i}", "rows": 4 - i, "merged": []} for i in range(4)]
    model = {
        "fingerprint": ["feed"],
        "fitted_at": [1],
        "labels": [labels],
        "edges": [[{"a": 0, "b": 1, "weight": 0.7}]],
    }
    assert {*model} <= {c.name for c in schemas.models().columns}
    merged = pl.Struct({"label": pl.Int32, "name": pl.String, "rows": pl.Int64, "merged": pl.List(pl.String)})
    _write(tmp_path, "models", pl.DataFrame(model, schema_overrides={"labels": pl.List(merged)}))
    monkeypatch.setenv("LAKESIFT_LAKE", str(tmp_path))
    notebook = nbformat.read(FOLDER / "mig.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    head, covered, graph, objective = _shown(notebook)
    assert head.index("topic 0") < head.index("topic 3")
    assert "image" in covered
    assert [line.split()[1::2] for line in covered.splitlines() if line.startswith(("│ mig", "│ random"))] == [
        ["mig", "4"],
        ["random", "2"],
    ]
    assert [line.split()[2::2] for line in graph.splitlines() if line.startswith("│ topic")] == [
        ["0", "1"], ["1", "1"], ["2", "0"], ["3", "0"],
    ]  # fmt: skip
    assert "image" in objective


def test_notebooks_are_kept_without_outputs() -> None:
    for path in FOLDER.glob("*.ipynb"):
        cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        assert all(not c.outputs and c.execution_count is None for c in cells), path.name


def test_refine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clusters, two rounds of three rows; the second takes them from the cluster of the higher reward."""
    ids = [f"row-{i}" for i in range(12)]
    words = ["the sum is", "a bird has two legs", "the list is sorted", "no one is here"]
    questions = {"id": ids, "prompt": [f"{words[i % 4]} {i} " for i in range(12)], "completion": ["yes"] * 12}
    _write(tmp_path, "questions", pl.DataFrame(questions))
    selection = {"id": ids[:6], "rank": range(1, 7), "round": [1] * 3 + [2] * 3, "asked": [True] * 6}
    _write(tmp_path, "selection_refine_word_problems", pl.DataFrame(selection), {"refinement": "feed", "round": 2})
    control = {"control": ["random"] * 6, "id": ids[3:9], "rank": range(1, 7)}
    _write(tmp_path, "controls_refine_word_problems", pl.DataFrame(control))
    rounds = pl.DataFrame({
        "recipe": ["refine_word_problems"] * 5, "refinement": ["feed"] * 4 + ["older"], "round": [1, 1, 2, 2, 1],
        "cluster": ["0", "1", "0", "1", "7"], "weight": [0.5, 0.5, 0.25, 0.75, 1.0], "rule": ["exp"] * 5,
        "rows": [6, 6, 6, 6, 1], "chosen": [2, 1, 0, 3, 1], "scored": [2, 1, 2, 4, 1],
        "reward_mean": [0.1, 0.9, 0.2, 0.8, 0.0], "reward_shrunk": [0.3, 0.6, 0.3, 0.7, 0.0],
        "reward_deviation": [0.2] * 5, "weight_next": [0.25, 0.75, 0.125, 0.875, 1.0],
    })  # fmt: skip
    assert [c.name for c in refinement_tables.rounds().columns] == rounds.columns
    _write(tmp_path, "rounds", rounds)
    monkeypatch.setenv("LAKESIFT_LAKE", str(tmp_path))
    notebook = nbformat.read(FOLDER / "refine.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    head, weights, mix, rewards, loss = _shown(notebook)
    assert [line.split()[1::2] for line in head.splitlines() if line[:3] in ("│ 1", "│ 2")] == [
        ["1", "3", "3"],
        ["2", "3", "6"],
    ]
    assert all("image" in shown for shown in (weights, mix, rewards, loss))
    assert [line.split()[1] for line in weights.splitlines() if line[:3] in ("│ 0", "│ 1", "│ 7")] == ["1", "0"]
    assert {"refine", "random"} <= set(loss.split())
