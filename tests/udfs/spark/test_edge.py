"""The Spark edge: the same values in plain Python, through `apply`, and in SQL, whatever the batches and partitions."""

from __future__ import annotations

import importlib
import math
import pickle
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lakesift.udfs.arrays import Ragged
from lakesift.udfs.arrow import score_batch
from lakesift.udfs.discovery import scorers
from lakesift.udfs.errors import BoundError, PlatformError
from lakesift.udfs.scorer import Fold
from lakesift.udfs.scores.zipfit import ZipFit
from lakesift.udfs.spark import column, fold, register_all
from tests.odd_scores.shapes import Digits, Ends, Mortal
from tests.texts import functions, human_eval
from tests.udfs.scores.conftest import fit_locally, label_rows, made
from tests.udfs.spark.scoring import scored

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TEXTS: list[str | None] = [
    *functions(40),
    None,
    "",
    "a",
    "naïve 数学 🙂",
    "aaaa " * 50,
    None,
    "x" * 20_000,
    "1 + 1 = 2",
]
VECTORS: list[list[float] | None] = np.random.default_rng(5).normal(size=(len(TEXTS), 8)).tolist()
VECTORS[4], VECTORS[9] = None, [math.nan] * 8
LABELS: list[list[str] | None] = [*list(label_rows(len(TEXTS) - 1)), None]
BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    rows = [(f"d{i}", i, *row) for i, row in enumerate(zip(TEXTS, VECTORS, LABELS, strict=True))]
    columns = "text string, vector array<double>, labels array<string>"
    return spark.createDataFrame(rows, f"id string, content_hash string, {columns}")


def plain(scorer: Any) -> list[Any]:
    """One row at a time, without Spark; null for a null input and for NaN."""
    kernel = scorer.kernel()

    def one(given: Any) -> Any:
        if given is None:
            return None
        one_row = Ragged.of([given]) if scorer.ragged else [given]
        value = kernel(one_row if isinstance(given, str) or scorer.ragged else np.array([given]))
        if isinstance(value, Ragged):
            return value[0].tolist()
        if isinstance(value, dict):
            cells = {k: v[0] for k, v in value.items()}
            fields = {k: None if math.isnan(v) else v for k, v in cells.items()}
            return None if all(v is None for v in fields.values()) else fields
        if np.ndim(value) == 2:
            return None if np.isnan(value[0]).any() else [float(v) for v in value[0]]
        return None if value.dtype.kind == "f" and math.isnan(value[0]) else value[0]

    columns = {"vector": VECTORS, "labels": LABELS}
    return [one(given) for given in columns.get(scorer.inputs[0], TEXTS)]


def through(rows: DataFrame) -> list[Any]:
    """Values in order. A pandas UDF cannot say that a whole struct is null: there it is a struct of nulls."""

    def cell(value: Any) -> Any:
        if not hasattr(value, "asDict"):
            return value
        fields = value.asDict()
        return None if all(v is None for v in fields.values()) else fields

    values = {r["id"]: cell(r["value"]) for r in rows.collect()}
    return [values[f"d{i}"] for i in range(len(TEXTS))]


@pytest.mark.parametrize("kind", [*scorers(), "ends", "digits"])
def test_same_values_everywhere(spark: SparkSession, frame: DataFrame, kind: str) -> None:
    scorer = {"ends": Ends, "digits": Digits}[kind]() if kind in ("ends", "digits") else made(scorers()[kind])
    try:
        scorer.check_machine()
    except PlatformError as error:
        pytest.skip(str(error))
    want = plain(scorer)
    assert None in want
    one = frame.coalesce(1)
    spark.conf.set(BATCH, "3")
    small = through(scored(one, scorer)), through(one.select("id", column(scorer)(*scorer.inputs).alias("value")))
    spark.conf.unset(BATCH)
    spread = frame.repartition(4, "id")
    large = through(scored(spread, scorer)), through(spread.select("id", column(scorer)(*scorer.inputs).alias("value")))
    for got in (*small, *large):
        assert got == want


