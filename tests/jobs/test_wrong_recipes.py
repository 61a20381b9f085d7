"""The law of wrong recipes: every name of a column, score or target is checked before any Spark job, whatever takes it.

Over every selector and score that discovery finds, each field that takes a name is misspelt, then given every column
and score of a small lake. What fits the need's type is accepted; everything else is refused in one sentence and runs
nothing. Which fields take names follows from what an instance says that it reads, so new selectors and scores are held
to the law as they are. What an expression may hold is in test_bad_input.py, rules without tables in test_recipe*.py.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from lakesift.jobs.cli import main
from lakesift.jobs.inputs.columns import check_columns
from lakesift.jobs.inputs.documents import Documents
from lakesift.jobs.inputs.opening import open_documents
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import parse
from lakesift.jobs.selectors import selectors
from lakesift.jobs.selectors.needs import Cluster, Fitted, Group, Need, Number, Vector, needs_with, renamed
from lakesift.udfs.constraints import hints_of, is_needed
from lakesift.udfs.discovery import scorers
from lakesift.udfs.errors import InputError, RecipeError
from lakesift.udfs.scorer import Estimator

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession
    from pyspark.sql import types as T

#: SQL of the source columns, by name: of every kind of type.
COLUMNS = {
    "id": "'a'", "text": "'words'", "module": "'os'", "size": "1", "price": "CAST(1 AS DECIMAL(9, 2))",
    "day": "DATE'2020-01-01'", "flag": "true", "tags": "array('x')", "emb": "array(1.0F, 2.0F)", "pairs": "map('k', 1)",
    "odd": "named_struct('a', 1, 'b', 'x')", "raw": "X'00'", "my words": "2",
}  # fmt: skip
SCORES: dict[str, Any] = {
    "vector": {"kind": "embedding", "encoder": "hashed_ngrams"},
    "cells": {"kind": "kmeans", "k": 2},
    "alignment": {"kind": "zipfit", "target": "goals"},
    "chunked": {"kind": "zipfit", "target": "goals", "chunk_bytes": 100},
    "entropy": {"kind": "information_entropy"},
    "tokens": {"kind": "length_tokens"},
}
#: What fits a need, for the fields that are not under test.
FITTING: dict[type[Need], str] = {
    Number: "entropy",
    Group: "module",
    Cluster: "cells",
    Vector: "vector",
    Fitted: "alignment",
}


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of one row in `docs` and one target."""
    root = tmp_path_factory.mktemp("wrong")
    columns = ", ".join(f"{sql} AS `{name}`" for name, sql in COLUMNS.items() if name != "my words")
    spark.sql(f"SELECT {columns}").write.format("delta").save(str(root / "docs"))
    spark.sql("SELECT 'words' AS text").write.format("delta").save(str(root / "goals"))
    return Lake(spark, str(root))


@pytest.fixture(scope="module")
def documents(lake: Lake) -> Documents:
    return open_documents(lake, recipe({"kind": "random"}))


