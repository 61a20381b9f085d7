"""Fitting without Spark, and the inputs on which the contract holds every scorer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from lakesift.udfs import models
from lakesift.udfs.arrays import Ragged
from lakesift.udfs.models import files
from lakesift.udfs.scorer import DOCUMENT_INPUTS, Estimator, Fold, Scorer
from tests import tiny_llama
from tests.texts import ODD, functions, human_eval

#: Name of the target in `made`, for estimators that need one.
TARGET = "target"


@pytest.fixture(autouse=True, scope="package")
def tiny_language_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let a random Llama stand for SmolLM2, whose weights are not at hand everywhere."""
    cache = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "cache_folder", lambda: cache)  # workers inherit the environment: it stays as it is
        entry = tiny_llama.install(cache)
        patch.setitem(files.MODELS, "smollm2", entry)
        patch.setitem(files.MODELS, "smollm2x", entry)
        yield
    models._loaded.clear()


Tables = Mapping[str, Mapping[str, Sequence[Any]]]


def columns_of(estimator: Estimator, f: Fold[Any], table: str, tables: Tables) -> list[Sequence[Any]]:
    """Return what a pass of `f` over a table reads: the texts of a target, of the documents what the fold asks for."""
    names = (f.reads or estimator.inputs) if table == "documents" else ("text",)
    return [tables[table][name] for name in names]


def fit_locally(estimator: Estimator, tables: Tables) -> Scorer:
    """Fit by one `add` per table, without Spark; `tables` has columns without nulls by table and name."""

    def fold(f: Fold[Any], table: str) -> Any:
        return f.merge(f.zero(), f.add(f.zero(), *columns_of(estimator, f, table, tables)))

    return estimator.fit(fold)


def contract_tables() -> dict[str, dict[str, Sequence[Any]]]:
    """Return small columns for every table that an estimator may fit on; "h" stands for xxhash64(id)."""
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(60, 8)).astype(np.float32)
    h = draw.integers(-(2**63), 2**63, 60, np.int64)
    cells = np.array([{"cluster": i % 5, "distance_sq": 0.0} for i in range(60)])
    documents = {"h": h, "text": functions(60), "vector": vectors, "completion": functions(60), "twin": vectors}
    documents["cells"] = cells
    documents["labels"] = documents["names"] = label_rows(60)
    return {TARGET: {"text": human_eval(6)}, "documents": documents}


def label_rows(count: int) -> Ragged:
    """Return rows of names: known, unknown and odd ones, repeated ones, none."""
    words = ["mathematics", "sums", "cooking", "cakes", "law", "  sums ", "Cafe\u0301", "Caf\xe9", "\U0001f600", ""]
    rows = [[words[(3 * i + j) % (7 + i % 4)] for j in range(i % 5)] for i in range(count - 1)]
    return Ragged.of([*rows, ["sums", "never met", "sums"]])


def declared(cls: type[Scorer] | type[Estimator], **parameters: Any) -> Scorer | Estimator:
    """Return an instance with the given parameters, TARGET for a target, few clusters, and narrow vectors."""
    names = {f.name for f in fields(cls)}
    small: dict[str, Any] = {"target": TARGET, "k": 5}
    if {"vocabulary", "target"} & names and "encoder" in names:  # of the width that the vectors of the contract have
        small |= {"encoder": "hashed_ngrams", "dimensions": 8, "least": 5, "floor": 0.1}
    return cls(**{**{k: v for k, v in small.items() if k in names}, **parameters})


def made(cls: type[Scorer] | type[Estimator], **parameters: Any) -> Scorer:
    """Return a scorer that can score: an instance, fitted if it must be."""
    instance = declared(cls, **parameters)
    return fit_locally(instance, contract_tables()) if isinstance(instance, Estimator) else instance


def contract_columns(scorer: Scorer) -> list[Any]:
    """Return one column for each input of the scorer: real and odd texts or vectors, with rows repeated."""
    unknown = [name for name in scorer.inputs if name not in (*DOCUMENT_INPUTS, "vector", "labels")]
    assert not unknown, f"the contract has no sample values for inputs {unknown}: add them here"
    texts = [*ODD, *functions(30), "x" * 20_000, *human_eval(3), functions(1)[0], ODD[1]]
    vectors = np.random.default_rng(4).normal(size=(len(texts), 8)).astype(np.float32)
    vectors[-1] = vectors[0]
    columns = {"vector": vectors, "labels": label_rows(len(texts))}
    return [columns.get(name, texts) for name in scorer.inputs]
