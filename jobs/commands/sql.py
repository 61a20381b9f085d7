"""sql: a query over the lake's tables by their names, with every scorer that needs no fitting as a function.

Left out: large results; `lakesift export`, or Spark itself, writes those.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ...udfs.java_errors import kinds
from ...udfs.quoting import quoted, quoted_name
from ...udfs.spark import register_all
from ..lake.tables import Lake
from ..lake.text_table import Rows, printable, rows_of, text_table
from ..recipe import parse
from .decisions import decisions
from .last_opened import chosen_again
from .stored_recipe import stored_recipe

#: Views over the newest model that has labels: the column of `models`, and the fields of its rows.
VIEWS = {"label_names": ("labels", "label", "name", "rows", "merged"), "label_edges": ("edges", "a", "b", "weight")}
#: Rows and characters of a cell that a query shows.
SHOWN_ROWS, SHOWN_CHARACTERS = 1_000, 80


@dataclass(frozen=True)
class QueryResult:
    """The first rows of a query; `more` tells whether there are others."""

    rows: Rows
    more: bool

    def __str__(self) -> str:
        """Return the text table, cells in one line each."""
        table = text_table(self.rows.columns, ([_cell(value) for value in row] for row in self.rows.rows))
        if self.more:
            return f"{table}\n(the first {SHOWN_ROWS:,} rows; there are more: add a condition or a LIMIT)"
        return f"{table}\n({len(self.rows)} rows)"

    def to_dict(self) -> list[dict[str, Any]]:
        """Return JSON values."""
        return self.rows.to_dict()


#: What a statement that only reads begins with.
READING = ("SELECT", "WITH", "FROM", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN")
#: Literals, quoted names and comments: no words of the statement. As Spark's grammar has them.
_QUOTED = re.compile(
    r"""--[^\r\n]*|/\*.*?\*/|r'[^']*'|r"[^"]*"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:``|[^`])*`""", re.S | re.I
)
#: What makes a statement that begins with WITH or FROM write, and functions that call any code of the JVM.
_WRITING = re.compile(
    r"\b(?:(INSERT)\s+(?:INTO|OVERWRITE)|(MERGE)\s+(?:WITH\s+SCHEMA\s+EVOLUTION\s+)?INTO|(DELETE)\s+FROM|(UPDATE)\s+\S.*\bSET\b"
    r"|(java_method|reflect|try_reflect)\s*\()",
    re.S | re.I,
)


def written_by(sql: str) -> str | None:
    """Return the word by which a statement may change something, None if it only reads.

    Examples
    --------
    >>> written_by("SELECT 'delete from t' FROM t"), written_by("with a as (select 1) insert into t select * from a")
    (None, 'insert')
    """
    words = _QUOTED.sub(lambda quoted: " " if quoted[0][:2] in ("--", "/*") else " '' ", sql)
    first = re.match(r"[\s(]*(\w+)", words)
    if first is None or first[1].upper() not in READING:
        return first[1] if first else sql.strip()[:20]
    found = _WRITING.search(words)
    return next(filter(None, found.groups())) if found and first[1].upper() != "EXPLAIN" else None


def query(lake: Lake, sql: str, may_write: bool = False) -> QueryResult:
    """Run SQL over the lake's tables by name and return up to 1 000 rows.

    Every scorer that needs no fitting is a function: `SELECT id, compression_ratio(text) FROM corpus`. Cells are cut
    at 80 characters.

    Parameters
    ----------
    may_write : bool
        Run statements that change tables, too, with the lock of the lake.

    Raises
    ------
    InputError
        If the query is wrong, or would write and may not: in one sentence.
    """
    word = written_by(sql)
    if word and not may_write:
        raise InputError(
            f"the query fails: {word!r} is no word of a statement that only reads ({', '.join(READING)}); to change "
            "tables add --write (may_write=True), which waits for runs"
        )
    with lake.lock("sql") if word else nullcontext():
        return _run(lake, sql)


