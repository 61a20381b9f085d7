"""refine: rounds by hand, budgets, awaited rewards, moving inputs, wrong inputs. Killed: test_refine_faults.py."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import yaml

import lakesift as ls
from lakesift.jobs import cli
from lakesift.jobs.commands.plan import plan
from lakesift.jobs.commands.refinement import rounds_of
from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.ranking.quota import quota
from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.run import refine, run
from lakesift.udfs.errors import InputError, LakeSiftError, RecipeError
from lakesift.udfs.kernels.refinement import next_weights
from tests.jobs.conftest import World, pool

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS, BUDGET = 120, 31
VALUED: dict[str, Any] = {"kind": "column", "column": "value"}
AWAITED: dict[str, Any] = {"kind": "table", "source": "trainer"}


def rows(count: int = ROWS) -> list[dict[str, Any]]:
    """Documents in five modules of 24 rows: the first is worth most, some rows have no value."""
    draw = np.random.default_rng(3)
    made = pool(count)
    for i, row in enumerate(made):
        row["quality"] = float(draw.integers(1, 9))
        row["value"] = None if i % 11 == 10 else float(draw.normal(2.0 if row["module"] == "m0" else 0.0))
        row["prompt"], row["completion"] = row["text"][:40], row["text"][40:90]
    return made


def mine(reward: dict[str, Any] = VALUED, name: str = "fine", **changes: Any) -> Recipe:
    """The recipe; `refine_` changes its block."""
    block = {"rounds": 3, "scored": 20, "reward": reward, **changes.pop("refine_", {})}
    raw = {
        "name": name,
        "documents": {"table": "docs", "prompt": "prompt", "completion": "completion"},
        "select": {"kind": "kmq", "cluster": "module", "quality": "quality"},
        "budget": {"rows": BUDGET},
        "refine": block,
        "keep": ["module"],
    }
    return parse({**raw, **changes})


def static(rows_wanted: int, by: Any, **changes: Any) -> Recipe:
    selector = {"kind": "kmq", "cluster": "module", "quality": "quality", "quota": by}
    raw = {"name": "static", "documents": {"table": "docs"}, "select": selector, "budget": {"rows": rows_wanted}}
    return parse({**raw, **changes})


@pytest.fixture
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(spark, tmp_path_factory.mktemp("refine"))
    made.put("docs", rows())
    return made


def selected(world: World, name: str = "fine", version: int | None = None) -> pd.DataFrame:
    return world.lake.read(f"selection_{name}", version).toPandas().sort_values("rank", ignore_index=True)


def rounds(world: World) -> pd.DataFrame:
    return world.lake.read("rounds").toPandas().sort_values(["round", "cluster"], ignore_index=True)


def feedback(world: World) -> pd.DataFrame:
    return world.lake.read("feedback").toPandas().sort_values(["round", "id"], ignore_index=True)


@pytest.mark.parametrize(
    ("start", "by"), [pytest.param("uniform", "equal", marks=pytest.mark.long), ("proportional", "proportional")]
)
def test_the_first_round_is_the_static_choice(world: World, start: str, by: str) -> None:
    refine(world.lake, mine(AWAITED, refine_={"start": start}, salt="one"))
    run(world.lake, static(11, by, salt="one"))
    found, wanted = selected(world, version=1), selected(world, "static")
    assert found["id"].tolist() == wanted["id"].tolist()
    assert found["round"].tolist() == [1] * 11


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.long), 3, pytest.param(7, marks=pytest.mark.long)])
def test_budgets_add_up_and_no_row_comes_twice(world: World, count: int) -> None:
    refine(world.lake, mine(refine_={"rounds": count}))
    found = selected(world)
    assert len(found) == found["id"].nunique() == BUDGET
    assert found["rank"].tolist() == list(range(1, BUDGET + 1))
    sizes = [BUDGET // count + (r < BUDGET % count) for r in range(count)]
    assert found["round"].value_counts().sort_index().tolist() == sizes
    assert found["round"].is_monotonic_increasing
    for number in range(1, count):
        before = selected(world, version=number)
        assert before["id"].tolist() == found["id"][: len(before)].tolist(), "a later round adds, and moves nothing"


def test_weights_picks_and_scored_rows_by_hand(world: World) -> None:
    made = refine(world.lake, mine(refine_={"step": 0.5, "shrink": 2.0, "floor": 0.1}))
    assert not made.noop
    value = {r["id"]: r["value"] for r in rows()}
    module = {r["id"]: r["module"] for r in rows()}
    names, weight = [f"m{i}" for i in range(5)], [0.2] * 5
    said, found = feedback(world), selected(world)
    assert found["asked"].sum() == 20
    for number in (1, 2, 3):
        lines = rounds(world).query("round == @number")
        assert lines["cluster"].tolist() == names
        assert lines["weight"].tolist() == weight
        chosen = found[found["round"] == number]["module"].value_counts()
        assert lines["chosen"].tolist() == [chosen.get(n, 0) for n in names]
        mine_ = said[said["round"] == number]
        asked = selected(world, version=number).query("asked")["id"]
        assert sorted(asked) == mine_["id"].tolist(), "a reward of every row that was asked about, and of no other"
        for i, reward in zip(mine_["id"], mine_["reward"], strict=True):
            assert value[i] == reward or (value[i] is None and math.isnan(reward))
        defined = mine_.dropna(subset=["reward"])
        codes = np.array([names.index(module[i]) for i in defined["id"]])
        wanted = next_weights(weight, codes, defined["reward"], step=0.5, shrink=2.0, floor=0.1)
        assert lines["scored"].tolist() == wanted.scored.tolist()
        assert lines["weight_next"].tolist() == wanted.weight_next.tolist()
        assert lines["reward_shrunk"].tolist() == wanted.reward_shrunk.tolist()
        weight = wanted.weight_next.tolist()
    first = selected(world, version=1)["module"].value_counts()
    left = {n: 24 - first.get(n, 0) for n in names}
    second = rounds(world).query("round == 2").set_index("cluster")
    fair = quota([left[n] for n in names], second["weight"], [0.5] * 5, 10)
    assert np.abs(second["chosen"].to_numpy() - fair).max() <= 1, "each cluster its share, but for the random offset"
    assert weight[0] > 0.3, "the module that is worth most weighs most"
    assert refine(world.lake, mine(refine_={"step": 0.5, "shrink": 2.0, "floor": 0.1})).noop


@pytest.mark.long
def test_equal_rewards_leave_the_weights(world: World) -> None:
    world.put("docs", [{**row, "value": 3.0} for row in rows()])
    refine(world.lake, mine())
    assert rounds(world)["weight_next"].tolist() == [0.2] * 15


def test_a_cluster_that_runs_dry_gives_its_share_to_the_others(world: World) -> None:
    few = [row for i, row in enumerate(rows()) if row["module"] != "m0" or i < 20]
    world.put("docs", few)
    made = refine(world.lake, mine(budget={"rows": 40}, refine_={"start": "uniform", "floor": 0.0}))
    found = selected(world)
    assert len(found) == 40
    assert (found["module"] == "m0").sum() == 4
    assert any("cluster m0 has no row left; the others take the share" in note for note in made.notes)
    last = rounds(world).query("round == 3").set_index("cluster")
    assert last["weight"]["m0"] > 0, "it keeps its weight on paper"
    assert last["chosen"]["m0"] == 0


WRITER = """
import sys
from datetime import datetime, timedelta, timezone
import deltalake, pyarrow as pa
lake, number, leave, extra = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "extra"
selection = deltalake.DeltaTable(lake + "/selection_fine").to_pyarrow_table().to_pylist()
newest = max(selection, key=lambda row: row["round"])["round"]
commit = deltalake.DeltaTable(lake + "/selection_fine").history(1)[0]
import json
said = json.loads(commit["userMetadata"])
asked = sorted(row["id"] for row in selection if row["asked"])
assert (newest, said["round"]) == (number, number)
now = datetime.now(timezone.utc)
def row(i, reward, seconds=0, number=number):
    return {"recipe": "fine", "refinement": said["refinement"], "round": number, "id": i, "reward": reward,
            "source": "trainer", "at": now + timedelta(seconds=seconds)}
