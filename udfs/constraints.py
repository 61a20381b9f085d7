"""What a parameter may hold, said in its annotation and checked in one place.

A scorer or selector writes `k: Annotated[int, AtLeast(1)] | Literal["auto"] = 100`, and no code beside it.
`check_fields` holds an instance to its annotations when it is made in Python; recipes call `refusal` and name the place
in the recipe; lists of parameters print `allowed`. Numbers, text, booleans, Literal, None, unions, and tuples,
sequences and mappings of these are understood; any other annotation accepts everything. A bool is no number, a whole
number is a number, NaN and infinity are refused unless a Range allows infinity. Left out: rules across fields, which
stay in `__post_init__`.
"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import RecipeError, nearest


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; an open end is itself left out, infinity is allowed only if `infinite`.

    Examples
    --------
    >>> str(AtLeast(1)), str(Above(0, most=1)), str(Between(0, 1)), str(Range(0, 1, True, True))
    ('from 1', 'above 0 and at most 1', 'from 0 to 1', 'above 0 and below 1')
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    infinite: bool = False

    def __contains__(self, value: float) -> bool:
        """Return whether a number lies in the range; NaN never does."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below and (self.infinite or math.isfinite(value))

    def __str__(self) -> str:
        """Say the range in words, to stand after "a number"."""
        low = "" if self.low == -math.inf else f"{'above' if self.open_low else 'from'} {self.low:,}"
        high = "" if self.high == math.inf else f"{'below' if self.open_high else 'at most'} {self.high:,}"
        if low and high and not self.open_low and not self.open_high:
            return f"{low} to {self.high:,}"
        return " and ".join(part for part in (low, high) if part) + (", infinity too" if self.infinite else "")


def AtLeast(low: float, infinite: bool = False) -> Range:
    """Return the range from `low`."""
    return Range(low, infinite=infinite)


def Above(low: float, most: float = math.inf) -> Range:
    """Return the range above `low`, up to `most`."""
    return Range(low, most, open_low=True)


def Between(low: float, high: float) -> Range:
    """Return the range from `low` to `high`, both included."""
    return Range(low, high)


@dataclass(frozen=True)
class Needed:
    """A text or list that may not be empty, although the field has an empty default; `words` say what it is."""

    words: str


#: The plain types, and how a message and a list call them.
PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def check_fields(item: Any) -> None:
    """Hold a dataclass to the annotations of its fields: RecipeError with kind, field, value and what is allowed."""
    hints = hints_of(item.__class__)
    for field in fields(item):
        value = getattr(item, field.name)
        if reason := refusal(value, hints[field.name], field):
            raise RecipeError(f"{item.kind}: {field.name} is {value!r}; {reason}")


@cache
def hints_of(cls: Hashable) -> dict[str, Any]:
    """Return the annotations of a class by field, with what Annotated adds."""
    return get_type_hints(cls, include_extras=True)


def is_needed(field: Field[Any], annotation: Any) -> bool:
    """Return whether a field must be given: it has no default, or an empty one that Needed refuses."""
    if field.default is MISSING and field.default_factory is MISSING:
        return True
    return not field.default and any(isinstance(rule, Needed) for rule in _rules(annotation))


def refusal(value: Any, annotation: Any, field: Field[Any] | None = None) -> str | None:
    """Return what is allowed, as the end of a message, if the value does not fit; None if it does.

    Examples
    --------
    >>> refusal(0, Annotated[int, AtLeast(1)] | Literal["auto"])
    'a whole number from 1, or auto, is needed'
    >>> refusal("autoo", Annotated[int, AtLeast(1)] | Literal["auto"])
    "did you mean 'auto'? a whole number from 1, or auto, is needed"
    >>> refusal("up", Literal["asc", "desc"]), refusal(True, float), refusal(1, float)
    ('allowed: asc, desc', 'a number is needed', None)
    """
    if _fits(value, annotation):
        return None
    names = [str(name) for option in _options(annotation) if get_origin(option) is Literal for name in get_args(option)]
    if all(get_origin(option) is Literal for option in _options(annotation)):
        return nearest(str(value), names)
    close = difflib.get_close_matches(value.lower(), names, n=1, cutoff=0.6) if isinstance(value, str) else []
    hint = f"did you mean {close[0]!r}? " if close else ""
    words = [_words(option) for option in _options(annotation)]
    need = f"{words[0]}, or {', or '.join(words[1:])}," if len(words) > 1 else words[0]
    default = field.default if field is not None and isinstance(field.default, int | float | str) else None
    usual = f"; the default is {default}" if default not in (None, "", value) else ""
    return f"{hint}{need} is needed{usual}"


def allowed(annotation: Any) -> str:
    """Return in a few words what a parameter may hold beside its plain type; "" if that says it all.

    Examples
    --------
    >>> allowed(Annotated[int, AtLeast(1)] | Literal["auto"]), allowed(Literal["asc", "desc"]), allowed(bool)
    ('from 1, or auto', 'asc, desc', '')
    """
    parts = []
    for option in _options(annotation):
        ranges = [rule for rule in _rules(option) if isinstance(rule, Range)]
        if get_origin(option) is Literal:
            parts.append(", ".join(str(name) for name in get_args(option)))
        elif ranges:
            parts.append(str(ranges[0]))
        elif (element := _element(option)) is not None and allowed(element):
            parts.append(f"each {allowed(element)}")
    return ", or ".join(parts)


def _options(annotation: Any) -> list[Any]:
    """Return the members of a union but None, or the annotation itself."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return [member for member in members if member not in (None, type(None))]


def _rules(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()


def _element(annotation: Any) -> Any:
    """Return the annotation of what a tuple, sequence or mapping holds; None for anything else."""
    base = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(base) is tuple or get_origin(base) is Sequence:
        return get_args(base)[0]
    return get_args(base)[1] if get_origin(base) is Mapping else None


def _words(annotation: Any) -> str:
    rules = _rules(annotation)
    if needed := [rule for rule in rules if isinstance(rule, Needed)]:
        return needed[0].words
    base = get_args(annotation)[0] if rules else annotation
    if get_origin(base) is Literal:
        return ", ".join(str(name) for name in get_args(base))
    if (element := _element(base)) is not None:
        noun = "a mapping" if get_origin(base) is Mapping else "a list"
        return f"{noun} (each {' or '.join(_words(option) for option in _options(element))})"
    return " ".join([PLAIN.get(base, getattr(base, "__name__", str(base))), *map(str, rules)])


def _fits(value: Any, annotation: Any) -> bool:
    base, origin = annotation, get_origin(annotation)
    if origin is Annotated:
        base, *rules = get_args(annotation)
        ranges = [rule for rule in rules if isinstance(rule, Range)]
        if any(isinstance(rule, Needed) for rule in rules) and not value:
            return False
        if ranges and isinstance(value, int | float) and not isinstance(value, bool):
            return (isinstance(value, int) or base is float) and all(value in rule for rule in ranges)
        return _fits(value, base)
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in get_args(base))
    if origin is Literal:
        return any(type(value) is type(option) and value == option for option in get_args(base))
    if base in (None, type(None)):
        return value is None
    if base is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if base in PLAIN:
        return isinstance(value, base) and (base is bool or not isinstance(value, bool))
    if origin is Mapping:
        key, item = get_args(base)
        return isinstance(value, Mapping) and all(_fits(k, key) and _fits(v, item) for k, v in value.items())
    if origin in (tuple, Sequence):
        kinds = (tuple,) if origin is tuple else (list, tuple)
        return isinstance(value, kinds) and all(_fits(item, _element(base)) for item in value)
    return True
