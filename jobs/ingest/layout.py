"""How rows are dealt out over the files of a table: each file holds rows of as few source files as may be.

A source file that is replaced or goes takes few files of the table along, and what reads its change reads little else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType, StringType

from ...udfs.quoting import quoted_name
from ...udfs.uris import local_path
from ..lake.ingest_tables import FILE_COLUMN
from ..sources.reader import SourceRows

#: Bytes of source that a file of a table holds: as few as this where the source is small, at most `FILE_BYTES`.
LEAST_BYTES, FILE_BYTES = 16 << 20, 256 << 20
#: Files of a table that are enough to tell changes apart: larger sources have larger files.
ENOUGH_FILES = 1_000
#: Columns of the join, whose names no source column has.
FILE, KEYS, KEY = "part file", "part keys", "part key"


def by_source(frame: DataFrame, lines: SourceRows, tasks: int = 1) -> DataFrame:
    """Deal the rows of `lines` out, by the file that they come from; those of a large file by a hash of their values.

    Parameters
    ----------
    frame : DataFrame
        The rows, with `FILE_COLUMN` where files can be told apart.
    tasks : int
        Into so many parts at least, where the sizes of the files allow.
    """
    sizes = {local_path(f.path): f.size for f in lines.fresh}
    places, count = parts(sizes, part_bytes(lines.size, tasks))
    if count <= 1 or FILE_COLUMN not in frame.columns:
        return frame.repartition(max(tasks, math.ceil(lines.size / FILE_BYTES)))
    keys = _keys(frame, count)
    rows = [(file, [keys[part] for part in its]) for file, its in places.items()]
    told = frame.sparkSession.createDataFrame(rows, f"`{FILE}` string, `{KEYS}` array<bigint>").coalesce(1)
    named = frame.join(F.broadcast(told), F.col(FILE_COLUMN) == F.col(quoted_name(FILE)), "left")
    plain = [F.col(quoted_name(f.name)) for f in frame.schema if isinstance(f.dataType, StringType | NumericType)]
    turn = F.pmod(F.xxhash64(*plain), F.size(quoted_name(KEYS))).cast("int")
    dealt = named.withColumn(KEY, F.col(quoted_name(KEYS))[turn]).repartition(count, quoted_name(KEY))
    return dealt.drop(FILE, KEYS, KEY)


def part_bytes(size: int, tasks: int = 1) -> int:
    """Return how many bytes of a source of `size` bytes a file of its table holds.

    Examples
    --------
    >>> [part_bytes(n << 20) >> 20 for n in (1, 900, 50_000, 10_000_000)], part_bytes(8 << 20, tasks=4) >> 20
    ([16, 16, 50, 256], 2)
    """
    wanted = min(FILE_BYTES, max(LEAST_BYTES, size // ENOUGH_FILES))
    return max(1, min(wanted, math.ceil(size / tasks))) if tasks > 1 else wanted


def parts(sizes: Mapping[str, int], part: int) -> tuple[dict[str, list[int]], int]:
    """Return the parts of each file, and how many there are: a large file has its own, small ones share one.

    Examples
    --------
    >>> parts({"a": 2, "b": 3, "large": 25, "c": 6, "d": 1}, part=10)
    ({'a': [0], 'b': [0], 'large': [1, 2, 3], 'c': [4], 'd': [4]}, 5)
    """
    places: dict[str, list[int]] = {}
    count, held = 0, part + 1
    for file, size in sizes.items():
        if size > part:
            own = math.ceil(size / part)
            places[file] = list(range(count, count + own))
            count, held = count + own, part + 1
            continue
        if held + size > part:
            count, held = count + 1, 0
        held += size
        places[file] = [count - 1]
    return places, count


def _keys(frame: DataFrame, count: int) -> list[int]:
    """Return a number for each of `count` partitions that Spark's hash partitioning puts there."""
    numbers = frame.sparkSession.range(64 * count)  # each part is missed with probability exp(-64)
    first = numbers.groupBy(F.expr(f"pmod(hash(id), {count})").alias("part")).agg(F.min("id").alias("key"))
    found = {row["part"]: row["key"] for row in first.collect()}
    return [found.get(part, 0) for part in range(count)]