def _run(lake: Lake, sql: str) -> QueryResult:
    try:
        register(lake, sql)
        frame = lake.spark.sql(sql)
        rows = _shown(frame).take(SHOWN_ROWS + 1)
    except Exception as error:
        raise _sentence(error, lake) from error
    return QueryResult(rows_of(frame.columns, rows[:SHOWN_ROWS]), len(rows) > SHOWN_ROWS)


def register(lake: Lake, sql: str = "") -> list[str]:
    """Make the lake's tables known to Spark SQL by their names, and every scorer that needs no fitting a function.

    Parameters
    ----------
    sql : str, optional
        Only tables that this query names; all of them without it.

    Returns
    -------
    list of str
        Names of tables and functions.
    """
    spark, tables = lake.spark, [n for n in lake.tables() if not sql or re.search(rf"\b{re.escape(n)}\b", sql, re.I)]
    if lake.schema:
        spark.sql(f"USE {quoted(lake.schema)}")
    else:
        for name in tables:
            lake.read(name).createOrReplaceTempView(quoted_name(name))
    return [*tables, *_views(lake, sql), *_decisions(lake, sql), *register_all(spark)]


def _decisions(lake: Lake, sql: str) -> list[str]:
    """Make the views `decisions_<recipe>` that a query names: each ranks the rows of a selection again."""
    names = dict.fromkeys(re.findall(r"\bdecisions_([a-z][a-z0-9_]*)\b", sql, re.I))
    recipes = [n for n in map(str.lower, names) if lake.last_write(f"selection_{n}")]
    for name in recipes:
        again = chosen_again(lake, parse(stored_recipe(lake, name).keys))
        decisions(again).createOrReplaceTempView(f"decisions_{name}")
    return [f"decisions_{name}" for name in recipes]


def _views(lake: Lake, sql: str) -> list[str]:
    """Make the views of VIEWS that a query names, all without one, where the newest model has what they show."""
    wanted = [name for name in VIEWS if not sql or re.search(rf"\b{name}\b", sql, re.I)]
    if not wanted or lake.last_write("models") is None:
        return []
    models = lake.read("models")
    made = [name for name in wanted if VIEWS[name][0] in models.columns]
    for name in made:
        column, *fields = VIEWS[name]
        newest = models.where(f"{column} IS NOT NULL").orderBy(F.desc("fitted_at"), F.desc("sequence")).limit(1)
        rows = newest.select("fingerprint", F.explode(column).alias("row"))
        rows.select("fingerprint", *(f"row.{field}" for field in fields)).createOrReplaceTempView(name)
    return made


def _shown(frame: DataFrame) -> DataFrame:
    """Return every column as a short string (numbers stay), cut before it reaches the driver."""
    parts = []
    named = frame.toDF(*(f"c{i}" for i in range(len(frame.columns))))  # names may repeat: select d.*, s.*
    for field in named.schema:
        kind, column = field.dataType.typeName(), F.col(field.name)
        if kind not in ("double", "float", "integer", "long", "short", "byte"):
            column = F.hex(column) if kind == "binary" else column.cast("string")
            column = F.substring(column, 1, SHOWN_CHARACTERS + 1)
        parts.append(column.alias(field.name))
    return named.select(*parts)


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if not isinstance(value, str):
        return str(value)  # no separators: a number may be a year or an id
    line = printable(value)
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


def _sentence(error: Exception, lake: Lake) -> Exception:
    """Return Spark's complaint about a query as one sentence; an error that is not Spark's own stays as it is."""
    text = str(error)
    if not isinstance(error, PySparkException) or "PythonException" in type(error).__name__:
        return error
    fact = " ".join(re.split(r"SQLSTATE|\n\n|JVM stacktrace", text)[0].split())
    hint = f"; tables of the lake: {', '.join(lake.tables())}" if "TABLE_OR_VIEW_NOT_FOUND" in kinds(text) else ""
    return InputError(f"the query fails: {fact}{hint}")
