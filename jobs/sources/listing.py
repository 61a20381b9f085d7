"""Lists the files of a source, and digests them so that a change shows.

Local files are identified by path, size and SHA-256; files behind a URI (s3://, dbfs:/, ...) by path, length and
modification time, for which nothing is read. A folder means the files below it that look like the format and
whose names (and folders) do not start with "." or "_". Left out: watching for files that change while they are read.
"""

from __future__ import annotations

import glob
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...udfs.digests import digest
from ...udfs.errors import InputError
from ...udfs.uris import is_uri
from .samples import SAMPLES
from .source import Source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Raised when ingest makes other rows of the same bytes.
REVISION = 1
SUFFIXES = {"jsonl": (".jsonl", ".ndjson", ".json"), "parquet": (".parquet",), "csv": (".csv",), "text": ("",)}
#: SQL for the path of the file that a row came from, as people write it.
READ_FROM = "regexp_replace(url_decode(replace(_metadata.file_path, '+', '%2B')), '^file:/+', '/')"
PACKED = (".gz", ".bz2", ".zst")


@dataclass(frozen=True)
class File:
    """One file: `path` is what Spark opens, `digest` changes with the content."""

    path: str
    name: str
    size: int
    digest: str


def files(spark: SparkSession, source: Source) -> list[File]:
    """Return the files of a source, each once, in order of path.

    Raises
    ------
    InputError
        If an entry matches no file.
    """
    by_path: dict[str, File] = {}
    for entry in source.files:
        remote = is_uri(entry) and not entry.startswith("file:/")
        for file in _remote(spark, entry, source.format) if remote else _local(entry, source.format):
            by_path.setdefault(file.path, file)
    return sorted(by_path.values(), key=lambda f: f.path)


def sources_digest(spark: SparkSession, source: Source, id_sql: str | None = None) -> str:
    """Return 16 hex digits that change when ingest would write other rows; no Spark job for local files and samples.

    Raises
    ------
    InputError
        If an entry matches no file.
    PlatformError
        If the sample needs a package that is not installed.
    """
    head = [REVISION, id_sql or ""]
    if source.sample:
        return digest([*head, "sample", source.sample, SAMPLES[source.sample].digest()])
    return digest([*head, source.format, [[f.name, f.size, f.digest] for f in files(spark, source)]])


def _looks_like(name: str, form: str) -> bool:
    plain = name.lower()
    for packed in PACKED:
        plain = plain.removesuffix(packed)
    return plain.endswith(SUFFIXES[form])


def _local(entry: str, form: str) -> list[File]:
    plain = re.sub(r"^file:/+", "/", entry)
    prefix = "file:" if plain != entry else ""
    place = Path(plain).expanduser()
    starts = [place] if place.exists() else [Path(p) for p in sorted(glob.glob(str(place), recursive=True))]
    paths = [path for start in starts for path in (_below(start, form) if start.is_dir() else [start])]
    if not paths:
        fact = f"the folder {entry!r} holds no {form} file" if starts else f"no file matches {entry!r}"
        allowed = "a file, a folder, a pattern such as data/*.jsonl, or a URI such as s3://bucket/folder"
        raise InputError(f"{fact} (seen from {Path.cwd()}); write in 'from: files:' {allowed}")
    return [File(f"{prefix}{p.absolute()}", str(p), p.stat().st_size, _sha256(p)) for p in paths]


def _sha256(path: Path) -> str:
    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
    return sha256.hexdigest()


def _below(folder: Path, form: str) -> list[Path]:
    found = (p for p in sorted(folder.rglob("*")) if p.is_file() and _looks_like(p.name, form))
    return [p for p in found if not re.search(r"(^|/)[._]", p.relative_to(folder).as_posix())]


def _remote(spark: SparkSession, entry: str, form: str) -> list[File]:
    try:
        listing = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(entry)
        # No content: about 100 bytes a file.
        rows = listing.selectExpr("path", "length", "unix_micros(modificationTime) AS modified").collect()
    except Exception as error:
        if "PATH_NOT_FOUND" not in str(error):
            raise
        rows = []
    rows = [r for r in rows if _looks_like(r["path"], form)] or rows
    if not rows:
        raise InputError(f"no file matches {entry!r}; check the URI and this machine's access to it")
    return [File(r["path"], r["path"], r["length"], str(r["modified"])) for r in rows]
