"""tune on a pool whose labels can be learnt from rows of high quality only: found, judged once, resumed, written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

import lakesift as ls
from lakesift.jobs.cli import main
from lakesift.jobs.recipe import parse
from lakesift.jobs.recipe.keys import tuned_keys
from lakesift.jobs.scoring import trials
from lakesift.jobs.tune import Tuned
from lakesift.udfs.errors import InputError, LakeSiftError, RecipeError
from lakesift.udfs.models import learners
from tests.jobs.conftest import World

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

N, SEEDS, POSITIONS, SHARES = 1000, 4, 3, [0.5, 0.2]
WORDS = {
    "sea": ["wave", "salt", "tide", "reef", "sail", "foam"],
    "wood": ["bark", "moss", "leaf", "root", "fern", "acorn"],
}


def documents() -> list[dict[str, Any]]:
    """Texts of words of the sea or of the wood; the label says which, but below a quality of .5 it is a coin's."""
    rng, rows = np.random.default_rng(5), []
    for i in range(N):
        topic = ("sea", "wood")[int(rng.integers(2))]
        words = [
            *rng.choice(WORDS[topic], 3),
            *rng.choice([w for v in WORDS.values() for w in v], int(rng.integers(3, 9))),
        ]
        quality = float(rng.random())
        label = topic if quality >= 0.5 else ("sea", "wood")[int(rng.integers(2))]
        rows.append({"id": f"d{i}", "text": " ".join(words), "quality": quality, "topic": label, "one": "same"})
    rows[0]["topic"] = rows[1]["quality"] = None
    return rows


def recipe(**changes: Any) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "name": "woods",
        "documents": {"table": "docs"},
        "scores": {
            "words": {"kind": "information_entropy", "whole": True},
            "vector": {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 64},
            "tokens": {"kind": "length_tokens"},
        },
        "select": {"kind": "interval", "bounds": {"quality": ["q0.1", "q0.9"], "words": ["q0.1", "q0.9"]}},
        "budget": {"rows": 50},
        "tune": {"label": "topic", "shares": SHARES, "positions": POSITIONS, "seeds": SEEDS},
    }
    return {**raw, **changes}


def tune(**changes: Any) -> dict[str, Any]:
    """The recipe with another `tune:` block."""
    return recipe(tune={**recipe()["tune"], **changes})


