"""Which rows a table gained and lost between two of its states, told by its own log: nothing else is read.

By the change data feed where the table has one, else by the files that commits added and removed. Commits that change
no data (OPTIMIZE) count only where a later commit removes a file that they made. What the log cannot say is `Unknown`,
with the reason: then a full pass is right. Left out: files with deletion vectors and mapped columns, which only Delta
itself reads (their tables mostly have a feed).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ...udfs.quoting import quoted_name
from ...udfs.uris import globbed, is_uri
from .spark_errors import FILES_GONE, analysis_message, raising
from .state import data_version_at

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from .tables import Lake

#: Commits, and distinct partitions of the files in them, that are looked through.
MOST_COMMITS, MOST_PARTITIONS = 1_000, 64
#: Types of partition columns whose values in the log are read as Delta itself reads them.
PARTITION_TYPES = ("string", "tinyint", "smallint", "int", "bigint", "date", "boolean")
FEED, FILES = "change data feed", "files of the log"
#: What Delta says, when the feed is read, of a column that came and went on the way.
FEED_ENDS = re.compile(r"CHANGE_DATA_FEED_INCOMPATIBLE")


class Unknown(Exception):
    """The log cannot say what changed; the text is why."""


@dataclass(frozen=True)
class Change:
    """The rows that a table gained and lost: as multisets, new = old - lost + gained.

    Parameters
    ----------
    gained, lost : DataFrame or None
        The table's columns; None for no row. By the feed a row that came and went is in both; so is, by files, a row
        that only moved to another file.
    how : {"change data feed", "files of the log"}
    size, rows : int or None
        Bytes and rows of the files that `gained` lies in, where the log says it.
    """

    gained: DataFrame | None
    lost: DataFrame | None
    how: str
    size: int | None = None
    rows: int | None = None

    def signed(self, gained: Sequence[str], lost: Sequence[str]) -> DataFrame | None:
        """Return SQL of the rows gained with `n` 1, and of the rows lost with -1, in one frame; None for no row."""
        sides = ((self.gained, gained, "1L AS n"), (self.lost, lost, "-1L AS n"))
        parts = [frame.selectExpr(*columns, sign) for frame, columns, sign in sides if frame is not None]
        return reduce(lambda a, b: a.unionByName(b), parts) if parts else None


@contextmanager
def reading() -> Iterator[None]:
    """Raise Unknown where the rows of a change, read inside, are not to be had: Spark says so when they are."""
    feed = Unknown("its change data feed does not reach over a change of its columns")
    with raising(Unknown("files of an earlier version are gone"), FILES_GONE), raising(feed, FEED_ENDS):
        yield


def change(lake: Lake, name: str, since: int, state: str, until: int) -> Change:
    """Return what a table gained and lost after version `since`, whose data version was `state`, up to `until`.

    No row is read here; who does, does so inside of `reading`.

    Raises
    ------
    Unknown
        If the log cannot say it, or version `since` is not the one that is meant: the table was made anew.
    """
    _check_identity(lake, name, since, state)
    if until - since > MOST_COMMITS:
        raise Unknown(f"{until - since:,} commits since")
    detail = lake.spark.sql(f"DESCRIBE DETAIL {lake.ref(name)}").collect()[0].asDict()
    properties = detail.get("properties") or {}
    if properties.get("delta.enableChangeDataFeed") == "true":
        try:
            return _by_feed(lake, detail["location"], since + 1, until)
        except Unknown:
            pass  # it was switched on later
    if properties.get("delta.columnMapping.mode", "none") != "none":
        raise Unknown("its columns are mapped and it has no change data feed")
    return _by_files(lake, name, detail, since + 1, until)


def _check_identity(lake: Lake, name: str, since: int, state: str) -> None:
    found = data_version_at(lake, name, since)
    if found is None:
        raise Unknown(f"its log does not go back to version {since}")
    if found != state:
        raise Unknown("the table was made anew")


def _by_feed(lake: Lake, location: str, first: int, last: int) -> Change:
    if first > last:
        return Change(None, None, FEED, 0, 0)
    options = {"readChangeFeed": "true", "startingVersion": str(first), "endingVersion": str(last)}
    try:
        rows = lake.spark.read.format("delta").options(**options).load(location)
        columns = [
            quoted_name(c) for c in rows.columns if c not in ("_change_type", "_commit_version", "_commit_timestamp")
        ]
    except Exception as error:
        raise Unknown(f"its change data feed cannot be read ({_first_line(error)})") from error
    gained = rows.where("_change_type IN ('insert', 'update_postimage')").select(*columns)
    lost = rows.where("_change_type IN ('delete', 'update_preimage')").select(*columns)
    return Change(gained, lost, FEED)


def _by_files(lake: Lake, name: str, detail: Mapping[str, Any], first: int, last: int) -> Change:
    gained, lost = net_files(_actions(lake, detail["location"], range(first, last + 1)))
    counts = [json.loads(file.get("stats") or "{}").get("numRecords") for file in gained]
    rows = None if None in counts else sum(counts)
    size = sum(file["size"] for file in gained)
    return Change(_rows(lake, name, detail, gained), _rows(lake, name, detail, lost), FILES, size, rows)


def _actions(lake: Lake, location: str, versions: Sequence[int]) -> list[list[dict[str, Any]]]:
    """Return the actions of each commit; raises Unknown if one of them is gone."""
    files = [f"{location.rstrip('/')}/_delta_log/{v:020d}.json" for v in versions]
    if not files:
        return []
    try:
        if location.startswith("file:") or not is_uri(location):
            return [[json.loads(line) for line in _local(f).read_text("utf-8").splitlines()] for f in files]
        name = "regexp_extract(_metadata.file_path, '[0-9]+(?=[.]json$)', 0)"
        rows = lake.spark.read.text(files).selectExpr(f"CAST({name} AS BIGINT) AS version", "value").collect()
    except Exception as error:  # cleaned up, or only Delta may read the folder
        raise Unknown(f"its log cannot be read from version {versions[0]} on ({_first_line(error)})") from error
    by_version: dict[int, list[dict[str, Any]]] = {v: [] for v in versions}
    for row in rows:
        by_version[row["version"]].append(json.loads(row["value"]))
    return list(by_version.values())


def _local(uri: str) -> Path:
    return Path(uri.removeprefix("file:"))


def net_files(actions: Iterable[Iterable[Mapping[str, Any]]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the files (as the log says `add` and `remove`) that a table gained and lost over some commits.

    A commit without data changes moves rows. It is passed over, and its files stand for the same rows, unless a file
    that it made is removed by a commit that counts: then it counts too.

    Raises
    ------
    Unknown
        If a file has a deletion vector.
    """
    adds, removes, counts = [], [], []
    for commit in actions:
        files = [(kind, a[kind]) for a in commit for kind in ("add", "remove") if kind in a]
        adds.append({f["path"]: dict(f) for kind, f in files if kind == "add"})
        removes.append({f["path"]: dict(f) for kind, f in files if kind == "remove"})
        counts.append(any(f.get("dataChange", True) for _, f in files))
        if any(f.get("deletionVector") for _, f in files):
            raise Unknown("its files have deletion vectors and it has no change data feed")
    grew = True
    while grew:
        removed = {path for i, files in enumerate(removes) if counts[i] for path in files}
        again = [c or bool(removed & a.keys()) for c, a in zip(counts, adds, strict=True)]
        grew, counts = again != counts, again
    gained: dict[str, dict[str, Any]] = {}
    lost: dict[str, dict[str, Any]] = {}
    for i in (i for i, c in enumerate(counts) if c):
        for path, file in removes[i].items():
            if gained.pop(path, None) is None:
                lost[path] = file
        for path, file in adds[i].items():
            if lost.pop(path, None) is None:
                gained[path] = file
    return list(gained.values()), list(lost.values())


