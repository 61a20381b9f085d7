"""Fitting without Spark, and the inputs on which the contract holds every scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from lakesift.udfs.scorer import DOCUMENT_INPUTS, Estimator, Fold, Scorer
from tests.texts import ODD, functions, human_eval

#: Name of the target in `made`, for estimators that need one.
TARGET = "target"


def fit_locally(estimator: Estimator, tables: Mapping[str, Sequence[Any]]) -> Scorer:
    """Fit by one `add` per table, without Spark; `tables` has the columns (lists without nulls) by table name."""

    def fold(f: Fold[Any], table: str) -> Any:
        return f.merge(f.zero(), f.add(f.zero(), *tables[table]))

    return estimator.fit(fold)


def contract_tables() -> dict[str, list[list[str]]]:
    """Return small columns for every table that an estimator may fit on."""
    return {TARGET: [human_eval(6)], "documents": [functions(60)]}


def declared(cls: type[Scorer] | type[Estimator], **parameters: Any) -> Scorer | Estimator:
    """Return an instance with the given parameters, and TARGET where a target is needed."""
    if "target" in {f.name for f in fields(cls)}:
        parameters = {"target": TARGET, **parameters}
    return cls(**parameters)


def made(cls: type[Scorer] | type[Estimator], **parameters: Any) -> Scorer:
    """Return a scorer that can score: an instance, fitted if it must be."""
    instance = declared(cls, **parameters)
    return fit_locally(instance, contract_tables()) if isinstance(instance, Estimator) else instance


def contract_columns(scorer: Scorer) -> list[list[Any]]:
    """Return one column for each input of the scorer: real and odd texts, with two rows repeated."""
    unknown = [name for name in scorer.inputs if name not in DOCUMENT_INPUTS]
    assert not unknown, f"the contract has no sample values for inputs {unknown}: add them here"
    texts = [*ODD, *functions(30), "x" * 20_000, *human_eval(3), functions(1)[0], ODD[1]]
    return [texts for _ in scorer.inputs]
