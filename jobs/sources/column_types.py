"""Names and types that the columns of a Delta table may have, of whatever files they come from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ...udfs.errors import InputError
from ...udfs.quoting import quoted_name

#: Characters that Delta refuses in a column name, and the quote of SQL names.
ILLEGAL = re.compile(r"[ ,;{}()\n\t=`]")
#: Types that Delta's reader version 1 holds.
PLAIN = ("string", "binary", "boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "date", "timestamp")


def column_name_error(names: Iterable[str]) -> str:
    """Return why names cannot be the columns of one Delta table, or "".

    Examples
    --------
    >>> column_name_error(["a", "A"])
    "the columns 'a' and 'A' differ in case only, which SQL does not tell apart; rename one in the files"
    >>> column_name_error(["a", "b"])
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


def table_type(data_type: Any, where: str) -> str:
    """Return the DDL of a Spark type as a table holds it: field names quoted, timestamp_ntz as timestamp.

    Parameters
    ----------
    where : str
        What an error says first, such as "a.parquet: column 'x'".

    Raises
    ------
    InputError
        If no table of reader version 1 can hold the type, or a field has an illegal name.

    Examples
    --------
    >>> from pyspark.sql import types as T
    >>> table_type(T.StructType([T.StructField("at", T.ArrayType(T.TimestampNTZType()))]), "x")
    'struct<`at`:array<timestamp>>'
    """
    from pyspark.sql import types as T

    if isinstance(data_type, T.ArrayType):
        return f"array<{table_type(data_type.elementType, where)}>"
    if isinstance(data_type, T.MapType):
        return f"map<{table_type(data_type.keyType, where)},{table_type(data_type.valueType, where)}>"
    if isinstance(data_type, T.StructType):
        if error := column_name_error(data_type.names):
            raise InputError(f"{where}: {error}")
        return f"struct<{','.join(f'{quoted_name(f.name)}:{table_type(f.dataType, where)}' for f in data_type)}>"
    name = str(data_type.simpleString())
    if name == "timestamp_ntz":
        return "timestamp"
    if name in PLAIN or name.startswith("decimal"):
        return name
    raise InputError(f"{where} has type {name}, which not every reader of Delta knows; write it as string or number")
