"""300 made recipes over odd rows: what is accepted runs to its end with every row counted, the rest is one sentence.

Number n is the same recipe on every machine: `pytest tests/jobs/test_fuzz_recipes.py -k recipe_17-` runs it alone, and
`python -m tests.jobs.test_fuzz_recipes 17` prints it. All share a lake and three names, so that each run meets tables
that another recipe has left.
"""

from __future__ import annotations

import math
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lakesift.jobs.cli import main
from lakesift.jobs.commands.plan import plan
from lakesift.jobs.commands.report import report
from lakesift.jobs.inputs.documents import joined_columns
from lakesift.jobs.inputs.opening import open_documents
from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import Recipe, load
from lakesift.jobs.run import run
from lakesift.udfs.errors import InputError
from lakesift.udfs.quoting import quoted, quoted_name
from tests.jobs.made_recipes import COLUMNS, PLAIN, made
from tests.jobs.spoilt_recipes import spoilt
from tests.texts import ODD, functions, human_eval

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

VALID, SPOILT = 90, 210
ROWS = 36
#: What values of the rows may refuse, after rows were read: a sentence each.
OF_VALUES = re.compile(
    r"no row of \d+ can be selected|is above the \d+ distinct vectors|the first row alone|needs values >= 0|"
    r"no row lies inside|kmeans: |labels: |tags: |(ngram|semantic)_entropy: |leverage: |dsir: |no vector|has no |"
    r"vectors of 'emb' have 1 to 4 elements|of id 'x?d\d\d'( in cluster \d+)? is (nan|-?inf|-?\d\S*); a |have no middle"
)


