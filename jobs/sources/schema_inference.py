"""Infers the columns of JSON rows: counts the types of all values, takes the majority's, and coerces values exactly.

A field has the type that most of its values have. Values of another type are rejected while they are few (`MIXED`); a
field that is mixed by nature is kept as string, objects in it as JSON text. Nothing is rounded: a whole number that a
double cannot hold is a value of another type. Left out: dates (they stay strings), numbers beyond 64 bits (likewise).
"""

from __future__ import annotations

import json
import re
from typing import Any

from ...udfs.errors import InputError
from ...udfs.quoting import quoted_name
from .column_types import column_name_error

#: Up to this share of a field's values may be of another type than most; beyond it the field is a string.
MIXED = 0.1
#: An object with more distinct keys than this is a mapping, not a row.
MAX_FIELDS = 1000
KINDS = ("boolean", "number", "string", "array", "struct")
#: A Spark type: a name, ("array", type) or ("struct", ((name, type), ...)).
Kind = Any
#: Counts by type at one place of a row: "number": 3, "double": 1 (of the numbers), "null": 2, "fields" and "item" for
#: nested places, and "at", the first position of the field among its siblings.
TypeCounts = dict[str, Any]


def count_types(counts: TypeCounts, value: Any, at: int = 0) -> None:
    """Add a value, and everything nested in it, to the counts of its place."""
    counts["at"] = min(counts.get("at", at), at)
    if value is None:
        counts["null"] = counts.get("null", 0) + 1
        return
    kind = _kind_of(value)
    counts[kind] = counts.get(kind, 0) + 1
    if isinstance(value, float):
        counts["double"] = counts.get("double", 0) + 1
    elif kind == "array":
        for item in value:
            count_types(counts.setdefault("item", {}), item)
    elif kind == "struct":
        fields = counts.setdefault("fields", {})
        for i, (name, item) in enumerate(value.items()):
            count_types(fields.setdefault(name, {}), item, i)


def _kind_of(value: Any) -> str:
    if type(value) is int:
        return "number" if -(2**63) <= value < 2**63 else "string"
    return {bool: "boolean", float: "number", str: "string", list: "array", dict: "struct"}[type(value)]


def merge(a: TypeCounts, b: TypeCounts) -> TypeCounts:
    """Add the counts of `b` to `a` and return `a`: associative and commutative.

    Examples
    --------
    >>> merge({"at": 1, "number": 2}, {"at": 0, "number": 3, "double": 1})
    {'at': 0, 'number': 5, 'double': 1}
    """
    for key, theirs in b.items():
        mine = a.get(key)
        if mine is None:
            a[key] = theirs
        elif isinstance(theirs, dict):
            merge(mine, theirs)
        else:
            a[key] = min(mine, theirs) if key == "at" else mine + theirs
    return a


def resolve_type(counts: TypeCounts, mixed: float = MIXED) -> Kind:
    """Return the type of a place in the row from its counts; `mixed` is the share of other types that is rejected.

    Examples
    --------
    >>> resolve_type({"at": 0, "number": 20, "string": 1}), resolve_type({"at": 0, "number": 2, "string": 1})
    ('bigint', 'string')
    """
    by_kind = {k: int(counts.get(k, 0)) for k in KINDS}
    kind = max(by_kind, key=lambda k: by_kind[k])
    total = sum(by_kind.values())
    if total - by_kind[kind] > mixed * total or total == 0:
        return "string"
    if kind == "number":
        return "double" if "double" in counts else "bigint"
    if kind == "array":
        return ("array", resolve_type(counts.get("item", {})))
    if kind == "struct":
        names = _names(counts["fields"]) if "fields" in counts else []
        # A mapping with free keys is no struct: it stays JSON text, and nothing of it is lost.
        if not names or len(names) > MAX_FIELDS or column_name_error(names):
            return "string"
        return ("struct", tuple((name, resolve_type(counts["fields"][name])) for name in names))
    return kind


def _names(fields: dict[str, TypeCounts]) -> list[str]:
    return sorted(fields, key=lambda name: (fields[name]["at"], name))