rows = [row(i, float(len(i) + n % 3)) for n, i in enumerate(asked[:len(asked) - leave])]
if extra:
    rows += [row(asked[0], 99.0, 1), row(asked[0], 7.5, 2), row(asked[1], rows[1]["reward"], 3)]  # corrected, duplicate
    rows += [row("nobody", 1.0), row(asked[0], 5.0, 9, number=5)]
schema = pa.schema([("recipe", pa.string()), ("refinement", pa.string()), ("round", pa.int32()), ("id", pa.string()),
                    ("reward", pa.float64()), ("source", pa.string()), ("at", pa.timestamp("us", "UTC"))])
deltalake.write_deltalake(lake + "/feedback", pa.Table.from_pylist(rows, schema), mode="append")
"""


def write(world: World, number: int, leave: int = 0, extra: bool = False) -> None:
    """Append rewards from a process that sees only Delta: all but the last `leave` of the rows asked about."""
    words = [str(world.root), str(number), str(leave), "extra" if extra else ""]
    subprocess.run([sys.executable, "-c", WRITER, *words], check=True, timeout=120)


def state(world: World) -> str:
    return rounds_of(world.lake, mine(AWAITED)).state


def test_rewards_of_somebody_else_over_three_rounds(world: World) -> None:
    recipe = mine(AWAITED)
    refine(world.lake, recipe)
    asked = int(selected(world)["asked"].sum())
    assert (asked, state(world)) == (
        11,
        f"round 1: 0 of 11 rewards; waiting for source trainer in {world.lake.ref('feedback')}",
    )
    refine(world.lake, recipe)
    assert world.versions()["selection_fine"] == 1, "nothing can be done, nothing is done"
    write(world, 1, leave=4, extra=True)
    refine(world.lake, recipe)
    assert state(world).startswith("round 1: 7 of 11 rewards; waiting")
    write(world, 1)
    assert state(world) == "round 1: 11 of 11 rewards; lakesift refine fine goes on"
    made = refine(world.lake, recipe)
    assert state(world).startswith("round 2: 0 of 20 rewards")
    for said in (
        "feedback of round 1: 1 rewards of rows that were not chosen, such as 'nobody', are not read",
        "feedback of round 5: 1 rewards of a round that is not there yet are not read",
    ):
        assert said in made.notes
    said = feedback(world).query("round == 1 and id != 'nobody'")
    newest = said.sort_values("at").groupby("id")["reward"].last()
    lines = rounds(world).query("round == 1")
    assert lines["scored"].sum() == 11
    members = selected(world, version=1).set_index("id")["module"]
    means = newest.groupby(members).mean()
    assert lines.set_index("cluster")["reward_mean"].dropna().to_dict() == pytest.approx(means.to_dict())
    write(world, 2)
    before = rounds(world)
    world.sql("INSERT INTO {feedback} SELECT recipe, refinement, 1, id, 1e6, source, now() FROM {feedback} LIMIT 1")
    made = refine(world.lake, recipe)
    assert "feedback of round 1: 1 rewards that came after it was finished are not read" in made.notes
    write(world, 3)
    refine(world.lake, recipe)
    assert state(world) == "finished"
    assert rounds(world).query("round == 1").equals(before.query("round == 1"))
    assert len(selected(world)) == BUDGET
    assert refine(world.lake, recipe).noop


def test_waiting_ends_when_the_rewards_are_there(world: World) -> None:
    recipe = mine(AWAITED, refine_={"rounds": 1})
    refine(world.lake, recipe)
    write(world, 1)
    assert refine(world.lake, recipe, wait=0.1).rows == BUDGET
    assert rounds_of(world.lake, recipe).finished


@pytest.mark.long
def test_what_is_appended_between_rounds_changes_nothing(world: World) -> None:
    recipe = mine(AWAITED)
    other = World(world.spark, world.root.parent / "quiet")
    other.put("docs", rows())
    for place in (world, other):
        refine(place.lake, recipe)
        write(place, 1)
    world.put("docs", [{**row, "id": f"new-{i}", "module": "m9"} for i, row in enumerate(rows(40))], mode="append")
    world.sql("OPTIMIZE {docs}")
    run(world.lake, static(5, "equal", name="fine_other"))
    for number in (2, 3):
        made = refine(world.lake, recipe)
        assert "documents: version 0 of docs is read, as in round 1; the newest is 2" in made.notes
        refine(other.lake, recipe)
        for place in (world, other):
            write(place, number)
    refine(world.lake, recipe)
    refine(other.lake, recipe)
    assert selected(world).equals(selected(other))
    keys = ["cluster", "round", "weight", "chosen", "weight_next"]
    assert rounds(world)[keys].equals(rounds(other)[keys])
    key = rounds_of(world.lake, recipe).refinement
    made = refine(world.lake, recipe)
    assert rounds_of(world.lake, recipe).refinement != key, "finished: the next one is of the documents as they are now"
    assert f"a new refinement begins, in place of {key}: its documents, targets or models have changed" in made.notes


@pytest.mark.long
def test_a_version_that_was_vacuumed_begins_anew(world: World) -> None:
    recipe = mine(AWAITED)
    refine(world.lake, recipe)
    key = rounds_of(world.lake, recipe).refinement
    write(world, 1)
    world.put("docs", rows(110))
    world.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    world.sql("VACUUM {docs} RETAIN 0 HOURS")
    made = refine(world.lake, recipe)
    assert f"a new refinement begins, in place of {key}: files of the versions that it reads are gone" in made.notes
    assert len(selected(world)) == 11
    assert selected(world)["round"].tolist() == [1] * 11


@pytest.mark.long
@pytest.mark.parametrize("table", ["docs", "scores_fine"])
def test_a_table_that_was_made_anew_begins_anew(world: World, table: str) -> None:
    recipe = mine(AWAITED)
    refine(world.lake, recipe)
    key = rounds_of(world.lake, recipe).refinement
    shutil.rmtree(world.root / table)
    if table == "docs":
        world.put("docs", rows(110))
    made = refine(world.lake, recipe)
    gone = f"a new refinement begins, in place of {key}: files of the versions that it reads are gone"
    assert (gone in made.notes) == (table == "docs"), "equal documents give the same refinement again"
    assert len(selected(world)) == 11


@pytest.mark.long
def test_an_edited_recipe_begins_anew_and_the_old_one_comes_back(world: World) -> None:
    refine(world.lake, mine())
    first, key = selected(world), rounds_of(world.lake, mine()).refinement
    made = refine(world.lake, mine(refine_={"step": 2.0}))
    assert f"a new refinement begins, in place of {key}: the recipe was edited" in made.notes
    assert not selected(world).equals(first)
    refine(world.lake, mine())
    assert selected(world).equals(first)
    assert len(rounds(world)) == 30, "weights that are known are not made twice"


@pytest.mark.long
def test_what_was_changed_in_the_tables_heals(world: World) -> None:
    refine(world.lake, mine())
    first = selected(world)
    world.sql("DELETE FROM {selection_fine} WHERE rank % 2 = 0")
    refine(world.lake, mine())
    assert selected(world).equals(first)
    world.sql("RESTORE {selection_fine} TO VERSION AS OF 1")
    refine(world.lake, mine())
    assert selected(world).equals(first)
    before, version = rounds(world), world.versions()["selection_fine"]
    world.sql("DELETE FROM {rounds} WHERE round <= 2")
    world.sql("DELETE FROM {feedback} WHERE round = 2")
    refine(world.lake, mine())
    assert rounds(world).equals(before)
    assert selected(world).equals(first)
    assert world.versions()["selection_fine"] == version, "rows that are there are not written again"


@pytest.mark.long
def test_a_classifier_learns_from_rated_rows(world: World) -> None:
    good = [{"text": row["text"], "rating": int(row["module"] == "m1")} for row in rows()]
    world.put("rated", [*good, {"text": "not rated", "rating": None}])
    reward = {"kind": "classifier", "embedding": "vector", "target": "rated"}
    vector = {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 64}
    recipe = mine(reward, scores={"vector": vector}, targets={"rated": {"table": "rated"}})
    refine(world.lake, recipe)
    from sklearn.linear_model import LogisticRegression

    from lakesift.udfs.scores.embedding import Embedding

    embed = Embedding(encoder="hashed_ngrams", dimensions=64).kernel()
    texts = {row["id"]: row["text"] for row in rows()}
    model = LogisticRegression(C=10.0, max_iter=1000).fit(embed([r["text"] for r in good]), [r["rating"] for r in good])
    said = feedback(world)
    wanted = model.decision_function(embed([texts[i] for i in said["id"]]))
    assert said["reward"].to_numpy() == pytest.approx(wanted, abs=0.02)
    assert rounds(world).query("round == 3").set_index("cluster")["weight"].idxmax() == "m1"
    world.sql("DELETE FROM {rated} WHERE rating = 1")
    with pytest.raises(InputError, match="examples of both kinds are needed"):
        refine(world.lake, replace(recipe, seed=7))


@pytest.mark.long
def test_a_reward_that_is_no_number_is_counted(world: World) -> None:
    odd = [float("nan"), float("inf"), -float("inf")]
    world.put("docs", [{**row, "value": odd[i % 3] if i % 2 else row["value"]} for i, row in enumerate(rows())])
    made = refine(world.lake, mine())
    scored = feedback(world).query("round == 1")["reward"]
    assert rounds(world).query("round == 1")["scored"].sum() == np.isfinite(scored).sum() < len(scored)
    assert any(n.startswith("feedback of round 1: ") and "null, NaN or infinite" in n for n in made.notes)
    world.put("docs", [{**row, "value": float("nan")} for row in rows()])
    with pytest.raises(InputError, match="round 1: none of 11 rewards by column is a number; append corrected rows"):
        refine(world.lake, mine())


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"select": {"kind": "top_k", "by": "quality"}}, "select is of kind top_k, which has no clusters"),
    ({"select": {"kind": "kmq", "cluster": "module", "quality": "quality", "quota": "equal"}}, "leave quota out"),
    ({"select": {"kind": "kmq", "cluster": "module", "quality": "quality", "replacement": True}}, "no row twice"),
    ({"budget": {"rows": 2}}, "rounds is 3 for a budget of 2 rows"),
    ({"budget": {"tokens": 50, "length": "length_bytes"}}, "cannot be divided into the rounds"),
    ({"documents": {"table": "docs"}, "reward": {"kind": "language_model"}}, "reads the prompt of a row"),
    ({"reward": {"kind": "column"}}, "column"),
    ({"reward": {"kind": "colum", "column": "value"}}, "did you mean 'column'|column"),
    ({"reward": {"kind": "column", "column": "nothing"}}, "nothing"),
    ({"reward": {"kind": "column", "column": "text"}}, "a number is needed"),
    ({"reward": {"kind": "classifier", "embedding": "v", "target": "rated"}}, "no target 'rated'"),
    ({"refine_": {"scored": 4}}, "scored is 4 and module has 5 clusters"),
    ({"refine_": {"scored": 0}}, "from 1"),
    ({"refine_": {"floor": 2}}, "from 0 to 1"),
    ({"reward": {"kind": "column", "column": "cost"}, "refine_": {"rule": "eq6"}}, "recommend|rule: exp"),
    ({"where": "quality > 100"}, "no row of 120 can be selected"),
]


@pytest.fixture(scope="module")
def never(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A lake that no round is written to."""
    made = World(spark, tmp_path_factory.mktemp("never"))
    made.put("docs", [{**row, "cost": -1.0} for row in rows()])
    return made


