"""Brings the bytes of source files to the parsers: lines where Spark can split a file, whole files otherwise.

Spark's own readers open most files. Files of this machine that they cannot open (see `name_fault`; xz, Zstandard), and
files of JSON that must be read whole, are opened by the Python tasks. Left out: CSV and text files above
`WHOLE_BYTES`, which one task reads whole.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ...udfs.errors import InputError
from ...udfs.uris import globbed, is_uri, local_path
from .listing import READ_FROM, File
from .packing import packing_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Files that are read whole by one task have at most this many bytes.
WHOLE_BYTES = 256 << 20
#: Packings that Spark's reader of lines does not unpack everywhere.
NOT_IN_SPARK = (".zst", ".xz")
#: Endings by which it unpacks, with what is in a file of such a name.
UNPACKED = {".gz": "gzip", ".bz2": "bzip2", ".deflate": "deflate", ".snappy": "snappy", ".lz4": "lz4"}
SCHEMA = "raw binary, file string, start bigint"


def raw_bytes(spark: SparkSession, form: str, listed: list[File], whole: frozenset[str]) -> DataFrame:
    """Return (raw, file, start): a line of JSON with the start of its split, or a whole file with start null.

    Where `raw` is null, the task opens the file itself, see `stream_of`.

    Parameters
    ----------
    whole : frozenset of str
        Files of JSON that do not hold one object a line.

    Raises
    ------
    InputError
        If a file that is read whole is above `WHOLE_BYTES`.
    """
    odd = {f.path for f in listed if local_path(f.path) in whole or _not_in_spark(f, form)}
    own = [f for f in listed if f.path in odd and not is_uri(local_path(f.path))]
    by_line = [f for f in listed if f.path not in odd and form == "jsonl"]
    at_once = [f for f in listed if (is_uri(local_path(f.path)) if f.path in odd else form != "jsonl")]
    for file in listed:
        lines = form == "jsonl" and local_path(file.path) not in whole
        if file.size > WHOLE_BYTES and not (lines and (file.path not in odd or not is_uri(local_path(file.path)))):
            raise InputError(
                f"{file.name} holds {file.size:,} bytes; it is read whole, at most {WHOLE_BYTES:,}: split it, or "
                "convert it to plain jsonl or parquet"
            )
    frames = []
    if by_line:
        # A text column keeps bytes as they are, UTF-8 or not. \n alone ends a line: \r may occur inside JSON.
        text = spark.read.option("lineSep", "\n").text([globbed(f.path) for f in by_line])
        start = "_metadata.file_block_start AS start"
        frames.append(text.selectExpr("CAST(value AS BINARY) AS raw", f"{READ_FROM} AS file", start))
    if at_once:
        files = spark.read.format("binaryFile").load([globbed(f.path) for f in at_once])
        frames.append(files.selectExpr("content AS raw", f"{READ_FROM} AS file", "CAST(NULL AS BIGINT) AS start"))
    if own:
        frames.append(spark.createDataFrame([(None, local_path(f.path), None) for f in own], SCHEMA))
    if not frames:
        return spark.createDataFrame([], SCHEMA)
    union = frames[0]
    for frame in frames[1:]:
        union = union.union(frame)
    return union


def stream_of(raw: bytes | None, file: str) -> IO[bytes]:
    """Return the bytes of a whole file as a stream; raises InputError if the task does not find it."""
    if raw is not None:
        return io.BytesIO(raw)
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise InputError(f"the file {file} cannot be opened by the workers ({error.strerror})") from None


def name_fault(path: str) -> str:
    """Return why Spark opens no file of this path, "" if it does.

    Examples
    --------
    >>> name_fault("in/a:b.csv"), name_fault("in/_a.csv"), name_fault("a:b/c.csv"), name_fault("in/_k=v.csv")
    ('has a colon in its name', 'has a name that begins with _', '', '')
    >>> name_fault("a:b/c[1].csv")
    'has a colon in its path beside one of \\\\ [ ] { } * ?'
    """
    name = Path(path).name
    # Hadoop makes a path of the name of its checksum, ".a:b.crc", and takes the colon for that of a URI. It does so
    # with every part of a path that it takes for a pattern.
    if ":" in name:
        return "has a colon in its name"
    if ":" in path and globbed(path) != path:
        return r"has a colon in its path beside one of \ [ ] { } * ?"
    if name.startswith(".") or (name.startswith("_") and "=" not in name):
        return f"has a name that begins with {name[0]}"
    return "has a name that ends with ._COPYING_" if name.endswith("._COPYING_") else ""


def _not_in_spark(file: File, form: str) -> bool:
    """Tell whether Spark's reader cannot open a file, or would unpack it by an ending that says something else."""
    path = local_path(file.path)
    if name_fault(Path(path).name if is_uri(path) else path):
        return True
    ending = Path(file.path).suffix
    return form == "jsonl" and (ending.lower() in NOT_IN_SPARK or (ending in UNPACKED and not _is_packed_as(file)))


def _is_packed_as(file: File) -> bool:
    """Tell whether a file is packed as its ending says: a download may have unpacked it. Behind a URI it is."""
    path = local_path(file.path)
    if is_uri(path):
        return True
    with stream_of(None, path) as stream:
        return packing_of(stream.read(10)) == UNPACKED[Path(path).suffix]