def columns(counts: TypeCounts, what: str, id_sql: str = "") -> tuple[tuple[str, Kind], ...]:
    """Return name and type of each column, in the order of the files; raises InputError on names no table can have.

    A column that the SQL of the id names is a string as soon as its values are of two types, or numbers not all whole.
    """
    names = _names(counts.get("fields", {}))
    if not names:
        raise InputError(f'{what} hold no column: every row is {{}}; write rows such as {{"id": 1, "text": "..."}}')
    if (count := len(names)) > MAX_FIELDS:
        raise InputError(f"{what} hold {count:,} columns; at most {MAX_FIELDS} are allowed: nest some in one field")
    if error := column_name_error(names):
        raise InputError(f"{what}: {error}")
    return tuple((name, _column_type(counts["fields"][name], _names_column(id_sql, name))) for name in names)


def _names_column(sql: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sql, re.IGNORECASE) is not None


def _column_type(counts: TypeCounts, is_id: bool) -> Kind:
    kind = resolve_type(counts, 0 if is_id else MIXED)
    return kind if not is_id or kind in ("bigint", "boolean") else "string"


def always_written(counts: TypeCounts, prefix: str = "") -> list[str]:
    """Return the places where a null is a null and no absent key: columns and fields, such as "messages[].content".

    A field inside objects counts if every object has its key and some say null; a column also if some rows lack it.

    Examples
    --------
    >>> counts = {}
    >>> for row in ({"id": 1, "a": {"x": None, "y": 1}, "b": 1}, {"id": 2, "a": {"x": 1}}):
    ...     count_types(counts, row)
    >>> always_written(counts)
    ['id', 'a', 'a.x']
    """
    found: list[str] = []
    for name, place in sorted(counts.get("fields", {}).items(), key=lambda item: (item[1]["at"], item[0])):
        nulls, path = place.get("null", 0), f"{prefix}{name}"
        whole = nulls + sum(place.get(kind, 0) for kind in KINDS) == counts.get("struct", 0)
        if (whole and nulls) or (not prefix and (whole or nulls)):
            found.append(path)
        while "item" in place:
            path, place = f"{path}[]", place["item"]
        found += always_written(place, f"{path}.")
    return found


def ddl(kind: Kind) -> str:
    """Return the Spark type.

    Examples
    --------
    >>> ddl(("array", ("struct", (("role", "string"),))))
    'array<struct<`role`:string>>'
    """
    if isinstance(kind, str):
        return kind
    if kind[0] == "array":
        return f"array<{ddl(kind[1])}>"
    return f"struct<{','.join(f'{quoted_name(name)}:{ddl(k)}' for name, k in kind[1])}>"


def coerce(value: Any, kind: Kind, name: str = "row") -> Any:
    """Return the value as the type holds it, exactly; raises ValueError with the reason if it does not.

    Examples
    --------
    >>> coerce({"a": 1}, "string"), coerce(3, "double")
    ('{"a": 1}', 3.0)
    >>> coerce("x", "bigint", "n")
    Traceback (most recent call last):
    ValueError: n is string; most values are bigint
    """
    if value is None:
        return None
    if kind == "string":
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    actual = _kind_of(value)
    if (actual == "number" and kind == "bigint" and isinstance(value, int)) or actual == kind == "boolean":
        return value
    if actual == "number" and kind == "double" and (isinstance(value, float) or float(value) == value):
        return float(value)
    if actual == kind[0] == "array":
        return [coerce(item, kind[1], f"{name}[]") for item in value]
    if actual == kind[0] == "struct":
        return {k: coerce(value.get(k), t, k if name == "row" else f"{name}.{k}") for k, t in kind[1]}
    if isinstance(value, int) and not isinstance(value, bool):
        actual = "a number beyond 64 bits" if actual == "string" else f"the whole number {value}"
    wanted = kind if isinstance(kind, str) else kind[0]
    raise ValueError(f"{name} is {actual}; most values are {wanted}")