def test_zipfit_equals_its_package_through_spark(spark: SparkSession) -> None:
    """5 000 pairs and more, at gzip 1, 6 and 9."""
    pytest.importorskip("zip_fit")
    stub = types.ModuleType("datasets")
    stub.load_dataset = None  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "datasets", stub)
        reference = importlib.import_module("zip_fit.zipfit").ZIPFIT
    source = "\n".join(functions(600))
    texts = [*functions(45), "", "a", "é" * 300, "数学の問題を解く。" * 20, source[:100_000]]
    targets = [*human_eval(32), "", "x"]
    frame = spark.createDataFrame(
        [(f"d{i}", f"h{i}", t) for i, t in enumerate(texts)], "id string, content_hash string, text string"
    )
    pairs = 0
    for level in (1, 6, 9):
        scorer = fit_locally(ZipFit(target="t", level=level), {"t": {"text": targets}})
        got = {r["id"]: r["value"] for r in scored(frame.repartition(3), scorer).collect()}
        theirs = reference("", "", k=1, compression_algorithm="gzip", compress_level=level)
        sizes = [theirs.compress(t) for t in targets]
        for i, text in enumerate(texts):
            own = theirs.compress(text)
            mean = np.mean([theirs.similarity((text, t, own, c, i))[1] for t, c in zip(targets, sizes, strict=True)])
            assert abs(got[f"d{i}"] - mean) < 1e-12
            pairs += len(targets)
    assert pairs >= 5_000


def test_scorers_are_sql_functions(spark: SparkSession, frame: DataFrame) -> None:
    assert {"compression_ratio", "length_tokens"} <= set(register_all(spark))
    frame.createOrReplaceTempView("edge_documents")
    rows = spark.sql(
        "SELECT id, length_bytes(text) AS value FROM edge_documents WHERE length_tokens(text) > 3"
    ).collect()
    assert {r["id"]: r["value"] for r in rows} == {
        f"d{i}": len(t.encode())
        for i, t in enumerate(TEXTS)
        if t and made(scorers()["length_tokens"]).kernel()([t])[0] > 3
    }


def test_infinity_names_id_and_score(frame: DataFrame) -> None:
    with pytest.raises(Exception, match=r"score 'mortal' \(mortal\) of id 'd44' is infinite; a score must be finite"):
        scored(frame, Mortal(poison="aaaa ")).collect()


def test_a_killed_worker_costs_nothing(frame: DataFrame, tmp_path: Path) -> None:
    got = through(scored(frame.repartition(2), Mortal(marker=str(tmp_path / "killed"))))
    assert (tmp_path / "killed").exists()
    assert got == [None if t is None else float(len(t)) for t in TEXTS]


def test_a_worker_with_another_library_fails_with_a_sentence(frame: DataFrame) -> None:
    other = made(scorers()["compression_ratio"], library="zlib 9.9.9")
    with pytest.raises(Exception, match=r"9\.9\.9"):
        scored(frame, other).collect()


def test_ragged_vectors_are_refused() -> None:
    from tests.odd_scores.shapes import DigitSum

    with pytest.raises(Exception, match="different lengths"):
        score_batch(DigitSum(), [pa.array([[1.0, 2.0], [1.0]], pa.list_(pa.float32()))])
    made = score_batch(DigitSum(), [pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32()))])
    assert made.to_pylist() == [3.0, None, 7.0]


class Lengths(Fold[dict[int, int]]):
    """Counts of text lengths."""

    def zero(self) -> dict[int, int]:
        return {}

    def add(self, state: dict[int, int], *columns: Any) -> dict[int, int]:
        return self.merge(state, dict(pd.Series([len(t) for t in columns[0]]).value_counts()))

    def merge(self, a: dict[int, int], b: dict[int, int]) -> dict[int, int]:
        return {int(k): int(a.get(k, 0) + b.get(k, 0)) for k in sorted({*a, *b})}


class Everything(Lengths):
    """A state that outgrows its bound."""

    limit_bytes = 100

    def zero(self) -> dict[int, int]:
        return {i: i for i in range(100)}


def test_a_fold_gives_the_same_bytes_for_any_partitioning(frame: DataFrame) -> None:
    texts = frame.select("text")
    states = [fold(texts.repartition(n), Lengths()) for n in (1, 5)]
    assert pickle.dumps(states[0]) == pickle.dumps(states[1])
    assert states[0] == Lengths().add({}, [t for t in TEXTS if t is not None])
    with pytest.raises(Exception, match=r"Everything holds .* bytes; at most 100 reach the driver"):
        fold(texts, Everything())
    assert issubclass(BoundError, Exception)
