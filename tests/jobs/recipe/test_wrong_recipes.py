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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakesift.jobs.cli import main
from lakesift.jobs.inputs import columns
from lakesift.jobs.inputs.columns import check_columns
from lakesift.jobs.inputs.documents import Documents
from lakesift.jobs.inputs.opening import open_documents
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.selectors import selectors
from lakesift.jobs.selectors.needs import (
    Cluster,
    Fitted,
    Group,
    Need,
    Number,
    Stratum,
    Turns,
    Vector,
    needs_with,
    renamed,
)
from lakesift.udfs.constraints import hints_of, is_needed
from lakesift.udfs.discovery import scorers
from lakesift.udfs.errors import InputError, RecipeError
from lakesift.udfs.scorer import Estimator

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql import types as T

#: SQL of the source columns, by name: of every kind of type.
COLUMNS = {
    "id": "'a'", "text": "'words'", "module": "'os'", "size": "1", "price": "CAST(1 AS DECIMAL(9, 2))",
    "day": "DATE'2020-01-01'", "flag": "true", "tags": "array('x')", "emb": "array(1.0F, 2.0F)", "pairs": "map('k', 1)",
    "odd": "named_struct('a', 1, 'b', 'x')", "raw": "X'00'",
}  # fmt: skip
SCORES: dict[str, Any] = {
    "vector": {"kind": "embedding", "encoder": "hashed_ngrams"},
    "cells": {"kind": "kmeans", "k": 2},
    "alignment": {"kind": "zipfit", "target": "goals"},
    "chunked": {"kind": "zipfit", "target": "goals", "chunk_bytes": 100},
    "entropy": {"kind": "information_entropy"},
    "tokens": {"kind": "length_tokens"},
    "topics": {"kind": "labels", "of": "tags", "encoder": "hashed_ngrams"},
}
#: What fits a need, for the fields that are not under test.
FITTING: dict[type[Need], str] = {
    Number: "entropy",
    Group: "module",
    Stratum: "module",
    Cluster: "cells",
    Vector: "vector",
    Turns: "entropy",
}
#: The same for a score whose fitted scorer is needed, by its kind.
FITTED = {"zipfit": "alignment", "labels": "topics"}
#: Names of nothing in the lake, or of nothing that any need accepts; those that every field is given.
NOWHERE, ALWAYS = (
    ("cells.cluster.x", "odd.c", "Entropy", "*", "a b", "`cells.cluster`", "id"),
    ("nosuch", "cells.distanse", ""),
)
#: Names that every field is given, one of them of its type or none; the first field of a need's type is given all.
OFTEN = ("size", "module", "tags", "cells", "vector")


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of one row in `docs` and one target."""
    root = tmp_path_factory.mktemp("wrong")
    rows = spark.sql("SELECT " + ", ".join(f"{sql} AS {name}" for name, sql in COLUMNS.items()))
    rows.write.format("delta").save(str(root / "docs"))
    spark.sql("SELECT 'words' AS text").write.format("delta").save(str(root / "goals"))
    return Lake(spark, str(root))


@pytest.fixture(scope="module")
def documents(lake: Lake) -> Documents:
    return open_documents(lake, recipe(select={"kind": "random"}))


@pytest.fixture(autouse=True)
def _nothing_runs(spark: SparkSession, lake: Lake, request: pytest.FixtureRequest) -> Iterator[None]:
    """No test here starts a Spark job or writes a table."""
    request.getfixturevalue("documents")
    context, group, before = spark.sparkContext, request.node.name, _commits(Path(lake.root))
    context.setJobGroup(group, group)
    yield
    started = context.statusTracker().getJobIdsForGroup(group)
    for name in ("spark.jobGroup.id", "spark.job.description"):
        context.setLocalProperty(name, None)
    assert (list(started), _commits(Path(lake.root))) == ([], before)


def _commits(root: Path) -> list[str]:
    return sorted(str(path) for path in root.glob("*/_delta_log/*.json"))


def recipe(scores: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    raw = {"name": "wrong", "documents": {"table": "docs"}, "targets": {"goals": {"table": "goals"}}}
    return parse({**raw, "budget": {"rows": 1}, "keep": ["text"], "scores": {**SCORES, **(scores or {})}, **changes})


def refusal(documents: Documents, **parts: Any) -> str | None:
    """Return the sentence with which a recipe is refused; None if it is accepted."""
    try:
        check_columns(replace(documents, recipe=recipe(**parts)))
    except (RecipeError, InputError) as error:
        return str(error)
    return None


def test_a_job_would_be_seen(spark: SparkSession) -> None:
    context = spark.sparkContext
    context.setJobGroup("seen", "seen")
    spark.range(9).count()
    assert len(context.statusTracker().getJobIdsForGroup("seen"))


def test_many_columns_are_analysed_at_once(spark: SparkSession, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """One query where all is right; where one of 100 expressions is wrong, it is found by halving."""
    halved: list[int] = []
    actual = columns._halves
    monkeypatch.setattr(columns, "_halves", lambda items: halved.append(len(items)) or actual(items))
    numbers = ", ".join(f"{i} AS c{i}" for i in range(100))
    spark.sql(f"SELECT 'a' AS id, 'x' AS text, array('x') AS tags, {numbers}").createOrReplaceGlobalTempView("wide")
    keep = {f"k{i}": f"c{i} + 1" for i in range(100)}
    bounds = {f"c{i}": [0, None] for i in range(100)}
    wide: dict[str, Any] = {
        "documents": {"table": "global_temp.wide"},
        "select": {"kind": "interval", "bounds": bounds},
    }
    assert open_documents(lake, recipe(**wide, keep=keep)).keep == keep
    assert len(open_documents(lake, recipe(**wide, keep=None)).keep) == 102
    assert halved == []
    with pytest.raises(RecipeError, match=r"keep: k77: 'c100 \+ 1' does not fit .* and 63 more: .*c100"):
        open_documents(lake, recipe(**wide, keep={**keep, "k77": "c100 + 1"}))
    with pytest.raises(RecipeError, match=r"bounds names 'c100', which is no score and no column of .* and \d+ more"):
        open_documents(lake, recipe(**{**wide, "select": {"kind": "interval", "bounds": {**bounds, "c100": [0, 1]}}}))
    assert len(halved) < 25, "of 100 each"


# -- selectors and controls --------------------------------------------------------------------------------------------


def placeholder(field: str, hint: Any) -> Any:
    """A value that can be told from all others: a name, or a mapping of one to an open interval."""
    return {f"a {field}": [None, None]} if "Mapping" in str(hint) else f"a {field}"


def example(cls: Any) -> tuple[dict[str, Any], dict[str, Need]]:
    """Return fields of a selector with names that fit, and the need of each field that takes a name.

    Fields that must be given get placeholders, and so do optional ones that are then needed: what an instance says that
    it reads tells which of its fields are names, and of what.
    """
    hints = hints_of(cls)
    block = {f.name: placeholder(f.name, hints[f.name]) for f in fields(cls) if is_needed(f, hints[f.name])}
    instance = cls(**block)
    for field in fields(cls):
        name = f"a {field.name}"
        if field.name not in block and name in {need.name for need in needs_with(instance, field.name, name)}:
            block[field.name] = name
    instance, needs = cls(**block), {}
    for field_name, value in list(block.items()):
        for need in (*instance.needs, *instance.on_demand):
            if need.name == f"a {field_name}":
                fitting = FITTED[need.kinds[0]] if isinstance(need, Fitted) else FITTING[type(need)]
                block[field_name], needs[field_name] = renamed(value, need.name, fitting), replace(need, name=fitting)
    return block, needs


def cases() -> list[Any]:
    """Return field, need, block, and whether all names are tried: for the first field of each type of need."""
    params, seen = [], set()
    for kind, cls in selectors().items():
        block, needs = example(cls)
        for field, need in needs.items():
            params.append(
                pytest.param(field, need, {"kind": kind, **block}, type(need) not in seen, id=f"{kind}-{field}")
            )
            seen.add(type(need))
    return params


def test_every_need_of_every_selector_is_under_test() -> None:
    for kind, cls in selectors().items():
        block, needs = example(cls)
        assert set(needs.values()) == {*cls(**block).needs, *cls(**block).on_demand}, kind
    assert len(cases()) > 20


@cache
def types(lake: Lake) -> dict[str, T.DataType]:
    """Return name -> type of all that a selector may name: columns, scores, and fields of both."""
    scores = {name: score.value for name, score in recipe(select={"kind": "random"}).scores.items()}
    nulls = (f"CAST(NULL AS {value}) AS {name}" for name, value in scores.items())
    frame = lake.read("docs").drop("id").selectExpr("*", *nulls)
    whole = {field.name: field.dataType for field in frame.schema}
    inner = {f"{name}.{f.name}": f.dataType for name, t in whole.items() for f in getattr(t, "fields", ())}
    return {**whole, **inner, "pairs.k": frame.selectExpr("pairs.k AS k").schema[0].dataType}


@pytest.mark.parametrize(("field", "need", "block", "every"), cases())
def test_names_in_selectors(
    lake: Lake, documents: Documents, field: str, need: Need, block: dict[str, Any], every: bool
) -> None:
    home = "controls" if selectors()[block["kind"]].matches else "select"  # type: ignore[attr-defined]

    def said(name: str, place: str = home) -> str | None:
        changed = {**block, field: renamed(block[field], need.name, name)}
        parts = {"select": changed} if place == "select" else {"select": {"kind": "random"}, "controls": [changed]}
        return refusal(documents, **parts)

    names = (*ALWAYS, *(NOWHERE if every else ()), f"{need.name}.x", need.name[1:])
    for name, place in [*((name, home) for name in names), ("nosuch", "controls")]:
        sentence = said(name, place)
        assert sentence is not None, name
        if name or "is needed" not in sentence:
            assert sentence.startswith(f"{place}: {block['kind']}: {field} names {name!r}, "), sentence
        assert "\n" not in sentence
    assert said(need.name, "controls") is None
    for name in types(lake) if every else OFTEN:
        fits = name == need.name if isinstance(need, Fitted) else need.accepts(types(lake)[name])
        sentence = said(name)
        assert (sentence is None) == fits, (name, sentence)
        assert fits or f"{field} names {name!r}, which " in str(sentence), sentence


# -- scores ------------------------------------------------------------------------------------------------------------


def reading(cls: Any, given: dict[str, Any], what: Callable[[Any], tuple[str, ...]]) -> list[str]:
    """Return the fields whose value is among the names that an instance reads."""
    names = []
    for field in fields(cls):
        twin = copy.copy(cls(**given))
        object.__setattr__(twin, field.name, "a name")
        if "a name" in what(twin):
            names.append(field.name)
    return names


@pytest.mark.parametrize("kind", scorers())
def test_names_in_scores(documents: Documents, kind: str) -> None:
    cls: Any = scorers()[kind]
    given = {f.name: "goals" for f in fields(cls) if is_needed(f, hints_of(cls)[f.name])}
    if kind in ("tags", "target_similarity"):  # the encoder of the vectors
        given["encoder"] = "hashed_ngrams"

    def said(**changes: Any) -> str | None:
        return refusal(documents, select={"kind": "random"}, scores={"mine": {"kind": kind, **given, **changes}})

    inputs, targets = reading(cls, given, lambda s: s.inputs), reading(cls, given, lambda s: getattr(s, "fits_on", ()))
    assert inputs
    takes_target = {"target", "vocabulary"} & {f.name for f in fields(cls)}
    assert set(targets) == (takes_target if issubclass(cls, Estimator) else set())
    for field in inputs:
        fitting = (
            "cells"
            if field == "clusters"
            else {"text": "text", "vector": "vector", "names": "tags"}[cls(**given).takes]
        )
        beside = {"form": "centres"} if field == "clusters" else {}
        for name in ("txet", "vectr", "module", "prompt", "", "cells.cluster", "mine", "text", "tags", *SCORES):
            sentence = said(**{field: name}, **beside)
            assert (sentence is None) == (name == fitting), (name, sentence)
            assert sentence is None or (f"{name!r}" in sentence or name == "mine"), sentence
            assert "\n" not in str(sentence)
    for field in targets:
        for name in ("goal", "docs", "documents.x", *([""] if field in given else []), "Goals"):
            assert "target" in str(said(**{field: name})), name


@pytest.mark.parametrize("name", [*(c for c in COLUMNS if c != "text"), "embb", "emb.x", "odd.a"])
def test_columns_of_vectors(documents: Documents, name: str) -> None:
    """An embedding may read a source column: an array of numbers, and nothing else."""
    block = {"kind": "embedding", "encoder": "column", "of": name, "dimensions": 2}
    sentence = refusal(documents, select={"kind": "random"}, scores={"mine": block})
    assert (sentence is None) == (name == "emb"), sentence
    assert sentence is None or sentence.startswith(f"scores.mine: embedding: of names {name!r}, which is "), sentence


@pytest.mark.parametrize("name", [*COLUMNS, "nosuch", "tokens", "odd.a", "cells"])
def test_names_in_the_report(documents: Documents, lake: Lake, name: str) -> None:
    sentence = refusal(documents, select={"kind": "random"}, report={"shares": ["module", name]})
    fits = name == "id" or (name in COLUMNS and Group(name).accepts(types(lake)[name]))
    assert (sentence is None) == fits, sentence
    assert sentence is None or sentence.startswith(f"report: shares names {name!r}, which is "), sentence


# -- from end to end ---------------------------------------------------------------------------------------------------

#: Settings of shipped recipes that were accepted once, and what is said now.
ONCE_ACCEPTED = [
    ("kmq", "select.quality=module", "select: kmq: quality names 'module', which is string; a number is needed"),
    ("facility_location", "select.quality=module", "facility_location: quality names 'module', which is string"),
    ("sensitivity", "select.loss=nosuch", "select: sensitivity: loss names 'nosuch', which is no score and no column"),
    ("sensitivity", "select.cluster=cells.distanse", "cluster names 'cells.distanse', and 'cells' has no field"),
    ("sensitivity_regression", "select.label=nosuch", "sensitivity_regression: label names 'nosuch', which is no"),
    ("zipfit_race", "select.by=tokens", "by names 'tokens', which is of kind length_tokens; a score of kind zipfit is"),
    ("zipfit_race", "scores.alignment.chunk_bytes=9", "which has chunk_bytes: 9; a score without chunk_bytes is"),
]


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(("name", "setting", "said"), ONCE_ACCEPTED)
def test_the_command_line_says_it_in_one_sentence(
    tmp_path: Path, command: str, name: str, setting: str, said: str
) -> None:
    """On an empty lake, too: the columns of a sample are known before it is ingested."""
    with pytest.raises(SystemExit) as caught:
        main([command, name, "--lake", str(tmp_path / "lake"), "--set", setting])
    assert str(caught.value).startswith("lakesift: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert _commits(tmp_path / "lake") == []
