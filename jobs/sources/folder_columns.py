"""Columns out of folders named column=value, as text, for every format: read from a file's path alone.

The run of such folders nearest the file counts, and plain folders between it and the file do not matter. Because
nothing but the path decides, a folder, a pattern and a list of its parts give the same columns. Values are text as they
stand ("007" keeps its zeros), with %XX decoded where Hive or Spark wrote it. Where the data has a column of that name,
the data counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

#: What stands for null in the name of a folder.
NULL = "__HIVE_DEFAULT_PARTITION__"
_NAME = r"[^/=% ,;{}()\n\t`]+"
#: The run of folders, in Python and in Java: its first group.
RUN = rf"/((?:{_NAME}=[^/]*/)+)(?:(?!{_NAME}=)[^/]*/)*[^/]*$"
_BAD_ESCAPE = r"%(?![0-9A-Fa-f]{2})"


@lru_cache(maxsize=4096)
def folder_columns(path: str) -> tuple[tuple[str, str | None], ...]:
    """Return name and value of the columns that a file's folders give.

    Examples
    --------
    >>> folder_columns("/in/shard=007/lang=no/deep/part-0.parquet")
    (('shard', '007'), ('lang', 'no'))
    >>> folder_columns("/runs/a=1/in/b=x%2Fy/c=__HIVE_DEFAULT_PARTITION__/p.csv"), folder_columns("/in/p=1.csv")
    ((('b', 'x/y'), ('c', None)), ())
    """
    found = re.search(RUN, path)
    pairs = (folder.split("=", 1) for folder in found[1].split("/")[:-1]) if found else ()
    return tuple({name: _value(text) for name, text in pairs}.items())


def _value(text: str) -> str | None:
    if text == NULL:
        return None
    return text if re.search(_BAD_ESCAPE, text) else unquote(text)


def folder_names(paths: Iterable[str]) -> list[str]:
    """Return the names of all columns that the folders of files give, in order of appearance."""
    return list(dict.fromkeys(name for path in paths for name, _ in folder_columns(path)))


def folder_sql(name: str, path: str) -> str:
    """Return SQL of the text of one column, null where the file has no such folder; `path` is SQL of its path."""
    run = f"concat('/', regexp_extract({path}, {_literal(RUN)}, 1))"
    # The last folder of a name counts, as in Python.
    text = f"regexp_extract({run}, {_literal('.*/' + re.escape(name) + '=([^/]*)/')}, 1)"
    known = f"{run} RLIKE {_literal('/' + re.escape(name) + '=')} AND {text} <> '{NULL}'"
    decoded = f"url_decode(replace({text}, '+', '%2B'))"
    plain = f"{text} RLIKE {_literal(_BAD_ESCAPE)} OR NOT contains({text}, '%')"
    return f"CASE WHEN {known} THEN CASE WHEN {plain} THEN {text} ELSE {decoded} END END"


def _literal(pattern: str) -> str:
    return "'" + pattern.replace("\\", "\\\\").replace("'", "\\'") + "'"
