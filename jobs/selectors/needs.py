"""What a selector reads, as data: each need names a score, score.field or source column, and says which types fit.

A recipe is checked by these before a run: `Selector.needs` must be computed for every row, `Selector.on_demand` only
for the rows that it asks about. What is left out: values (a negative weight is found when rows are selected).
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ...udfs.quoting import quoted

if TYPE_CHECKING:
    from .selector import Selector

#: Fields of the struct that a k-means score is.
CLUSTER, DISTANCE = "cluster", "distance_sq"
#: The largest float32.
FLOAT32_MAX = "3.4028234663852886e38D"
#: Types of text.
STRINGS = (T.StringType, T.CharType, T.VarcharType)


@dataclass(frozen=True)
class Need:
    """A score, score.field or source column by name; `words` end the message about one that does not fit."""

    name: str

    words: ClassVar[str]
    #: Types that fit, if these are all that matters.
    types: ClassVar[tuple[type[T.DataType], ...]] = ()

    def accepts(self, data_type: T.DataType) -> bool:
        """Return whether a column of this type fits."""
        return isinstance(data_type, self.types)

    def defined(self, column: str, _: T.DataType, /) -> str:
        """Return SQL of whether a row has a value that a selector can work with.

        Parameters
        ----------
        column : str
            In backticks, of a type that fits.

        Examples
        --------
        >>> Number("q").defined("`q`", T.DoubleType())
        '`q` IS NOT NULL AND NOT isnan(`q`)'
        """
        return f"{column} IS NOT NULL"


class Number(Need):
    """Something to rank or weigh by: any numeric type, decimals too.

    Examples
    --------
    >>> Number("quality").accepts(T.DecimalType(9, 2)), Number("quality").accepts(T.StringType())
    (True, False)
    """

    words = "a number is needed: name a score, score.field or numeric column"
    types = (T.NumericType,)

    def defined(self, column: str, data_type: T.DataType, /) -> str:
        """Return SQL that is true of numbers, and of infinities; NaN, which source columns can hold, is undefined."""
        nan = f" AND NOT isnan({column})" if isinstance(data_type, T.FractionalType) else ""
        return f"{column} IS NOT NULL{nan}"


class Turns(Number):
    """A number, or one for each turn of a conversation."""

    words = "a number is needed, or a list of numbers, one a turn: name a score, score.field or column"

    def accepts(self, data_type: T.DataType) -> bool:
        """Return whether the type is a number or an array of numbers."""
        element = data_type.elementType if isinstance(data_type, T.ArrayType) else data_type
        return super().accepts(element)

    def defined(self, column: str, data_type: T.DataType, /) -> str:
        """Return SQL that is true of numbers, and of lists of numbers none of which is undefined."""
        if not isinstance(data_type, T.ArrayType):
            return super().defined(column, data_type)
        return f"size({column}) > 0 AND NOT exists({column}, x -> x IS NULL OR isnan(CAST(x AS DOUBLE)))"


class Group(Need):
    """Something whose equal values make a group; of a k-means score its field `cluster`."""

    words = "a value that makes groups is needed: name a score or column of strings, numbers, booleans or dates"
    types = (*STRINGS, T.NumericType, T.BooleanType, T.DateType, T.TimestampType, T.TimestampNTZType)

    def accepts(self, data_type: T.DataType) -> bool:
        """Return whether values of the type can be compared, or the type is that of a k-means score."""
        return super().accepts(data_type) or _is_clustering(data_type)

    def defined(self, column: str, data_type: T.DataType, /) -> str:
        """Return SQL of whether the value, or the cluster of a k-means score, is not null."""
        return f"{column}{f'.{CLUSTER}' if isinstance(data_type, T.StructType) else ''} IS NOT NULL"


class Stratum(Group):
    """A group in which null is a value of its own."""

    def defined(self, _: str, __: T.DataType, /) -> str:
        """Return what is true of every row."""
        return "true"


class Cluster(Need):
    """A k-means score: a struct of `cluster` and `distance_sq`."""

    words = "clusters with distances are needed: name a score of kind kmeans"

    def accepts(self, data_type: T.DataType) -> bool:
        """Return whether the type is that of a k-means score."""
        return _is_clustering(data_type)

    def defined(self, column: str, _: T.DataType, /) -> str:
        """Return SQL of whether the cluster is not null."""
        return f"{column}.{CLUSTER} IS NOT NULL"


class Vector(Need):
    """An array of numbers per row."""

    words = "a vector is needed: name a score of kind embedding, or a column of arrays of numbers"

    def accepts(self, data_type: T.DataType) -> bool:
        """Return whether the type is an array of numbers."""
        return isinstance(data_type, T.ArrayType) and isinstance(data_type.elementType, T.NumericType)

    def defined(self, column: str, _: T.DataType, /) -> str:
        """Return SQL of whether every element is a finite float32, in which vectors are compared."""
        odd = f"x IS NULL OR isnan(CAST(x AS DOUBLE)) OR abs(CAST(x AS DOUBLE)) > {FLOAT32_MAX}"
        return f"{column} IS NOT NULL AND NOT exists({column}, x -> {odd})"


class Text(Need):
    """A string; what scorers read unless they say otherwise."""

    words = "text is needed: name a column of strings, or a document input"
    types = STRINGS


class Names(Need):
    """A list of names per row."""

    words = "names are needed: name a column of arrays of strings, or set delimiter for a column of text"

    def accepts(self, data_type: T.DataType) -> bool:
        """Return whether the type is an array of strings."""
        return isinstance(data_type, T.ArrayType) and isinstance(data_type.elementType, STRINGS)


class Anything(Need):
    """A column of any type."""

    words = "a column is needed"
    types = (T.DataType,)


@dataclass(frozen=True)
class Fitted(Anything):
    """A score whose fitted scorer the selector works with.

    Parameters
    ----------
    kinds : tuple of str
        The kinds of score that fit.
    without : tuple of str
        Parameters of the score that must be 0 or empty.
    """

    kinds: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


def _is_clustering(data_type: T.DataType) -> bool:
    types = {field.name: field.dataType for field in getattr(data_type, "fields", ())}
    return all(isinstance(types.get(name), T.NumericType) for name in (CLUSTER, DISTANCE))


def defined_if(rows: DataFrame, needs: Iterable[Need], scores: Container[str]) -> list[tuple[str, str]]:
    """Return the name of each need, and SQL of whether a row has it.

    Parameters
    ----------
    scores : container of str
        Names that are scores: no element of a score that is a vector is undefined, and these are not looked through.
    """
    conditions, named = [], list(needs)
    types = rows.select("id", *(F.col(quoted(need.name)) for need in named)).schema.fields[1:]
    for need, field in zip(named, types, strict=True):
        name = quoted(need.name)
        whole = isinstance(field.dataType, T.ArrayType) and need.name in scores
        conditions.append((need.name, f"{name} IS NOT NULL" if whole else need.defined(name, field.dataType)))
    return conditions


def all_of(conditions: Iterable[str]) -> str:
    """Return SQL of whether all conditions hold; "true" of none."""
    return " AND ".join(f"({condition})" for condition in conditions) or "true"


def field_of(selector: Selector, need: Need) -> str:
    """Return the field of a selector that a need comes from: the one without whose value the need is gone."""
    for field in fields(selector):
        other = renamed(getattr(selector, field.name), need.name, f"{need.name}?")
        if need not in needs_with(selector, field.name, other):
            return field.name
    return selector.kind


def needs_with(selector: Selector, name: str, value: Any) -> tuple[Need, ...]:
    """Return what a selector would read if one of its fields had another value, allowed or not."""
    twin = copy.copy(selector)
    object.__setattr__(twin, name, value)
    return (*twin.needs, *twin.on_demand)


def renamed(value: Any, name: str, other: str) -> Any:
    """Return a field's value with a name replaced: itself, or a key of a mapping."""
    if isinstance(value, Mapping):
        return {other if key == name else key: item for key, item in value.items()}
    return other if value == name else value
