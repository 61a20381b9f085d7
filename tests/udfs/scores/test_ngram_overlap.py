"""ngram_overlap: what is refused, what bounds it, and a decontaminated selection through Spark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from lakesift.udfs.errors import BoundError, InputError, RecipeError
from lakesift.udfs.scores.ngram_overlap import NgramOverlap, Ngrams
from tests.texts import functions, human_eval
from tests.udfs.scores.conftest import fit_locally

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "ngram_overlap: target is ''; the name of a target is needed"),
        ({"target": "t", "n": 0}, "n is 0; a whole number from 1 to 100 is needed; the default is 13"),
        ({"target": "t", "n": True}, "n is True; a whole number from 1"),
        ({"target": "t", "n": 101}, "n is 101"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        NgramOverlap(**parameters)


def test_a_target_without_ngrams_is_an_error() -> None:
    with pytest.raises(InputError, match="no text of target 't' has 13 words"):
        fit_locally(NgramOverlap(target="t"), {"t": {"text": ["too short", ""]}})


def test_the_bound() -> None:
    most, fold = np.arange(2_000_000, dtype=np.uint64), Ngrams(13)
    assert fold.merge(most[::2], most[1::2]).tolist() == most.tolist()
    with pytest.raises(BoundError, match="at least 2000001 different n-grams"):
        fold.merge(most, np.array([2**63], np.uint64))


def test_where_leaves_contaminated_rows_out(spark: SparkSession, tmp_path: Path) -> None:
    tests, clean = human_eval(20), functions(40)
    leaked = [f"# from a benchmark\n{text}" for text in tests[:7]]
    rows = [(f"clean-{i}", t) for i, t in enumerate(clean)] + [(f"leaked-{i}", t) for i, t in enumerate(leaked)]
    spark.createDataFrame(rows, "id string, text string").write.format("delta").save(str(tmp_path / "docs"))
    spark.createDataFrame([(t,) for t in tests], "text string").write.format("delta").save(str(tmp_path / "tests"))
    lake = Lake(spark, str(tmp_path))
    recipe = parse(
        {
            "name": "clean",
            "documents": {"table": "docs"},
            "targets": {"tests": {"table": "tests"}},
            "scores": {"seen": {"kind": "ngram_overlap", "target": "tests"}},
            "where": "seen = 0",
            "select": {"kind": "random"},
            "budget": {"rows": 100},
            "controls": [],
        }
    )
    manifest = run(lake, recipe)
    chosen = {r["id"] for r in lake.read("selection_clean").select("id").collect()}
    assert chosen == {f"clean-{i}" for i in range(40)}
    assert manifest.counts["ineligible"] == 7
    assert run(lake, recipe).noop
