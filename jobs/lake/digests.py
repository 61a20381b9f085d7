"""Digests of rows, in one aggregate: their number and two independent sums of their hashes.

A sum and not a bitwise XOR, in which rows that occur twice cancel out. Equal for equal rows in any order. What the sums
are taken over should itself be a cryptographic hash, because 64 bits of xxhash64 alone were collided on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def digest_sql(*hashes: str) -> str:
    """Return an aggregate that digests rows by SQL of their hashes (no nulls), as text "rows:sum:sum".

    The sums do not overflow below 10^18 rows, ANSI mode or not. The salt comes first, as a seed: behind the hashes it
    would make the second sum a function of the first.

    Examples
    --------
    >>> digest_sql("row_hash").startswith("concat_ws(':', count(*), coalesce(sum(CAST(xxhash64('a', row_hash) AS ")
    True
    """
    listed = ", ".join(hashes)
    sums = (f"coalesce(sum(CAST(xxhash64('{salt}', {listed}) AS DECIMAL(28, 0))), 0)" for salt in "ab")
    return f"concat_ws(':', count(*), {', '.join(sums)})"


def digest_difference(whole: str, gone: str, more: str) -> str:
    """Return the digest of rows without some of them and with others, all three given by their digests.

    Examples
    --------
    >>> digest_difference("3:30:-3", "1:10:-1", "2:5:5")
    '4:25:3'
    """
    parts = ([int(part) for part in digest.split(":")] for digest in (whole, gone, more))
    return ":".join(str(w - g + m) for w, g, m in zip(*parts, strict=True))


def rows_digest(frame: DataFrame, *hashes: str) -> str:
    """Return the digest of a frame's rows by SQL of their hashes, in one scan."""
    return str(frame.selectExpr(f"{digest_sql(*hashes)} AS digest").collect()[0]["digest"])


def files_digest(frame: DataFrame) -> str:
    """Return the digest of the files that a Delta snapshot consists of, with the rows of each; no column is read.

    Rows that a deletion vector hides do not count, and where a table may have deletion vectors it matters which rows
    they are: Delta shows `row_index` exactly there. Compacting changes the digest although it changes no row.
    """
    from pyspark.sql import functions as F

    try:
        rows = frame.selectExpr("_metadata.file_path AS file", "_metadata.row_index AS place")
        rows.schema  # noqa: B018 - Spark Connect analyses it here
    except Exception as error:
        if "row_index" not in str(error):
            raise
        rows = frame.selectExpr("_metadata.file_path AS file", "0L AS place")
    places = F.expr("bit_xor(xxhash64(place))").alias("places")
    files = rows.groupBy("file").agg(F.count("*").alias("rows"), places)
    return rows_digest(files, "file", "rows", "places")
