"""Needs: which types fit which, and which field of a selector a need comes from."""

from __future__ import annotations

import pytest
from pyspark.sql import types as T

from lakesift.jobs.selectors.coverage import FacilityLocation
from lakesift.jobs.selectors.interval import Interval
from lakesift.jobs.selectors.kmeans_quota import KMQ, KMeansClosest
from lakesift.jobs.selectors.needs import Cluster, Fitted, Group, Need, Number, Stratum, Text, Turns, Vector, field_of
from lakesift.jobs.selectors.selector import Selector
from lakesift.jobs.selectors.sensitivity import Sensitivity
from lakesift.jobs.selectors.zipfit_race import ZipFitRace

CELLS = T.StructType([T.StructField("cluster", T.IntegerType()), T.StructField("distance_sq", T.DoubleType())])
NUMBERS: list[T.DataType] = [
    *(T.ByteType(), T.ShortType(), T.IntegerType(), T.LongType(), T.FloatType(), T.DoubleType()),
    T.DecimalType(20, 3),
]
PLAIN: list[T.DataType] = [
    *(T.StringType(), T.BooleanType(), T.DateType(), T.TimestampType(), T.TimestampNTZType(), *NUMBERS)
]
VECTORS: list[T.DataType] = [T.ArrayType(t) for t in NUMBERS]
OTHERS: list[T.DataType] = [
    *(T.BinaryType(), T.NullType(), T.ArrayType(T.StringType()), T.ArrayType(T.ArrayType(T.FloatType()))),
    *(T.MapType(T.StringType(), T.IntegerType()), T.StructType([T.StructField("cluster", T.IntegerType())])),
    T.StructType([T.StructField("cluster", T.StringType()), T.StructField("distance_sq", T.DoubleType())]),
    *(T.StructType([T.StructField("a", T.DoubleType())]), T.DayTimeIntervalType()),
]


@pytest.mark.parametrize(
    ("need", "fitting"),
    [
        (Number("x"), NUMBERS),
        (Group("x"), [*PLAIN, CELLS]),
        (Cluster("x"), [CELLS]),
        (Vector("x"), VECTORS),
        (Text("x"), [T.StringType()]),
    ],
)
def test_types_that_fit(need: Need, fitting: list[T.DataType]) -> None:
    every = [*PLAIN, *VECTORS, *OTHERS, CELLS]
    assert [t.simpleString() for t in every if need.accepts(t)] == [t.simpleString() for t in every if t in fitting]


@pytest.mark.parametrize(
    ("selector", "named"),
    [
        (KMQ("cells", quality="cells"), {"cluster": Group("cells"), "quality": Number("cells")}),
        (KMeansClosest("cells"), {"cluster": Cluster("cells")}),
        (
            FacilityLocation(vector="v", quality="q", cluster="v"),
            {"vector": Vector("v"), "quality": Number("q"), "cluster": Cluster("v")},
        ),
        (Interval({"a": [0, 1], "b.c": [0, 1]}), {"bounds": Number("b.c")}),
        (Sensitivity("cells", "loss"), {"cluster": Cluster("cells"), "loss": Number("loss")}),
        (ZipFitRace("alignment"), {"by": Fitted("alignment", ("zipfit",), ("chunk_bytes",))}),
    ],
)
def test_the_field_that_a_need_comes_from(selector: Selector, named: dict[str, Need]) -> None:
    assert {field_of(selector, need): need for need in named.values()} == named
    assert set(named.values()) <= {*selector.needs, *selector.on_demand}


def test_needs_of_two_kinds_differ() -> None:
    assert len({Number("x"), Group("x"), Cluster("x"), Vector("x"), Number("y")}) == 5


def test_what_counts_as_defined() -> None:
    """NaN and null alike for numbers, wherever they stand; null is a stratum of its own."""
    double, texts = T.DoubleType(), T.StringType()
    assert Number("x").defined("`x`", double) == "`x` IS NOT NULL AND NOT isnan(`x`)"
    assert Number("x").defined("`x`", T.LongType()) == "`x` IS NOT NULL"
    assert Turns("x").defined("`x`", double) == Number("x").defined("`x`", double)
    assert Group("x").defined("`x`", texts) == "`x` IS NOT NULL"
    assert Group("x").defined("`x`", CELLS) == Cluster("x").defined("`x`", CELLS) == "`x`.cluster IS NOT NULL"
    assert Stratum("x").defined("`x`", texts) == "true"
    assert Stratum("x").accepts(texts)
