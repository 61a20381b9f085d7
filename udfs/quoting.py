"""Names of columns in SQL."""

from __future__ import annotations


def quoted_name(name: str) -> str:
    """Return a column name in backticks, dots being part of it.

    Examples
    --------
    >>> quoted_name("my words"), quoted_name("a.b"), quoted_name("a`b")
    ('`my words`', '`a.b`', '`a``b`')
    """
    return f"`{name.replace('`', '``')}`"


def quoted(path: str) -> str:
    """Return SQL of a column or column.field, each part in backticks.

    Examples
    --------
    >>> quoted("my words"), quoted("cells.cluster")
    ('`my words`', '`cells`.`cluster`')
    """
    return ".".join(map(quoted_name, path.split(".")))
