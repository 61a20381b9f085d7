"""The laws of scorers and folds, held against everything that discovery finds and against a stranger's one file."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import pickle
import random
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from lakesift.udfs import discovery
from lakesift.udfs.arrays import Ragged
from lakesift.udfs.errors import LakeSiftError, PlatformError
from lakesift.udfs.scorer import Estimator, Fold, Scorer, fingerprint
from tests.udfs.scores.conftest import (
    TARGET,
    columns_of,
    contract_columns,
    contract_tables,
    declared,
    fit_locally,
    made,
)

EXTRA = discovery.discover("tests.extra_scores", "lakesift.scores", (Scorer, Estimator))
FOUND = {**discovery.scorers(), **EXTRA}
ESTIMATORS = {kind: cls for kind, cls in FOUND.items() if issubclass(cls, Estimator)}
DTYPES = {"double": "float64", "float": "float32", "bigint": "int64", "int": "int32"}

every = pytest.mark.parametrize("kind", FOUND)


def values(scorer: Scorer, columns: Sequence[Sequence[Any]]) -> dict[str, np.ndarray]:
    """Return what a fresh kernel yields, always as a mapping of arrays."""
    return arrays(scorer.kernel()(*columns))


def arrays(out: Any) -> dict[str, np.ndarray]:
    """Return what a kernel yields as arrays by field; lists of uneven length are padded with -1."""
    if isinstance(out, Ragged):
        wide = np.full((len(out), 50), -1)
        for i, row in enumerate(out):
            wide[i, : len(row)] = row
        return {"value": wide}
    return {k: np.asarray(v) for k, v in out.items()} if isinstance(out, dict) else {"value": np.asarray(out)}


def able(kind: str) -> Scorer:
    """Return a scorer that can score; the test is skipped where it needs a package or a model that is not here."""
    scorer = made(FOUND[kind])
    try:
        scorer.check_machine()
    except PlatformError as error:
        pytest.skip(str(error))
    return scorer


def rows(found: dict[str, np.ndarray], take: Any) -> dict[str, bytes]:
    """Return the exact bits of some rows."""
    return {k: v[take].tobytes() for k, v in found.items()}


def pick(columns: Sequence[Sequence[Any]], order: Sequence[int]) -> list[Any]:
    """Return some rows of lists or of arrays."""
    take = list(order)

    def some(column: Sequence[Any]) -> Any:
        if isinstance(column, Ragged):
            return Ragged.of([column[i] for i in take])
        return column[take] if isinstance(column, np.ndarray) else [column[i] for i in take]

    return [some(column) for column in columns]


def test_a_registered_package_of_one_file_is_discovered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(discovery._registered, "lakesift.scores", [])
    assert "vowel_share" not in discovery.scorers()
    discovery.register("tests.extra_scores")
    assert discovery.scorers()["vowel_share"] is EXTRA["vowel_share"]
    assert discovery.scorers().keys() == FOUND.keys()


def test_two_classes_with_one_kind_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(discovery._registered, "lakesift.scores", ["tests.extra_scores"])
    monkeypatch.setattr(EXTRA["vowel_share"], "kind", "length_bytes")
    with pytest.raises(LakeSiftError, match="two classes claim kind 'length_bytes'"):
        discovery.scorers()


@every
def test_it_says_what_it_is(kind: str) -> None:
    declared_class, scorer = FOUND[kind], made(FOUND[kind])
    assert scorer.kind == kind
    assert len(scorer.comment) > 20
    assert ";" in scorer.comment, "unit and range; direction; when null"
    assert (declared_class.value, declared_class.comment) == (scorer.value, scorer.comment)
    assert scorer.fitted == issubclass(declared_class, Estimator)
    assert declared(declared_class).inputs == scorer.inputs
    usual = {"text", "vector", "labels"}
    assert set(scorer.inputs) <= usual, "the default reads text, an embedding called vector, or a column labels"


@every
def test_one_finite_or_undefined_value_per_row(kind: str) -> None:
    scorer = able(kind)
    columns = contract_columns(scorer)
    for column in values(scorer, columns).values():
        assert len(column) == len(columns[0])
        if scorer.value in DTYPES:
            assert column.shape == (len(columns[0]),)
            assert column.dtype == DTYPES[scorer.value]
        if column.dtype.kind == "f":
            assert not np.isinf(column).any()
            assert not np.isnan(column).all()


@every
def test_a_value_depends_on_its_row_alone(kind: str) -> None:
    scorer = able(kind)
    columns, draw = contract_columns(scorer), random.Random(5)
    whole, n = values(scorer, columns), len(columns[0])
    for size in (1, 3, n - 1):
        kernel = scorer.kernel()
        for start in range(0, n, size):
            part = arrays(kernel(*pick(columns, range(n)[start : start + size])))
            assert rows(part, slice(None)) == rows(whole, slice(start, start + size))
    shuffled = draw.sample(range(n), n)
    repeated = draw.choices(range(n), k=2 * n)
    for order in (shuffled, repeated):
        assert rows(values(scorer, pick(columns, order)), slice(None)) == rows(whole, order)


@every
def test_inputs_are_not_changed(kind: str) -> None:
    scorer = able(kind)
    columns = contract_columns(scorer)
    before = copy.deepcopy(columns)
    values(scorer, columns)
    for column, was in zip(columns, before, strict=True):
        if isinstance(column, Ragged):
            assert list(column) == list(was)
        else:
            np.testing.assert_array_equal(column, was)


@every
def test_it_pickles_and_repeats(kind: str) -> None:
    scorer = able(kind)
    columns = contract_columns(scorer)
    again = pickle.loads(pickle.dumps(scorer))
    assert again == scorer
    assert hash(again) == hash(scorer)
    assert fingerprint(again) == fingerprint(scorer) == fingerprint(made(FOUND[kind]))
    assert rows(values(again, columns), slice(None)) == rows(values(scorer, columns), slice(None))


def others(hint: Any, value: Any) -> list[Any]:
    """Return other values of a parameter, the first that its class accepts is tried."""
    if get_origin(hint) is Literal:
        return [v for v in get_args(hint) if v != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value * 2, value / 2]
    if isinstance(value, tuple):
        return [value[:-1]]
    if value is None:
        return [0.5]
    return [f"{value}x", "cells", TARGET, "\n"]


@every
def test_the_fingerprint_follows_every_parameter(kind: str) -> None:
    cls, scorer = FOUND[kind], made(FOUND[kind])
    changed: dict[str, Scorer] = {}
    for field in dataclasses.fields(cls):
        if field.name not in ("of", "target", "fit_where", "refit"):
            candidates = others(get_type_hints(cls)[field.name], getattr(declared(cls), field.name))
            changed[f"parameter {field.name}"] = _first_accepted(cls, field.name, candidates)
    for field in dataclasses.fields(scorer):
        if field.name != "of":
            value = others(get_type_hints(type(scorer))[field.name], getattr(scorer, field.name))[0]
            other = changed[f"field {field.name}"] = copy.copy(scorer)
            object.__setattr__(other, field.name, value)  # a value alone need not fit the others
    assert [name for name, other in changed.items() if fingerprint(other) == fingerprint(scorer)] == []
    assert [name for name, other in changed.items() if name.startswith("field") and other == scorer] == []
    twins = {"vector": "twin", "labels": "names"}
    twin = twins.get(scorer.of, "completion")  # the same content under another name
    assert fingerprint(made(cls, of=twin)) == fingerprint(scorer)


def _first_accepted(cls: type[Scorer] | type[Estimator], name: str, candidates: list[Any]) -> Scorer:
    hints = get_type_hints(cls)
    literals = {
        f.name: get_args(hints[f.name]) for f in dataclasses.fields(cls) if get_origin(hints[f.name]) is Literal
    }
    companions = [{}, *({other: option} for other, options in literals.items() for option in options), {"of": "text"}]
    for value, companion in itertools.product(candidates, companions):  # one parameter may need another
        try:
            return made(cls, **{**companion, name: value})
        except (LakeSiftError, KeyError, AttributeError):  # names that are nowhere, lists where texts are needed
            continue
    raise AssertionError(f"{cls.__name__} accepts no other {name} among {candidates}")


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_name_of_a_table_is_no_part_of_what_was_learnt(kind: str) -> None:
    estimator = declared(FOUND[kind])
    assert isinstance(estimator, Estimator)
    tables = contract_tables()
    if not hasattr(estimator, "target"):
        pytest.skip("it has no target")
    renamed = dataclasses.replace(estimator, target="elsewhere")
    fitted = fit_locally(renamed, {**tables, "elsewhere": tables[TARGET]})
    assert fingerprint(fitted) == fingerprint(fit_locally(estimator, tables))
    reversed_rows = {**tables, TARGET: {name: column[::-1] for name, column in tables[TARGET].items()}}
    assert fingerprint(fit_locally(estimator, reversed_rows)) == fingerprint(fitted)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_folds_give_the_same_bytes_for_any_tree(kind: str) -> None:
    seen: list[tuple[Fold[Any], Sequence[Any]]] = []
    tables = contract_tables()

    def fold(f: Fold[Any], table: str) -> Any:
        columns = columns_of(estimator, f, table, tables)
        seen.append((f, columns))
        return f.add(f.zero(), *columns)

    estimator = declared(FOUND[kind])
    assert isinstance(estimator, Estimator)
    estimator.fit(fold)
    assert seen
    for f, columns in seen:
        repeated = pick(columns, [*range(len(columns[0])), 0, 1, 2])
        expected = pickle.dumps(f.add(f.zero(), *repeated))
        assert len(expected) <= f.limit_bytes
        for seed in range(12):
            assert pickle.dumps(_tree(f, repeated, random.Random(seed))) == expected


def _tree(f: Fold[Any], columns: Sequence[Sequence[Any]], draw: random.Random) -> Any:
    """Fold shuffled rows in random pieces, some added to a state and some merged, in a random order of merges."""
    order = draw.sample(range(len(columns[0])), len(columns[0]))
    states = [f.zero()]
    while order:
        piece, order = order[: (cut := draw.randint(1, 7))], order[cut:]
        into = states.pop() if draw.random() < 0.4 else f.zero()
        before = pickle.dumps(into)
        states.append(f.add(into, *pick(columns, piece)))
        assert pickle.dumps(into) == before, "add changed its state in place"
    while len(states) > 1:
        a, b = (states.pop(draw.randrange(len(states))) for _ in range(2))
        before = pickle.dumps(a), pickle.dumps(b)
        states.append(f.merge(a, b))
        assert (pickle.dumps(a), pickle.dumps(b)) == before, "merge changed a state in place"
    return states[0]