def _rows(lake: Lake, name: str, detail: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> DataFrame | None:
    """Return the rows of files, with the columns that the table has now."""
    from pyspark.sql import functions as F
    from pyspark.sql import types as T

    if not files:
        return None
    partition = set(detail["partitionColumns"] or ())
    schema = lake.read(name).schema
    if any(f.name in partition and f.dataType.simpleString() not in PARTITION_TYPES for f in schema):
        raise Unknown("a partition column has a type whose values in the log are ambiguous")
    stored = T.StructType([T.StructField(f.name, f.dataType) for f in schema if f.name not in partition])
    by_values: dict[str, list[str]] = {}
    for file in files:
        if partition and not file.get("partitionValues"):
            raise Unknown("its log does not say in which partition a removed file lay")
        values = json.dumps(file.get("partitionValues") or {}, sort_keys=True)
        by_values.setdefault(values, []).append(_path(detail["location"], file["path"]))
    if len(by_values) > MOST_PARTITIONS:
        raise Unknown(f"files of {len(by_values):,} partitions changed")
    parts = []
    try:
        for values, paths in by_values.items():
            frame, held = lake.spark.read.schema(stored).parquet(*paths), json.loads(values)
            columns = [
                F.lit(held.get(f.name) or None).cast(f.dataType).alias(f.name)
                if f.name in partition
                else F.col(quoted_name(f.name))
                for f in schema
            ]
            parts.append(frame.select(*columns))
        parts[0].schema  # noqa: B018 - Spark Connect analyses it here
    except Exception as error:
        raise Unknown(f"files of an earlier version cannot be read ({_first_line(error)})") from error
    return reduce(lambda a, b: a.unionByName(b), parts)


def _path(location: str, path: str) -> str:
    """Return what Spark opens for a path of the log, which is URL-encoded and mostly relative to the table."""
    plain = unquote(path)
    if plain.startswith("/") or is_uri(plain):
        return globbed(plain)
    return globbed(f"{location.rstrip('/')}/{plain}")


def _first_line(error: BaseException) -> str:
    text = analysis_message(error) or str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
