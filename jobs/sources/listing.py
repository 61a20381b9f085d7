"""Lists the files of a source, and digests them so that a change shows.

Local files are identified by path, size and SHA-256; files behind a URI (s3://, dbfs:/, ...) by path, length and
modification time, for which nothing is read. Which local files an entry means, local_files.py says. Left out: watching
for files that change while they are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...udfs.digests import digest
from ...udfs.errors import InputError
from ...udfs.java_errors import kinds
from ...udfs.uris import is_uri, local_path
from .folder_columns import folder_columns
from .local_files import absolute, local_paths, looks_like
from .samples import SAMPLES
from .source import Dialect, Source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Raised when ingest makes other rows of the same bytes.
REVISION = 2
#: SQL for the path of the file that a row came from, as people write it.
READ_FROM = "regexp_replace(url_decode(replace(_metadata.file_path, '+', '%2B')), '^file:/+', '/')"


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
            by_path.setdefault(local_path(file.path), file)
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
    if source.dialect != Dialect():
        head.append(asdict(source.dialect))
    listed = [[f.name, f.size, f.digest, folder_columns(local_path(f.path))] for f in files(spark, source)]
    return digest([*head, source.format, listed])


def rewritten(listed: Iterable[File]) -> list[str]:
    """Return the files of this machine that have other bytes than when they were listed, or are gone."""

    def same(file: File) -> bool:
        path = Path(local_path(file.path))
        return is_uri(local_path(file.path)) or (path.is_file() and _sha256(path) == file.digest)

    return [file.name for file in listed if not same(file)]


def _local(entry: str, form: str) -> list[File]:
    prefix = "file:" if entry.startswith("file:/") else ""
    return [File(f"{prefix}{absolute(p)}", str(p), p.stat().st_size, _sha256(p)) for p in local_paths(entry, form)]


def _sha256(path: Path) -> str:
    sha256 = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                sha256.update(block)
    except OSError as error:
        raise InputError(f"the file {path} cannot be read ({error.strerror}); check its rights") from None
    return sha256.hexdigest()


def _remote(spark: SparkSession, entry: str, form: str) -> list[File]:
    try:
        listing = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(entry)
        # No content: about 100 bytes a file.
        rows = listing.selectExpr("path", "length", "unix_micros(modificationTime) AS modified").collect()
    except Exception as error:
        if "PATH_NOT_FOUND" not in kinds(str(error)).splitlines():
            raise
        rows = []
    rows = [r for r in rows if looks_like(r["path"], form)] or rows
    if not rows:
        raise InputError(f"no file matches {entry!r}; check the URI and this machine's access to it")
    return [File(r["path"], r["path"], r["length"], str(r["modified"])) for r in rows]