@pytest.mark.parametrize(("changes", "sentence"), WRONG, ids=[s for _, s in WRONG])
def test_wrong_input_is_one_sentence(never: World, changes: dict[str, Any], sentence: str) -> None:
    changes = dict(changes)
    reward = changes.pop("reward", VALUED)
    with pytest.raises(LakeSiftError, match=sentence) as error:
        refine(never.lake, mine(reward, **changes))
    assert "\n" not in str(error.value)


def test_run_and_refine_know_each_other(world: World) -> None:
    with pytest.raises(RecipeError, match="lakesift refine fine"):
        run(world.lake, mine())
    with pytest.raises(RecipeError, match="has no refine: block"):
        refine(world.lake, static(5, "equal"))
    with pytest.raises(RecipeError, match="has no refine: block"):
        rounds_of(world.lake, static(5, "equal"))
    with pytest.raises(InputError, match="is of no refinement"):
        rounds_of(world.lake, mine())


@pytest.mark.long
def test_the_api_and_its_text(world: World) -> None:
    made = ls.refine(ls.Lake(str(world.root), world.spark), mine(controls=["random"]))
    assert made.finished
    assert made.selection.count() == BUDGET
    assert "31 rows in selection_fine, version 3; finished" in str(made)
    assert isinstance(made.result.manifest, Manifest)
    assert made.to_dict()["rounds"]["round"] == 3
    assert world.sql("SELECT count(*) AS n FROM {controls_fine}")[0]["n"] == BUDGET
    lake = made.result.lake
    history = [row[-1] for row in lake.history(mine(controls=["random"])).rows]
    assert history == ["round 3 of 3", "round 2 of 3", "first run", "no rows"]
    changed = lake.diff(mine(controls=["random"]), 1, 3)
    assert (changed.went, changed.came) == (0, 20)
    assert {row[-1] for row in changed.came_rows.rows} == {"round 2 chose it", "round 3 chose it"}
    report = lake.report(mine(controls=["random"]))
    assert len(report.rounds.rows) == 15
    assert "rounds of the refinement" in str(report)
    assert report.to_dict()["rounds"]["columns"][0] == "round"


