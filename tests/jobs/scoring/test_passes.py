"""How scores are shared out among passes, and which of them one scan can compute: plain Python, and SQL as its twin."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakesift.jobs.scoring import passes as scoring_passes
from lakesift.jobs.scoring.measures import Measured
from lakesift.jobs.scoring.memos import BROADCAST_ROWS
from lakesift.jobs.scoring.passes import (
    Pending,
    _ancestors,
    _computable,
    _computable_sql,
    _compute_pass,
    first_rows,
    passes,
)
from lakesift.jobs.scoring.rows import Source
from lakesift.udfs.fitted import FittedScore
from lakesift.udfs.scorer import Scorer, fingerprint

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Plain(Scorer):
    """A score that reads what it is told to."""

    kind: ClassVar[str] = "plain"
    number: int = 0
    reads: tuple[str, ...] = ("text",)
    model: str = ""

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.reads

    @property
    def model_held(self) -> Hashable:
        return self.model or None


@dataclass(frozen=True)
class Costly(Plain):
    """The same, computed alone."""

    kind: ClassVar[str] = "costly"
    alone: ClassVar[bool] = True


@dataclass(frozen=True)
class Free(Plain):
    """The same, said to take no time."""

    kind: ClassVar[str] = "free"
    seconds_per_row: ClassVar[float] = 0.0  # type: ignore[misc]


def fitted(name: str, number: int, *reads: str, cls: type[Plain] = Plain, model: str = "") -> FittedScore:
    scorer = cls(number=number, reads=reads or ("text",), model=model)
    return FittedScore(name, scorer, fingerprint(scorer), "hash_text")


def names(groups: list[list[FittedScore]]) -> list[list[str]]:
    return [[s.name for s in group] for group in groups]


def test_the_first_unit_has_few_rows_of_slow_scores() -> None:
    plain, costly, free = fitted("a", 1), fitted("b", 2, cls=Costly), fitted("c", 3, cls=Free)
    assert first_rows([plain]) == pytest.approx(20_000)
    assert first_rows([plain, free, plain]) == pytest.approx(10_000)
    assert first_rows([costly]) == pytest.approx(200)
    assert first_rows([free]) == BROADCAST_ROWS


def test_scores_share_a_pass() -> None:
    assert names(passes([fitted("a", 1), fitted("b", 2), fitted("c", 3, "a")])) == [["a", "b", "c"]]


def test_a_costly_score_has_a_pass_of_its_own_and_what_reads_it_comes_after() -> None:
    scores = [fitted("a", 1), fitted("lm", 2, cls=Costly), fitted("b", 3), fitted("c", 4, "lm")]
    assert names(passes(scores)) == [["a", "b"], ["lm"], ["c"]]


def test_one_model_that_a_worker_holds_a_pass() -> None:
    scores = [fitted("u", 1, model="x"), fitted("v", 2, model="y"), fitted("w", 3, model="x"), fitted("c", 4, "v")]
    assert names(passes(scores)) == [["u", "w"], ["v", "c"]]


def test_two_names_of_one_score_are_not_computed_in_one_pass() -> None:
    """Their rows in `memos` are the same: the second pass finds them there."""
    assert names(passes([fitted("a", 1), fitted("again", 1), fitted("c", 2, "again")])) == [["a"], ["again", "c"]]


def test_more_scores_than_bits() -> None:
    groups = passes([fitted(f"s{i}", i) for i in range(130)])
    assert [len(g) for g in groups] == [62, 62, 6]


CHAIN = [fitted("v", 1), fitted("tokens", 2), fitted("cells", 3, "v"), fitted("far", 4, "cells"), fitted("o", 5, "old")]


def test_what_one_scan_can_compute() -> None:
    known = {s.name: s for s in CHAIN} | {"old": fitted("old", 9)}
    above = _ancestors(CHAIN, known)
    assert above == [0, 0, 0b1, 0b101, None], "`old` is of no use here: it was computed in another pass"
    here = [bits for bits in above if bits is not None]
    assert _computable(0b1111, here) == 0b1111
    assert _computable(0b1110, here) == 0b0010, "v is there: cells and far are computed from memos"
    assert _computable(0b1001, here) == 0b0001


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), max_size=2), min_size=1, max_size=6))
def test_sql_says_the_same(spark: SparkSession, parents: list[list[int]]) -> None:
    scores = [fitted(f"s{i}", i, *([f"s{p}" for p in above if p < i] or ["text"])) for i, above in enumerate(parents)]
    above = [bits for bits in _ancestors(scores, {s.name: s for s in scores}) if bits is not None]
    masks = range(1 << len(scores))
    frame = spark.createDataFrame([(m,) for m in masks], "missing bigint")
    found = frame.selectExpr("missing", f"CAST({_computable_sql(above)} AS bigint) AS c").collect()
    assert {r["missing"]: r["c"] for r in found} == {m: _computable(m, above) for m in masks}


def test_a_scan_of_texts_computes_no_score_that_reads_another_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """`o` reads `old`, which no text gives: it is computed from the values of `old` after what the texts give."""
    known = {s.name: s for s in CHAIN} | {"old": fitted("old", 9)}
    units: list[tuple[list[str], list[str]]] = []

    def recorded(source: Source, _: Pending) -> list[dict[str, Measured]]:
        units.append(([s.name for s in source.scores], [p.name for p in source.parents]))
        return []

    monkeypatch.setattr(scoring_passes, "_units", recorded)
    monkeypatch.setattr(scoring_passes, "_pending", lambda source: Pending({(1 << len(source.scores)) - 1: 7}, 0, 1))
    run: Any = None
    assert list(_compute_pass(Source(run, CHAIN, known))) == []
    assert units == [(["v", "tokens", "cells", "far"], []), (["o"], ["old"])]
    units.clear()
    list(_compute_pass(Source(run, CHAIN[-1:], known)))
    assert units == [(["o"], ["old"])]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("double", [1.5, None, -0.0]), ("float", [0.1, None]), ("bigint", [2**53, -(2**53), None]), ("int", [7, None]),
        ("boolean", [True, False, None]), ("array<float>", [[0.1, 0.2], None]), ("array<double>", [[0.1, -1.0], None]),
        ("struct<cluster:int,distance_sq:double>", [(3, 0.1), (4, None), None]), ("struct<a:float>", [(0.1,), None]),
    ],
)  # fmt: skip
def test_values_come_back_from_the_columns_they_are_kept_in(spark: SparkSession, kind: str, values: list[Any]) -> None:
    import pyarrow as pa

    from lakesift.udfs.arrow import arrow_type
    from lakesift.udfs.encoding import is_vector, memo_columns, pivoted_sql, value_sql

    array = pa.array(_structs(kind, values), arrow_type(kind))
    number, numbers, vector = memo_columns(array)
    rows = list(zip(range(len(values)), number.to_pylist(), numbers.to_pylist(), vector.to_pylist(), strict=True))
    frame = spark.createDataFrame(rows, "i int, number double, numbers array<double>, vector array<float>")
    wanted = spark.createDataFrame(list(enumerate(values)), f"i int, value {kind}")
    expected = {r["i"]: r["value"] for r in wanted.collect()}
    assert {r["i"]: r["v"] for r in frame.selectExpr("i", f"{value_sql(kind)} AS v").collect()} == expected
    if kind.startswith("array"):
        assert not is_vector(kind) or [n is not None for n in number.to_pylist()] == [v is not None for v in values]
        return
    aggregates, sql = pivoted_sql(kind, "f", "c")
    pivoted = frame.selectExpr("*", "'f' AS fingerprint").groupBy("i").agg(*(_expr(a) for a in aggregates))
    assert {r["i"]: r["v"] for r in pivoted.selectExpr("i", f"{sql} AS v").collect()} == expected


def _structs(kind: str, values: list[Any]) -> list[Any]:
    from lakesift.udfs.encoding import struct_fields

    names = list(struct_fields(kind))
    return [dict(zip(names, v, strict=True)) if names and v is not None else v for v in values]


def _expr(sql: str) -> Any:
    from pyspark.sql import functions as F

    return F.expr(sql)


def test_a_whole_number_beyond_a_double_is_refused() -> None:
    import pyarrow as pa

    from lakesift.udfs.encoding import memo_columns
    from lakesift.udfs.errors import ScoreError

    with pytest.raises(ScoreError, match=r"9007199254740993; whole numbers up to 2\^53"):
        memo_columns(pa.array([1, 2**53 + 1], pa.int64()))
    assert np.isfinite(memo_columns(pa.array([2**53], pa.int64()))[0].to_numpy()).all()