@pytest.fixture(autouse=True)
def _no_jobs(spark: SparkSession, lake: Lake, documents: Documents, request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test here runs nothing: no Spark job starts, no table is written."""
    context, group, before = spark.sparkContext, request.node.name, _versions(lake)
    context.setJobGroup(group, group)
    yield
    started = context.statusTracker().getJobIdsForGroup(group)
    context.setLocalProperty("spark.jobGroup.id", None)
    assert (list(started), _versions(lake)) == ([], before)


def _versions(lake: Lake) -> list[str]:
    return sorted(p.name for p in __import__("pathlib").Path(lake.root).glob("*/_delta_log/*.json"))


def recipe(select: dict[str, Any], scores: dict[str, Any] | None = None, **changes: Any) -> Any:
    raw = {"name": "wrong", "documents": {"table": "docs"}, "targets": {"goals": {"table": "goals"}}, "select": select}
    return parse({**raw, "scores": {**SCORES, **(scores or {})}, "budget": {"rows": 1}, "keep": ["text"], **changes})


def refusal(documents: Documents, **parts: Any) -> str | None:
    """Return the sentence with which a recipe is refused; None if it is accepted."""
    try:
        check_columns(replace(documents, recipe=recipe(**parts)))
    except (RecipeError, InputError) as error:
        assert "\n" not in str(error)
        return str(error)
    return None


# -- selectors and controls --------------------------------------------------------------------------------------------


def example(cls: Any) -> tuple[dict[str, Any], dict[str, Need]]:
    """Return fields of a selector, all names fitting, and the need of each field that takes a name.

    Fields that must be given get placeholders; what the instance then says it needs tells which of them are names.
    Optional fields are names if a placeholder in them is needed. Mappings by name hold an open interval.
    """
    hints = hints_of(cls)
    block: dict[str, Any] = {}
    for field in fields(cls):
        if is_needed(field, hints[field.name]):
            block[field.name] = (
                {f"a {field.name}": [None, None]} if "Mapping" in str(hints[field.name]) else f"a {field.name}"
            )
    instance = cls(**block)
    for field in fields(cls):
        if field.name not in block and isinstance(getattr(instance, field.name), str | None):
            if f"a {field.name}" in {need.name for need in needs_with(instance, field.name, f"a {field.name}")}:
                block[field.name] = f"a {field.name}"
    instance, needs = cls(**block), {}
    for name, value in block.items():
        for need in (*instance.needs, *instance.on_demand):
            if need.name == f"a {name}":
                block = {**block, name: renamed(value, need.name, FITTING[type(need)])}
                needs[name] = replace(need, name=FITTING[type(need)])
    return block, needs


def named(kind: str) -> list[tuple[str, Need, dict[str, Any]]]:
    block, needs = example(selectors()[kind])
    return [(field, need, {"kind": kind, **block}) for field, need in needs.items()]


FIELDS = [pytest.param(*case, id=f"{kind}-{case[0]}") for kind in selectors() for case in named(kind)]


def test_every_need_of_every_selector_is_under_test() -> None:
    for kind, cls in selectors().items():
        block, needs = example(cls)
        instance = cls(**block)
        assert {*needs.values()} == {*instance.needs, *instance.on_demand}, kind
    assert len(FIELDS) > 20


@cache
def types(lake: Lake) -> dict[str, T.DataType]:
    """Return name -> type of all that a selector may name: columns, scores, and fields of both."""
    rows = lake.read("docs").selectExpr("*", "2 AS `my words`")
    scores = {k: s.value for k, s in recipe({"kind": "random"}).scores.items()}
    frame = rows.selectExpr("*", *(f"CAST(NULL AS {value}) AS {name}" for name, value in scores.items()))
    found = {field.name: field.dataType for field in frame.schema if field.name not in ("id", "my words")}
    inner = {f"{k}.{f.name}": f.dataType for k, t in found.items() for f in getattr(t, "fields", ())}
    return {**found, **inner, "pairs.k": frame.selectExpr("pairs.k AS k").schema[0].dataType}


@pytest.mark.parametrize("place", ["select", "controls"])
@pytest.mark.parametrize(("field", "need", "block"), FIELDS)
def test_names_in_selectors(
    lake: Lake, documents: Documents, field: str, need: Need, block: dict[str, Any], place: str
) -> None:
    def said(name: str) -> str | None:
        changed = {**block, field: renamed(block[field], need.name, name)}
        parts = {"select": changed} if place == "select" else {"select": {"kind": "random"}, "controls": [changed]}
        return refusal(documents, **parts)

    assert said(need.name) is None
    misspelt = [
        f"{need.name}x",
        need.name[1:],
        need.name.upper(),
        "nosuch",
        "cells.distanse",
        "odd.c",
        "*",
        "a b",
        "`text`",
    ]
    for name in [*misspelt, "", "id", "cells.cluster.x", f"{need.name}.x"]:
        sentence = said(name)
        assert sentence is not None, name
        assert f"{field} names {name!r}" in sentence, sentence
        assert place in sentence, sentence
    for name, data_type in types(lake).items():
        fits = name == "alignment" if isinstance(need, Fitted) else need.accepts(data_type)
        sentence = said(name)
        assert (sentence is None) == fits, (name, sentence)
        assert fits or f"{field} names {name!r}, which" in str(sentence), sentence


# -- scores ------------------------------------------------------------------------------------------------------------


def score_block(cls: Any) -> dict[str, Any]:
    """Return a block of a score that is accepted: with a target where one is needed."""
    hints = hints_of(cls)
    needed = {f.name: "goals" for f in fields(cls) if is_needed(f, hints[f.name])}
    return {"kind": cls.kind, **needed}


def reading(cls: Any, block: dict[str, Any], what: Callable[[Any], tuple[str, ...]]) -> list[str]:
    """Return the fields whose value is among the names that an instance reads."""
    instance = cls(**{k: v for k, v in block.items() if k != "kind"})
    names = []
    for field in fields(cls):
        twin = copy.copy(instance)
        object.__setattr__(twin, field.name, "a name")
        if "a name" in what(twin):
            names.append(field.name)
    return names


@pytest.mark.parametrize("kind", scorers())
def test_names_in_scores(documents: Documents, kind: str) -> None:
    cls = scorers()[kind]
    block = score_block(cls)

    def said(**changes: Any) -> str | None:
        return refusal(documents, select={"kind": "random"}, scores={"mine": {**block, **changes}})

    assert said() is None
    inputs, targets = reading(cls, block, lambda s: s.inputs), reading(cls, block, lambda s: getattr(s, "fits_on", ()))
    assert inputs
    assert bool(targets) == (issubclass(cls, Estimator) and "target" in {f.name for f in fields(cls)})
    takes = cls(**{k: v for k, v in block.items() if k != "kind"}).takes
    accepted = {"text": {"text"}, "vector": {"vector"}}[takes]
    for field in inputs:
        for name in ("txet", "vectr", "nosuch", "module", "prompt", "", "cells.cluster", "mine", "text", *SCORES):
            sentence = said(**{field: name})
            assert (sentence is None) == (name in accepted), (name, sentence)
            assert name in accepted or f"{name!r}" in str(sentence) or name == "mine", sentence
    for field in targets:
        for name in ("goal", "docs", "documents.x", "", "Goals"):
            assert "target" in str(said(**{field: name})), name


def test_columns_of_vectors(documents: Documents) -> None:
    """An embedding may read a source column: an array of numbers, and nothing else."""
    for name in [*COLUMNS, "embb", "emb.x", "odd.a"]:
        block = {"kind": "embedding", "encoder": "column", "of": name, "dimensions": 2}
        if name not in ("text", "my words"):
            sentence = refusal(documents, select={"kind": "random"}, scores={"mine": block})
            assert (sentence is None) == (name == "emb"), sentence
            assert name == "emb" or f"scores.mine: embedding: of names {name!r}, which" in str(sentence), sentence


@pytest.mark.parametrize("name", [*COLUMNS, "nosuch", "tokens", "odd.a", "cells"])
def test_names_in_the_report(documents: Documents, lake: Lake, name: str) -> None:
    sentence = refusal(documents, select={"kind": "random"}, report={"shares": ["module", name]})
    fits = name in types(lake) and name in COLUMNS and Group(name).accepts(types(lake)[name])
    assert (sentence is None) == (fits or name == "id"), sentence
    assert sentence is None or sentence.startswith(f"report: shares names {name!r}, which is"), sentence


# -- from end to end ---------------------------------------------------------------------------------------------------

#: The cases of the review that were accepted once: settings of a shipped recipe, and what is said.
ONCE_ACCEPTED = [
    ("kmq", "select.quality=module", "select: kmq: quality names 'module', which is string; a number is needed"),
    (
        "facility_location",
        "select.quality=module",
        "select: facility_location: quality names 'module', which is string",
    ),
    ("sensitivity", "select.loss=nosuch", "select: sensitivity: loss names 'nosuch', which is no score and no column"),
    (
        "sensitivity",
        "select.cluster=cells.distanse",
        "cluster names 'cells.distanse', and 'cells' has no field 'distanse'",
    ),
    (
        "sensitivity_regression",
        "select.label=nosuch",
        "select: sensitivity_regression: label names 'nosuch', which is no",
    ),
    ("zipfit_race", "select.by=tokens", "by names 'tokens', which is of kind length_tokens; a score of kind zipfit is"),
    (
        "zipfit_race",
        "scores.alignment.chunk_bytes=9",
        "which has chunk_bytes: 9; a score without chunk_bytes is needed",
    ),
]


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(("name", "setting", "said"), ONCE_ACCEPTED)
def test_the_command_line_says_it_in_one_sentence(
    spark: SparkSession, tmp_path: Path, command: str, name: str, setting: str, said: str
) -> None:
    """On an empty lake, too: the columns of a sample are known before it is ingested."""
    assert spark is not None
    with pytest.raises(SystemExit) as caught:
        main([command, name, "--lake", str(tmp_path / "lake"), "--set", setting])
    assert str(caught.value).startswith("lakesift: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [*(tmp_path / "lake").glob("*/_delta_log")]
