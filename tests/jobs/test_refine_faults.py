"""refine, killed by SIGKILL in every phase, and two at once: the same rows, weights and feedback as undisturbed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import lakesift as ls
from lakesift.jobs.commands.process import NOTHING_NEW
from lakesift.udfs.models import files as model_files
from tests import tiny_llama
from tests.conftest import local_conf
from tests.jobs.test_faults import commits, files, kill_at, rows, start
from tests.jobs.test_refine import rows as documents

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RECIPE: dict[str, Any] = {
    "name": "killed",
    "documents": {"table": "docs", "prompt": "prompt", "completion": "completion"},
    "select": {"kind": "kmq", "cluster": "module", "quality": "quality"},
    "budget": {"rows": 31},
    "refine": {"rounds": 2, "scored": 20, "reward": {"kind": "column", "column": "value"}},
    "keep": ["module"],
}


def at(lake: Path, selection: int, feedback: int, rounds: int) -> bool:
    """Whether so many commits of each table are there."""
    return [commits(lake, t) for t in ("selection_killed", "feedback", "rounds")] == [selection, feedback, rounds]


#: What the folder looks like in each phase.
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "while the rows of round 1 are written": lambda lake: (
        files(lake, "selection_killed") and not commits(lake, "selection_killed")
    ),
    "before the rewards of round 1": lambda lake: at(lake, 1, 0, 0),
    "while feedback is written": lambda lake: files(lake, "feedback") and not commits(lake, "feedback"),
    "before the weights of round 1": lambda lake: at(lake, 1, 1, 0),
    "before the picks of round 2": lambda lake: at(lake, 1, 1, 1),
    "before the rewards of round 2": lambda lake: at(lake, 2, 1, 1),
    "before the last weights": lambda lake: at(lake, 2, 2, 1),
    "before the run is recorded": lambda lake: at(lake, 2, 2, 2) and not commits(lake, "runs"),
}
TWICE = ("before the weights of round 1", "before the rewards of round 2")


def prepared(folder: Path, recipe: dict[str, Any]) -> Path:
    (folder / "docs.jsonl").write_text("\n".join(map(json.dumps, documents())) + "\n", encoding="utf-8")
    source = {**recipe["documents"], "from": {"files": [str(folder / "docs.jsonl")]}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "documents": source}), encoding="utf-8")
    (folder / "spark.conf").write_text(local_conf(folder / "wh"))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("refine_faults"), RECIPE)


def finish(spark: SparkSession, place: Path, lake: str) -> dict[str, Any]:
    """Refine to the end, in the session of the tests; returns where it stands."""
    made = ls.refine(ls.Lake(str(place / lake), spark), yaml.safe_load((place / "recipe.yaml").read_text()))
    return dict(made.to_dict()["rounds"])


def finish_apart(place: Path, lake: str) -> dict[str, Any]:
    """Refine to the end in a process of its own."""
    process = start(place, lake, "refine")
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-2000:]
    return dict(json.loads(out)["rounds"])


def results(place: Path, lake: str) -> dict[str, Any]:
    """The tables, but for the time of feedback."""
    feedback = [tuple(c for c in row if c[0] != "at") for row in rows(place, lake, "feedback")]
    return {"feedback": feedback} | {t: rows(place, lake, t) for t in ("selection_killed", "rounds")}


@pytest.fixture(scope="module")
def undisturbed(spark: SparkSession, place: Path) -> dict[str, Any]:
    assert finish(spark, place, "reference")["finished"]
    return results(place, "reference")


@pytest.mark.long
@pytest.mark.parametrize("moments", [TWICE, *((moment,) for moment in MOMENTS)], ids=" and ".join)
def test_a_killed_refinement_goes_on(
    spark: SparkSession, place: Path, undisturbed: dict[str, Any], moments: tuple[str, ...]
) -> None:
    lake = "_and_".join(moments).replace(" ", "_")
    for moment in moments:
        kill_at(place, lake, MOMENTS[moment], "refine")
    assert finish(spark, place, lake)["finished"]
    assert results(place, lake) == undisturbed
    assert commits(place / lake, "selection_killed") == 2, "no round was committed twice"


@pytest.mark.long
def test_two_at_once_make_each_round_once(place: Path, undisturbed: dict[str, Any]) -> None:
    both = [start(place, "both", "refine") for _ in range(2)]
    ended = [process.communicate(timeout=600) for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, NOTHING_NEW]), [err[-1000:] for _, err in ended]  # the latter: one made all rounds
    assert results(place, "both") == undisturbed
    assert [commits(place / "both", t) for t in ("selection_killed", "feedback", "rounds")] == [2, 2, 2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place whose reward is the random tiny Llama, fine-tuned; its work goes to a folder that can be watched."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed: pip install 'lakesift[torch]'")
    from lakesift.udfs.models import answer_folders

    folder, cache = tmp_path_factory.mktemp("refine_model"), tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_files, "cache_folder", lambda: cache)
        patch.setitem(model_files.MODELS, "smollm2", tiny_llama.install(cache))
        answer_folders.save_model("smollm2", {}, folder / "model")
    (folder / "work").mkdir()
    reward = {"kind": "language_model", "model": str(folder / "model"), "layers": 1, "tokens": 12, "most": 96}
    return prepared(folder, {**RECIPE, "refine": {**RECIPE["refine"], "rounds": 3, "reward": reward}})


def answering(work: Path) -> bool:
    """Whether the model has been trained, and its answers are not yet told."""
    return any(work.glob("lakesift-*/task.json"))


@pytest.mark.long
def test_killed_while_the_model_is_trained_and_asked(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(trained / "work"))
    assert finish_apart(trained, "reference")["finished"]
    want = results(trained, "reference")
    assert not list((trained / "work").glob("lakesift-*")), "a round leaves no files"
    moments = {
        "training": lambda lake: at(lake, 1, 0, 0) and answering(trained / "work"),
        "asking": lambda lake: at(lake, 2, 1, 1) and any((trained / "work").glob("lakesift-*/layers.npz")),
        "keeping": lambda lake: at(lake, 3, 2, 2) and commits(lake, "hidden_killed") == 3,
    }
    for moment in moments.values():
        kill_at(trained, "killed", moment, "refine")
        for left in (trained / "work").glob("lakesift-*"):
            left.rename(trained / f"left-{left.name}")
    assert finish_apart(trained, "killed")["finished"]
    assert results(trained, "killed") == want
    assert commits(trained / "killed", "selection_killed") == 3
