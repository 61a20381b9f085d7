"""Constraints as data: what fits an annotation, what a message says, and that classes are held to theirs everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest

from lakesift.jobs.selectors import selectors
from lakesift.jobs.selectors.sensitivity import Sensitivity
from lakesift.udfs.constraints import Above, AtLeast, Between, Needed, Range, allowed, check_fields, hints_of, refusal
from lakesift.udfs.discovery import scorers
from lakesift.udfs.errors import RecipeError

K = Annotated[int, AtLeast(1)] | Literal["auto"]
FITS: list[tuple[Any, list[Any], list[Any]]] = [
    # annotation, values that fit, values that do not
    (int, [0, -1, 2**63 - 1], [1.0, True, "1", None, np.int64(1)]),
    (float, [1.5, 1, -1e308], [math.nan, math.inf, -math.inf, True, "1", None]),
    (bool, [True, False], [0, 1, "yes", None]),
    (str, ["", "x"], [1, None, ["x"], b"x"]),
    (str | None, ["x", None], [1]),
    (Literal["a", "b"], ["a"], ["A", "ab", None, ["a"], {}]),
    (Literal[1, 2], [1, 2], [True, 1.0, 3, "1"]),
    (K, [1, 5, "auto"], [0, -1, 1.0, True, "all", None]),
    (Annotated[float, Above(0)], [1e-300, 3], [0, -1.0, math.inf, math.nan, True, "1"]),
    (Annotated[float, Above(0, most=1)], [1, 0.5], [0, 1.5]),
    (Annotated[float, Between(0, 1)], [0, 1.0], [-0.1, 1.1, math.nan]),
    (Annotated[float, Range(0, 1, open_high=True)], [0.0], [1.0, 1]),
    (Annotated[float, AtLeast(0, infinite=True)], [0, math.inf], [-1, -math.inf, math.nan, "inf"]),
    (Annotated[int, Between(1, 3)], [1, 3], [0, 4, 2.0]),
    (Annotated[int, AtLeast(1)] | None, [None, 1], [0]),
    (Annotated[str, Needed("a name")], ["x"], ["", None, 1]),
    (Annotated[tuple[int, ...], Needed("numbers")], [(1,)], [(), [1], (1.5,), None]),
    (tuple[Annotated[int, AtLeast(2)], ...], [(), (2, 3)], [(1,), (2, True), "ab"]),
    (
        Mapping[str, Sequence[str | float | None]],
        [{}, {"a": ["q0.1", None]}, {"a": (1, 2)}],
        [{"a": 1}, {"a": [[]]}, []],
    ),
    (Mapping[str, int], [{"a": 1}], [{1: 1}, {"a": "1"}]),
    (Mapping[Any, int], [{None: 1, True: 2}], [{"a": None}]),
    (Any, [None, ...], []),
]


@pytest.mark.parametrize(("annotation", "fitting", "others"), FITS, ids=lambda a: str(a)[:50])
def test_what_fits(annotation: Any, fitting: list[Any], others: list[Any]) -> None:
    assert [value for value in fitting if refusal(value, annotation)] == []
    assert [value for value in others if not refusal(value, annotation)] == []


@dataclass(frozen=True)
class Thing:
    """A dataclass with one field of each kind."""

    kind: ClassVar[str] = "thing"

    name: Annotated[str, Needed("the name of a target")]
    k: K = 100
    mode: Literal["fast", "exact"] = "fast"
    share: Annotated[float, Above(0, most=1)] | None = None
    sizes: tuple[Annotated[int, AtLeast(2)], ...] = (2,)
    rows: Mapping[str, Annotated[int, AtLeast(0)]] | Literal["equal"] = "equal"

    def __post_init__(self) -> None:
        check_fields(self)


USUAL, EQUAL = "the default is 100", ", or equal, is needed; the default is equal"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": ""}, "thing: name is ''; the name of a target is needed"),
        ({"k": 0}, "thing: k is 0; a whole number from 1, or auto, is needed; " + USUAL),
        ({"k": "Auto"}, "thing: k is 'Auto'; did you mean 'auto'? a whole number from 1, or auto, is needed; " + USUAL),
        ({"mode": "fats"}, "thing: mode is 'fats'; did you mean 'fast'? allowed: exact, fast"),
        ({"share": 0}, "thing: share is 0; a number above 0 and at most 1 is needed"),
        ({"sizes": (1,)}, "thing: sizes is (1,); a list (each a whole number from 2) is needed"),
        ({"rows": {"a": -1}}, "thing: rows is {'a': -1}; a mapping (each a whole number from 0)" + EQUAL),
    ],
)  # fmt: skip
def test_messages_are_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Thing(**{"name": "x", **given})
    assert str(caught.value) == sentence


def test_lists_show_what_is_allowed() -> None:
    shown = {name: allowed(hint) for name, hint in hints_of(Thing).items() if name != "kind"}
    assert shown == {
        "name": "",
        "k": "from 1, or auto",
        "mode": "fast, exact",
        "share": "above 0 and at most 1",
        "sizes": "each from 2",
        "rows": "each from 0, or equal",
    }


CLASSES: dict[str, Any] = {**scorers(), **{f"selector {kind}": cls for kind, cls in selectors().items()}}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_checks_every_field_when_it_is_made(kind: str) -> None:
    """No annotation accepts an object of another world, and no class forgets to check."""
    cls = CLASSES[kind]
    hints = hints_of(cls)
    needed = {f.name: {} if "Mapping" in str(hints[f.name]) else "x" for f in fields(cls)}
    for field in fields(cls):
        with pytest.raises(RecipeError, match=rf": {field.name} is .*(is needed|allowed: )"):
            cls(**{**_needed(cls, needed), field.name: 1j})


def _needed(cls: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Values for fields without a usable default."""
    hints = hints_of(cls)
    return {f.name: values[f.name] for f in fields(cls) if refusal(getattr(cls, f.name, 1j), hints[f.name])}


def test_infinity_is_allowed_where_it_means_something() -> None:
    assert Sensitivity("cells", "loss", probes=0, lipschitz=math.inf).lipschitz == math.inf
    with pytest.raises(
        RecipeError, match="lipschitz is nan; cluster, global, or a number from 0, infinity too, is needed"
    ):
        Sensitivity("cells", "loss", lipschitz=math.nan)
