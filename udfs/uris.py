"""The one rule for what is a URI: for lakes, recipes, source files and exports."""

from __future__ import annotations

import re


def is_uri(place: str) -> bool:
    """Tell whether a place is a URI (scheme, colon, slash); else it is a path or a name.

    Examples
    --------
    >>> [is_uri(p) for p in ("s3://bucket/lake", "dbfs:/lake", "file:/tmp/lake")]
    [True, True, True]
    >>> [is_uri(p) for p in ("./lake", "/data/a:b", "main.selection", "c:/lake")]
    [False, False, False, False]
    """
    return re.match(r"[a-z][a-z0-9+.-]+:/", place) is not None  # one letter is a drive of Windows


def globbed(path: str) -> str:
    """Return a path that Spark, which takes every path as a pattern, reads as itself.

    Examples
    --------
    >>> globbed("a[1].csv")
    'a\\\\[1\\\\].csv'
    """
    return re.sub(r"([\\\[\]{}*?])", r"\\\1", path)


def local_path(place: str) -> str:
    """Return a URI of this machine's file system as the path it names, any other place as it is.

    Hadoop takes what follows the scheme as it stands: no character is decoded.

    Examples
    --------
    >>> [local_path(p) for p in ("file:/tmp/a b", "file:///tmp/lake", "file://localhost/a", "s3://bucket/lake")]
    ['/tmp/a b', '/tmp/lake', '/a', 's3://bucket/lake']
    """
    return re.sub(r"^file:(//(localhost)?)?/+", "/", place)