def lines() -> list[str]:
    """Return the rows as SQL: null, empty and huge texts, NaN, infinities, ragged and null arrays."""
    odd = (text.encode("utf-8", "replace").hex() for text in (*ODD, *functions(ROWS)))
    texts = ["''", "NULL", "repeat('long text ', 20000)", *(f"unhex('{text}')" for text in odd)]
    numbers = ["double('NaN')", "double('Infinity')", "-double('Infinity')", "NULL", "-0.0D", "1e308D"]
    rows = []
    for i in range(ROWS):
        values = {
            "id": f"'d{i:02}'", "text": f"CAST({texts[i % len(texts)]} AS STRING)",
            "prompt": f"IF({i} % 9 = 0, NULL, 'why {i % 4}?')", "completion": f"IF({i} % 8 = 3, NULL, 'because {i}')",
            "module": f"IF({i} % 7 = 2, NULL, 'm{i % 3}')", "row_hash": f"'r{i % 5}'", "tokens": "'t'", "size": f"{i}",
            "tiny": f"CAST({i} AS TINYINT)", "big": f"{i} * 100000000000L",
            "q": numbers[i // 4] if i % 4 == 1 and i // 4 < len(numbers) else f"{i / 7}D",
            "price": f"CAST({i}.25 AS DECIMAL(9, 2))", "meta.score": f"CAST({i} / 10 AS FLOAT)",
            "day": f"DATE'2020-01-01' + INTERVAL {i} DAYS", "naive": "TIMESTAMP_NTZ'2020-01-02 03:04:05'",
            "at": f"TIMESTAMP'2020-01-01 00:00:00.000001' + INTERVAL {i} HOURS",
            "flag": f"IF({i} % 6 = 1, NULL, {i} % 2 = 0)", "tags": f"IF({i} % 10 = 4, NULL, array('a', 'tag {i % 4}'))",
            "emb": {5: "NULL", 6: "array(1.0F)"}.get(i, f"array({i}.0F, {i % 3}.5F, -1.0F, 0.0F)"),
            "pairs": f"map('k', {i % 3})", "raw": f"X'{i % 3:02d}'", "v": f"parse_json('{{\"n\": {i}}}')",
            "odd": f"named_struct('a', {i % 8}, 'b', IF({i} % 5 = 0, NULL, 'x'))",
        }  # fmt: skip
        rows.append("SELECT " + ", ".join(f"{values[name]} AS {quoted_name(name)}" for name in COLUMNS))
    return rows


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """`docs` of all kinds of columns, `plain` of those that a selection keeps as they are, a view, and a target."""
    root = tmp_path_factory.mktemp("made")
    rows = spark.sql(" UNION ALL ".join([*lines(), lines()[7].replace("'d07'", "NULL")])).coalesce(1)
    rows.write.format("delta").save(str(root / "docs"))
    docs = spark.read.format("delta").load(str(root / "docs"))
    assert dict(docs.dtypes) == {name: kind.simpleString() for name, kind in COLUMNS.items()}
    docs.select(*PLAIN).write.format("delta").save(str(root / "plain"))
    spark.sql(f"SELECT * FROM delta.`{root / 'docs'}`").createOrReplaceGlobalTempView("docs_view")
    goals = [(i, text) for i, text in enumerate(human_eval(6))]
    spark.createDataFrame(goals, "n int, text string").coalesce(1).write.format("delta").save(str(root / "goals"))
    return Lake(spark, str(root))


def written(folder: Path, keys: dict[str, Any]) -> str:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(keys, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return str(path)


# -- what is accepted --------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("number", range(VALID), ids=lambda n: f"recipe_{n}-")
def test_a_valid_recipe_runs_and_counts_every_row(lake: Lake, tmp_path: Path, number: int) -> None:
    recipe = load(written(tmp_path, made(number)))
    planned = plan(lake, recipe)
    refused = ""
    try:
        done = run(lake, recipe)
    except InputError as error:
        refused = str(error)
    if refused:
        assert OF_VALUES.search(refused), refused
        assert "\n" not in refused
        return
    told = next(row for row in planned.reads.to_dict() if row["use"] == "documents")
    assert told["rows"] in (done.inputs["documents"]["rows"], "unknown until run")
    _counted(lake, recipe, done)
    _scored(lake, recipe, done)
    if done.inputs["documents"]["version"] is not None:
        assert "is up to date" in str(plan(lake, recipe))
    if number % 3 == 0:
        assert run(lake, recipe).noop == (done.inputs["documents"]["version"] is not None)
        try:
            assert report(lake, recipe).rows["selection"] == done.rows
        except InputError as error:
            assert "held-out texts are also among those that scores are fitted on" in str(error)  # noqa: PT017


def _counted(lake: Lake, recipe: Recipe, done: Manifest) -> None:
    """Selected, not chosen, ineligible and unranked are all documents; the tables hold what the counts say."""
    counts = done.counts
    assert counts["documents"] == ROWS
    chosen = lake.read(f"selection_{recipe.name}").toPandas()
    left = counts["documents"] - counts["ineligible"] - counts["unranked"] - counts["selected"]
    assert left >= 0, counts
    assert counts["selected"] == len(chosen) == done.rows == chosen["id"].nunique()
    assert sorted(chosen["rank"]) == list(range(1, len(chosen) + 1))
    assert not any(isinstance(gain, float) and math.isnan(gain) for gain in chosen["gain"].dropna())
    eligible = _eligible(lake, recipe)
    assert len(eligible) == counts["documents"] - counts["ineligible"]
    assert {*chosen["id"]} <= eligible
    drawn, budget = int(chosen["copies"].sum()), recipe.budget
    wanted = budget.rows or max(1, int(ROWS * (budget.fraction or 0) + 0.5))
    if budget.tokens:
        assert chosen["tokens_used"].sum() <= budget.tokens
    else:
        assert drawn <= wanted
        assert drawn == recipe.selector.wants(wanted) or any(n.startswith("budget is") for n in done.notes), done.notes
    drawn_by = lake.read(f"controls_{recipe.name}").groupBy("control").count().collect()
    for name, count in {**dict.fromkeys(recipe.controls, 0), **{r["control"]: r["count"] for r in drawn_by}}.items():
        if name in recipe.controls:
            short = any(n.startswith(f"control {name}: {count:,} rows could be drawn") for n in done.notes)
            copies = "replacement" in str(recipe.controls[name]) or recipe.controls[name].kind in (
                "resample",
                "sensitivity",
            )
            assert count == len(chosen) or short or copies or "regression" in name, (
                name,
                count,
                len(chosen),
                done.notes,
            )
    left_out = lake.read(f"rejected_{recipe.name}").count()
    assert left_out == done.inputs["documents"]["null_ids"] == 1


def _eligible(lake: Lake, recipe: Recipe) -> set[str]:
    """Return the ids that `where:` lets in, by one join of scores and documents."""
    documents = open_documents(lake, recipe)
    rows = documents.frame.select(*joined_columns(documents, documents.keys)).where("id IS NOT NULL")
    scores = lake.read(f"scores_{recipe.name}")
    joined = scores.join(rows, "id", "inner").where(recipe.where or "true")
    return {row["id"] for row in joined.select("id").collect()}


def _scored(lake: Lake, recipe: Recipe, done: Manifest) -> None:
    """Every score has a row for every document, and as many undefined ones as its step says."""
    scores = lake.read(f"scores_{recipe.name}")
    assert scores.count() == ROWS
    steps = {s.step.removeprefix("score "): s for s in done.steps if s.step.startswith("score ")}
    for name in (n for n in recipe.scores if n in scores.columns):
        kind = scores.schema[name].dataType.simpleString()
        value = f"{quoted(name)}.cluster" if kind.startswith("struct<cluster") else quoted(name)
        if kind.startswith("struct") and "cluster" not in kind:
            continue
        nulls = scores.where(f"{value} IS NULL").count()
        step = steps[name]
        assert nulls == (step.undefined or 0) + (step.not_asked or 0), (name, nulls, step)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The same tables in a lake that has no runs: no account of earlier ones is read."""
    root = tmp_path_factory.mktemp("fresh")
    for table in ("docs", "plain", "goals"):
        shutil.copytree(Path(lake.root) / table, root / table)
    return Lake(lake.spark, str(root))


@pytest.fixture
def nothing_runs(fresh: Lake, request: pytest.FixtureRequest) -> Iterator[None]:
    """No Spark job starts and no table is written."""
    lake = fresh
    for table in ("docs", "plain", "goals"):
        lake.read(table).schema  # noqa: B018 - reading a log for the first time is a job
    context, group, before = lake.spark.sparkContext, request.node.name, _commits(lake)
    context.setJobGroup(group, group)
    yield
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    for name in ("spark.jobGroup.id", "spark.job.description"):
        context.setLocalProperty(name, None)
    assert ([stage.name for stage in stages if stage], len(jobs), _commits(lake)) == ([], 0, before)


def _commits(lake: Lake) -> list[str]:
    return sorted(str(path) for path in Path(lake.root).glob("*/_delta_log/*.json"))


@pytest.mark.long
@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("number", range(SPOILT), ids=lambda n: f"spoilt_{n}-")
def test_a_spoilt_recipe_is_refused_in_one_sentence(fresh: Lake, tmp_path: Path, number: int) -> None:
    case = spoilt(number)
    settings = [word for setting in case.settings for word in ("--set", setting)]
    sentences = []
    for command in ("plan", "run"):
        with pytest.raises(SystemExit) as ended:
            main([command, written(tmp_path, case.keys), "--lake", fresh.root, *settings])
        said = ended.value.code
        assert isinstance(said, str), f"{case.how}: exit status {said}"
        assert said.startswith("lakesift: "), case.how
        assert "\n" not in said, case.how
        assert not re.search(r"Traceback|Py4J|org\.apache|java\.lang|JVM stacktrace|SQLSTATE", said), (case.how, said)
        sentences.append(said)
    assert sentences[0] == sentences[1], case.how


if __name__ == "__main__":
    for number in map(int, sys.argv[1:]):
        sys.stdout.write(f"{yaml.safe_dump(made(number), sort_keys=False)}\n{spoilt(number)}\n")
