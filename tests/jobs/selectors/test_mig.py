"""mig over Spark rows: the same order in memory and by passes, from an earlier choice, and what it says and refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from lakesift.jobs.selectors import mig
from lakesift.jobs.selectors.coverage import FacilityLocation, KCenter
from lakesift.jobs.selectors.mig import Mig
from lakesift.udfs.errors import BoundError, InputError
from lakesift.udfs.kernels.label_gains import GradientGain, propagation

from .plans import offences
from .pool import MODEL, as_rows, hashes, pool, pool_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

POOL = pool()
#: Many rows with the same labels and quality: masses of ties.
TIED = POOL.assign(nll=POOL["nll"].round(), topics=[t[:1] if t is not None else None for t in POOL["topics"]])


@pytest.fixture(scope="module")
def tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, DataFrame]:
    folder = tmp_path_factory.mktemp("mig")
    for name in ("pool", "tied"):
        (folder / name).mkdir()
    return {"pool": as_rows(spark, POOL, 5, folder / "pool"), "tied": as_rows(spark, TIED, 3, folder / "tied")}


def select(
    selector: Any, rows: DataFrame, budget: int, start: Any = (), notes: list[str] | None = None
) -> pd.DataFrame:
    """Run a selector; notes go into the list."""
    said = [] if notes is None else notes
    return selector.select(replace(pool_of(rows, budget, 3, fitted={"topics": MODEL}, note=said.append), start=start))


@pytest.mark.parametrize("table", ["pool", "tied"])
@pytest.mark.parametrize(
    "selector",
    [
        Mig("topics", quality="nll"),
        pytest.param(Mig("topics", quality="entropy", phi="exp", alpha=0.5), marks=pytest.mark.long),
        pytest.param(Mig("topics", per="tokens", normalise=True), marks=pytest.mark.long),
        pytest.param(Mig("topics", alpha=0.0), marks=pytest.mark.long),
    ],
    ids=str,
)
def test_passes_over_spark_pick_the_same(
    selector: Mig, table: str, tables: dict[str, DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = POOL["id"][::40].tolist()
    expected = select(selector, tables[table], 700, start)
    assert not set(start) & set(expected["id"])
    monkeypatch.setattr(mig, "VECTOR_BYTES", 0)
    monkeypatch.setattr(mig, "PASS_ROWS", 60)
    pd.testing.assert_frame_equal(select(selector, tables[table], 700, start), expected)
    pd.testing.assert_frame_equal(select(selector, tables[table], 45, start), expected.head(45))


def test_passes_gather_no_unselected_row_in_one_partition(
    tables: dict[str, DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakesift.jobs.ranking import label_passes, label_rows, top

    seen: list[DataFrame] = []
    for module, name in ((label_passes, "collect_pandas"), (label_rows, "collect_arrow"), (top, "collect_pandas")):
        actual = getattr(module, name)
        monkeypatch.setattr(module, name, lambda f, actual=actual: seen.append(f) or actual(f))
    monkeypatch.setattr(mig, "VECTOR_BYTES", 0)
    select(Mig("topics", quality="nll"), tables["pool"], 20)
    assert len(seen) >= 4
    assert [o for frame in seen for o in offences(frame)] == []


def test_the_order_is_that_of_the_definition(spark: SparkSession, tables: dict[str, DataFrame]) -> None:
    picks = select(Mig("topics", quality="nll"), tables["pool"], 60)
    rows = POOL[POOL["topics"].notna()].assign(h=lambda f: hashes(spark, f, 3).loc[f["id"]].to_numpy())
    rows = rows.sort_values(["h", "id"], ignore_index=True)
    graph = propagation(MODEL.size, MODEL.a, MODEL.b, MODEL.weight.astype(float)).toarray()
    hot = np.zeros((len(rows), MODEL.size))
    for i, topics in enumerate(rows["topics"]):
        hot[i, topics] = rows["nll"][i]
    reach, x, order = hot @ graph.T, np.zeros(MODEL.size), []
    left = np.ones(len(rows), bool)
    for _ in range(60):
        gains = np.where(left, hot @ (graph.T @ (0.8 * (x + 1e-6) ** -0.2)), -1)
        i = int(np.flatnonzero(gains >= gains.max() * (1 - 1e-12))[0])
        order.append(rows["id"][i])
        left[i] = False
        x += reach[i]
    assert picks["id"].tolist() == order
    assert picks["information"].iloc[-1] == pytest.approx(((x + 1e-6) ** 0.8).sum(), rel=1e-12)


def test_turns_of_a_conversation(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [("a", [0], [1.0, 3.0]), ("b", [1], [2.5]), ("c", [2], [2.0, 2.0, 2.0]), ("d", [3], []), ("e", [4], None)],
        "id string, topics array<int>, turns array<double>",
    )
    mean = select(Mig("topics", quality="turns", alpha=0.0), rows, 9)
    assert mean["id"].tolist()[0] == "b"
    assert set(mean["id"]) == {"a", "b", "c"}
    assert select(Mig("topics", quality="turns", turns="sum", alpha=0.0), rows, 9)["id"].tolist() == ["c", "a", "b"]


def test_what_it_says(tables: dict[str, DataFrame]) -> None:
    notes: list[str] = []
    select(Mig("topics", quality="entropy", compare=True), tables["pool"], 100, notes=notes)
    assert notes[0].startswith("the graph changes ")
    assert notes[1].startswith("information by picks: ")
    assert " at 1, " in notes[1]
    assert "; the knee is at " in notes[1]


@pytest.mark.parametrize("by_passes", [False, True])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quality": "CAST(-1 AS DOUBLE)"}, "mig: 'quality' of id '[ab]' is -1.0; a finite number from 0 is needed"),
        ({"quality": "double('infinity')"}, "mig: 'quality' of id '[ab]' is inf; a finite number from 0 is needed"),
        ({"cost": "0"}, "mig: 'cost' of id '[ab]' is 0.0; a finite number above 0 is needed: leave such rows out with"),
    ],
)
def test_refusals(
    changes: dict[str, str], said: str, by_passes: bool, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"quality": "1.0", "cost": "1", **changes}
    rows = spark.createDataFrame([("a", [0]), ("b", [1])], "id string, topics array<int>")
    rows = rows.selectExpr("*", *(f"{sql} AS {name}" for name, sql in columns.items()))
    if by_passes:
        monkeypatch.setattr(mig, "VECTOR_BYTES", 0)
    with pytest.raises(InputError, match=said):
        select(Mig("topics", quality="quality", per="cost"), rows, 2)


def test_exact_gains_are_not_made_in_passes(tables: dict[str, DataFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mig, "VECTOR_BYTES", 0)
    with pytest.raises(BoundError, match=r"exact gains of these rows take [\d,]+ bytes on the driver, the bound is 0"):
        select(Mig("topics", gain="exact"), tables["pool"], 2)


@pytest.mark.parametrize(
    ("rows", "order", "gains"),
    [
        ([("a", [0]), ("b", []), ("c", [])], ["a"], [True, False, False]),  # none of the last two has labels
        ([("a", []), ("b", [])], [], [False, False]),
        ([], [], []),
    ],
)
def test_rows_without_labels_come_last(rows: Any, order: list[str], gains: list[bool], spark: SparkSession) -> None:
    picks = select(Mig("topics"), spark.createDataFrame(rows, "id string, topics array<int>"), 5)
    assert picks["id"].tolist()[: len(order)] == order
    assert (picks["gain"] > 0).tolist() == gains


def test_nan_quality_is_not_selected(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [("a", [0], float("nan")), ("b", [0], 0.0), ("c", [1], 2.0)], "id string, topics array<int>, q double"
    )
    picks = select(Mig("topics", quality="q"), rows, 5)
    assert picks["id"].tolist() == ["c", "b"]
    assert picks["gain"].tolist()[1] == 0


def test_going_on_is_the_rest_of_one_long_choice(tables: dict[str, DataFrame]) -> None:
    rows = tables["pool"].where("vector IS NOT NULL")
    for selector in (Mig("topics", quality="entropy"), KCenter(), FacilityLocation()):
        whole = select(selector, rows, 80)
        rest = select(selector, rows, 50, start=whole["id"][:30].tolist())
        assert rest["id"].tolist() == whole["id"].tolist()[30:], selector
        np.testing.assert_allclose(rest["gain"], whole["gain"][30:], rtol=1e-12)


def test_the_gradient_of_the_model_is_defined_for_every_label() -> None:
    state = GradientGain(propagation(MODEL.size, MODEL.a, MODEL.b, MODEL.weight.astype(float)))
    assert (state.gradient > 0).all()