@pytest.fixture(scope="module")
def woods(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(spark, tmp_path_factory.mktemp("woods"))
    world.put("docs", documents())
    return world


@pytest.fixture(scope="module")
def lake(woods: World) -> ls.Lake:
    return ls.Lake(str(woods.root), woods.spark)


@pytest.fixture(scope="module")
def found(lake: ls.Lake, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    return ls.tune(lake, recipe(), out=str(tmp_path_factory.mktemp("out") / "tuned.yaml"))


def line(found: Tuned, method: str, share: float) -> dict[str, Any]:
    return next(r for r in found.table.to_dict() if (r["method"], r["share"]) == (method, share))


def test_the_good_rows_are_found(found: Tuned) -> None:
    for share in SHARES:
        assert line(found, "quality", share)["interval"] == f"q{1 - share:.2f} to q1.00"
    assert line(found, "quality", 0.2)["over random"] > line(found, "quality", 0.2)["ci random"]
    assert line(found, "random", 0.2)["over random"] == 0
    (method,) = found.bounds
    assert method == "quality"
    assert found.bounds["quality"][0] > 0.45
    assert found.bounds["quality"][1] > 0.99
    assert found.rows["rows"] == N - 2  # no label, no quality
    assert "was chosen on validation rows" in found.verdict


def test_every_method_had_the_same_tries_and_test_rows_were_read_for_winners_only(woods: World, found: Tuned) -> None:
    counts = {
        (r["method"], r["share"], r["split"]): r["n"]
        for r in woods.sql(
            f"SELECT method, share, split, count(*) n FROM {{trials}} WHERE run = '{found.run}' GROUP BY ALL"
        )
    }
    methods = ("quality", "words", "combined", "length", "random")
    validation = {(m, s, "validation"): SEEDS * POSITIONS for m in methods for s in SHARES}
    assert counts == validation | {(m, s, "test"): SEEDS for m in methods for s in SHARES} | {
        ("all", 1.0, "test"): SEEDS
    }
    kept = woods.sql(
        "SELECT DISTINCT share, rows / first(rows) OVER (PARTITION BY seed ORDER BY share DESC) r FROM {trials}"
    )
    assert all(abs(r["share"] - r["r"]) < 0.005 for r in kept)


def test_a_second_search_reads_and_one_cut_short_goes_on(
    woods: World, lake: ls.Lake, found: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = learners.LEARNERS["logistic"]

    def counted(rows: learners.Rows) -> learners.Learner:
        learner = real(rows)

        def accuracy(train: Any, ask: Any, seed: int) -> float:
            calls.append(seed)
            return learner(train, ask, seed)

        return accuracy

    monkeypatch.setitem(learners.LEARNERS, "logistic", counted)
    before = woods.versions()
    again = ls.tune(lake, recipe(), out=str(tmp_path / "x.yaml"))
    assert (again.table, again.bounds, calls) == (found.table, found.bounds, [])
    assert woods.versions() == before
    woods.spark.sql(f"DELETE FROM delta.`{woods.root}/trials` WHERE seed = 2 AND split = 'validation'")
    assert ls.tune(lake, recipe(), out=str(tmp_path / "x.yaml")).table == found.table
    assert calls == [2] * (5 * len(SHARES) * POSITIONS)


def test_a_search_that_stops_keeps_what_it_has(
    woods: World, lake: ls.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = learners.LEARNERS["logistic"]

    def failing(rows: learners.Rows) -> learners.Learner:
        learner, left = real(rows), iter(range(20))

        def accuracy(train: Any, ask: Any, seed: int) -> float:
            next(left)
            return learner(train, ask, seed)

        return accuracy

    monkeypatch.setattr(trials, "COMMIT_SECONDS", 0.0)  # a commit a try
    monkeypatch.setitem(learners.LEARNERS, "logistic", failing)
    with pytest.raises(StopIteration):
        ls.tune(lake, tune(seeds=2, positions=2), out=str(tmp_path / "x.yaml"))
    assert woods.sql("SELECT count(*) FROM {trials} GROUP BY run ORDER BY 1")[0][0] == 20


def test_other_labels_are_another_search(lake: ls.Lake, found: Tuned, tmp_path: Path) -> None:
    other = ls.tune(lake, tune(label="coalesce(topic, 'sea')", seeds=2), out=str(tmp_path / "x.yaml"))
    assert other.run != found.run
    assert other.rows["rows"] == N - 1  # the row without a quality is left out


def test_the_tuned_recipe_runs(lake: ls.Lake, found: Tuned) -> None:
    text = Path(found.path).read_text()
    keys = yaml.safe_load(text)
    assert keys["name"] == "woods_tuned"
    assert keys["select"]["bounds"] == found.bounds
    assert set(keys["scores"]) == {"vector", "tokens"}  # nothing names words any more
    assert "tune" not in keys
    assert text.startswith("# woods with the bounds of lakesift tune")
    result = ls.run(lake, found.path)
    quality = [r["quality"] for r in result.selection.select("quality").collect()]
    assert len(quality) == 50
    assert min(quality) >= found.bounds["quality"][0]


@pytest.mark.parametrize("change", [{"combine": "mean_rank"}, {"stratum": "topic"}])
def test_quantiles_are_written_where_bounds_cannot_be_values(
    lake: ls.Lake, tmp_path: Path, change: dict[str, str]
) -> None:
    raw = recipe(name="q" + next(iter(change)), select={**recipe()["select"], **change})
    found = ls.tune(lake, raw, ("tune.seeds=2",), str(tmp_path / "x.yaml"))
    assert all(str(end).startswith("q") for pair in found.bounds.values() for end in pair)
    assert ls.run(lake, found.path).rows == 50


def test_a_length_that_no_key_defines_may_be_searched() -> None:
    """Every recipe measures length; where its keys do not, there is none to drop from them."""
    raw = recipe(select={"kind": "interval", "bounds": {"quality": ["q0.1", None], "length_bytes": [None, 900]}})
    del raw["scores"]["tokens"]
    keys = tuned_keys(raw, parse(raw), {"quality": [0.5, 1.0]})
    assert set(keys["scores"]) == {"words", "vector"}
    assert set(parse(keys).scores) == {"words", "vector", "length_bytes"}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"tune": None}, "the recipe woods has no tune: block; add tune: {label: <SQL>} to it"),
    ({"tune": {"seeds": 3}}, "tune has no 'label'; add it"),
    (tune(shares=[1.5]), "tune: shares is [1.5]; "),
    (tune(shares=[]), "tune: shares is empty"),
    (tune(seeds=1), "tune: seeds is 1; a whole number from 2 is needed"),
    (tune(learner="svm"), "tune: learner is 'svm'; allowed: finetune, logistic"),
    (tune(finetune_shares=[0.3]), "tune: finetune_shares has 0.3, which is not one of shares: [0.5, 0.2]"),
    (tune(embedding="words"), "tune: embedding is 'words', no score of kind embedding; allowed: vector"),
    ({"select": {"kind": "random"}}, "tune: select is of kind random; tune searches bounds of kind interval"),
    (
        {"scores": {"words": "information_entropy"}},
        "tune: its classifier learns from one score of kind embedding; add vector: {kind: embedding}",
    ),
    (
        {"select": {"kind": "interval", "bounds": {"combined": [0, 1], "words": [0, 1]}}},
        "tune: bounds name 'combined', which is a method of its own here; rename the score",
    ),
    (tune(label="topik"), "tune: label: 'topik' does not fit its table, whose columns are"),
    (tune(label="array(topic)"), "tune: label: 'array(topic)' is array<string>; a value that makes groups is needed"),
    (tune(label="one"), "tune: label one has one class, 'same', in 999 rows; two are needed"),
    (tune(label="id"), "tune: label id has 999 classes in 999 rows; at least 10 rows each are needed"),
    (tune(label="nullif(one, 'same')"), "tune: no row of 1,000 that where: lets in has a nullif(one, 'same')"),
    (
        tune(shares=[0.01]),
        "998 labelled rows leave 5 to train on or to ask about at share 0.01, and 20 are needed; label 3,334 rows",
    ),
]


@pytest.mark.parametrize(("change", "said"), BAD)
def test_what_cannot_be_searched_is_said_in_one_sentence(
    lake: ls.Lake, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(LakeSiftError) as caught:
        ls.tune(lake, {**recipe(), **change}, out=str(tmp_path / "x.yaml"))
    assert isinstance(caught.value, RecipeError | InputError)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.yaml").exists()


def test_the_command_line(woods: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "woods.yaml"
    path.write_text(yaml.safe_dump(recipe()))
    main(["tune", str(path), "--lake", str(woods.root), "--set", "tune.seeds=2"])
    said = capsys.readouterr().out
    assert said.startswith("tune of woods, search ")
    assert f"written to {tmp_path / 'woods_tuned.yaml'}: lakesift run" in said
    assert (tmp_path / "woods_tuned.yaml").exists()
    main(["tune", str(path), "--lake", str(woods.root), "--set", "tune.seeds=2", "--json"])
    assert json.loads(capsys.readouterr().out)["bounds"].keys() == {"quality"}