def test_the_command_line(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "fine.yaml"
    select = {"kind": "kmq", "cluster": "module", "quality": "quality"}
    raw = {"name": "fine", "documents": {"table": "docs"}, "select": select, "budget": {"rows": BUDGET}}
    file.write_text(yaml.safe_dump({**raw, "refine": {"reward": AWAITED, "scored": 20}}))
    place = [str(file), "--lake", str(world.root)]
    cli.main(["refine", *place, "--step", "--json"])
    said = json.loads(capsys.readouterr().out)["rounds"]
    assert (said["round"], said["rows"], said["finished"]) == (1, 11, False)
    write(world, 1)
    cli.main(["refine", *place, "--status"])
    shown = capsys.readouterr().out
    assert "refinement " + said["refinement"] + " of fine: round 1 of 3" in shown
    assert "round 1: 11 of 11 rewards; lakesift refine fine goes on" in shown
    cli.main(["refine", *place, "--step"])
    assert "round 2: 0 of 20 rewards; waiting for source trainer in " in capsys.readouterr().out
    with pytest.raises(SystemExit, match="export needs --to and --out for the rows, or --model"):
        cli.main(["export", *place])
    with pytest.raises(SystemExit, match="has trained no model; only reward language_model does"):
        cli.main(["export", *place, "--model", str(tmp_path / "model")])


@pytest.mark.long
def test_plan_knows_where_a_refinement_stands(world: World) -> None:
    def last(recipe: Recipe) -> tuple[Any, ...]:
        return plan(world.lake, recipe).steps.rows[-1]

    assert last(mine(AWAITED)) == ("refine", "selection_fine", "3 rounds by rewards of kind table")
    refine(world.lake, mine(AWAITED))
    assert last(mine(AWAITED))[2].startswith("round 1: 0 of 11 rewards; waiting")
    refine(world.lake, mine())
    assert plan(world.lake, mine()).nothing_new
    assert plan(world.lake, mine()).resolved["refine"]["reward"] == {"kind": "column", "column": "value"}
