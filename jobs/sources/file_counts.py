"""What was counted of each file of a source, so that files which were ingested before need not be parsed again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...udfs.uris import local_path
from .listing import File
from .schema_inference import TypeCounts, merge

#: Files of one source up to which they are told apart: what is counted of each reaches the driver.
MOST_FILES = 20_000


@dataclass(frozen=True)
class FileCounts:
    """One file as it was read: its path as rows name it, size and digest, and JSON of what was counted of its lines."""

    file: str
    size: int
    digest: str
    counts: str


def fresh_files(listed: Sequence[File], known: Mapping[str, FileCounts]) -> list[File]:
    """Return the files that are not known, or were known with other bytes."""

    def is_known(file: File) -> bool:
        before = known.get(local_path(file.path))
        return before is not None and (before.size, before.digest) == (file.size, file.digest)

    return [file for file in listed if not is_known(file)]


def counted(
    listed: Sequence[File], fresh: Sequence[File], by_file: Mapping[str, Any], known: Mapping[str, FileCounts]
) -> tuple[FileCounts, ...]:
    """Return what is known of each file after the fresh ones were read; () where files cannot be told apart.

    That is where there are more than `MOST_FILES`, or rows name a file by another path than the listing.
    """
    read = {local_path(f.path): f for f in fresh}
    if len(listed) > MOST_FILES or not set(by_file) <= set(read):
        return ()
    new = {name: FileCounts(name, f.size, f.digest, json.dumps(by_file.get(name, {}))) for name, f in read.items()}
    names = [local_path(f.path) for f in listed]
    return tuple(new[name] if name in new else known[name] for name in names)


def total(counts: Iterable[TypeCounts]) -> TypeCounts:
    """Return the sum of counts, which are left as they are."""
    whole = TypeCounts()
    for one in counts:
        whole = merge(whole, json.loads(json.dumps(one)))
    return whole
