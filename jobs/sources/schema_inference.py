"""The columns of JSON rows: types counted over all lines, settled by majority, and values made to fit exactly.

A field has the type that most of its values have. Values of another type are rejected while they are few (`MIXED`); a
field that is mixed by nature is kept as string, objects in it as JSON text. Nothing is rounded: a whole number that a
double cannot hold is a value of another type. Left out: dates (they stay strings), numbers beyond 64 bits (likewise).
"""

from __future__ import annotations

import json
import re
from typing import Any

from ...udfs.errors import InputError

#: Up to this share of a field's values may be of another type than most; beyond it the field is a string.
MIXED = 0.1
#: An object with more distinct keys than this is a mapping, not a row.
MAX_FIELDS = 1000
#: Characters that Delta refuses in a column name, and the quote of SQL names.
ILLEGAL = re.compile(r"[ ,;{}()\n\t=`]")
#: A Spark type: a name, ("array", type) or ("struct", ((name, type), ...)).
Kind = Any
Shape = dict[str, Any]


def observe(shape: Shape, value: Any, at: int = 0) -> None:
    """Count a value in a shape: how often each type stands at each place of a row."""
    shape["at"] = min(shape.get("at", at), at)
    if value is None:
        return
    kind = _kind_of(value)
    shape[kind] = shape.get(kind, 0) + 1
    if isinstance(value, float):
        shape["double"] = shape.get("double", 0) + 1
    elif kind == "array":
        for item in value:
            observe(shape.setdefault("item", {}), item)
    elif kind == "struct":
        fields = shape.setdefault("fields", {})
        for i, (name, item) in enumerate(value.items()):
            observe(fields.setdefault(name, {}), item, i)


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "number" if -(2**63) <= value < 2**63 else "string"
    return {float: "number", str: "string", list: "array", dict: "struct"}[type(value)]


def merge(a: Shape, b: Shape) -> Shape:
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


def settle(shape: Shape) -> Kind:
    """Return the type of a place in the row from its counts.

    Examples
    --------
    >>> settle({"at": 0, "number": 20, "string": 1}), settle({"at": 0, "number": 2, "string": 1})
    ('bigint', 'string')
    """
    counts = {k: int(shape.get(k, 0)) for k in ("boolean", "number", "string", "array", "struct")}
    kind = max(counts, key=lambda k: counts[k])
    total = sum(counts.values())
    if total - counts[kind] > MIXED * total or total == 0:
        return "string"
    if kind == "number":
        return "double" if "double" in shape else "bigint"
    if kind == "array":
        return ("array", settle(shape.get("item", {})))
    if kind == "struct":
        names = _names(shape["fields"]) if "fields" in shape else []
        # A mapping with free keys is no struct: it stays JSON text, and nothing of it is lost.
        if not names or len(names) > MAX_FIELDS or fault(names):
            return "string"
        return ("struct", tuple((name, settle(shape["fields"][name])) for name in names))
    return kind


def _names(fields: dict[str, Shape]) -> list[str]:
    return sorted(fields, key=lambda name: (fields[name]["at"], name))


def fault(names: list[str]) -> str:
    """Return what keeps names from being columns of one Delta table, or "".

    Examples
    --------
    >>> fault(["a", "A"])
    "the columns 'a' and 'A' differ in case only, which SQL does not tell apart; rename one in the files"
    >>> fault(["a", "b"])
    ''
    """
    seen: dict[str, str] = {}
    for name in names:
        if not name or ILLEGAL.search(name):
            return f"the column {name!r} is empty or holds one of: space , ; {{}} () = ` tab newline; rename it"
        if name.lower() in seen:
            both = f"{seen[name.lower()]!r} and {name!r}"
            return f"the columns {both} differ in case only, which SQL does not tell apart; rename one in the files"
        seen[name.lower()] = name
    return ""


def columns(shape: Shape, what: str) -> tuple[tuple[str, Kind], ...]:
    """Return name and type of each column, in the order of the files; raises InputError on names no table can have."""
    names = _names(shape.get("fields", {}))
    if not names:
        raise InputError(f'{what} hold no column: every row is {{}}; write rows such as {{"id": 1, "text": "..."}}')
    if len(names) > MAX_FIELDS:
        raise InputError(
            f"{what} hold {len(names):,} columns; at most {MAX_FIELDS} are allowed: nest some in one field"
        )
    if fault(names):
        raise InputError(f"{what}: {fault(names)}")
    return tuple((name, settle(shape["fields"][name])) for name in names)


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
    return f"struct<{','.join(f'`{name}`:{ddl(k)}' for name, k in kind[1])}>"


def fit(value: Any, kind: Kind, name: str = "row") -> Any:
    """Return the value as the type holds it, exactly; raises ValueError with the reason if it does not.

    Examples
    --------
    >>> fit({"a": 1}, "string"), fit(3, "double")
    ('{"a": 1}', 3.0)
    >>> fit("x", "bigint", "n")
    Traceback (most recent call last):
    ValueError: n is string; most values are bigint
    """
    if value is None:
        return None
    if kind == "string":
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    found = _kind_of(value)
    if found == "number" and kind == "bigint" and isinstance(value, int):
        return value
    if found == "number" and kind == "double" and (isinstance(value, float) or float(value) == value):
        return float(value)
    if found == kind == "boolean":
        return value
    if found == kind[0] == "array":
        return [fit(item, kind[1], f"{name}[]") for item in value]
    if found == kind[0] == "struct":
        return {k: fit(value.get(k), t, k if name == "row" else f"{name}.{k}") for k, t in kind[1]}
    if isinstance(value, int) and not isinstance(value, bool):
        found = "a number beyond 64 bits" if found == "string" else f"the whole number {value}"
    wanted = kind if isinstance(kind, str) else kind[0]
    raise ValueError(f"{name} is {found}; most values are {wanted}")
