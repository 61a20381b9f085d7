"""Names of columns, and texts, in SQL."""

from __future__ import annotations

import re


def quoted_name(name: str) -> str:
    """Return a column name in backticks, dots being part of it.

    Examples
    --------
    >>> quoted_name("my words"), quoted_name("a.b"), quoted_name("a`b")
    ('`my words`', '`a.b`', '`a``b`')
    """
    return f"`{name.replace('`', '``')}`"


def parts_of(path: str) -> list[str]:
    """Return the parts of column.field as a recipe names it; a part in backticks may hold dots.

    Examples
    --------
    >>> parts_of("cells.cluster"), parts_of("`meta.score`"), parts_of("`a``.b`.c d"), parts_of("a`b")
    (['cells', 'cluster'], ['meta.score'], ['a`.b', 'c d'], ['a`b'])
    """
    if not re.fullmatch(r"(?:`(?:[^`]|``)+`|[^`.]*)(?:\.(?:`(?:[^`]|``)+`|[^`.]*))*", path):
        return [path]
    found = re.findall(r"(?:^|\.)(?:`((?:[^`]|``)+)`|([^`.]*))", path)
    return [inside.replace("``", "`") or bare for inside, bare in found]


def root_of(path: str) -> str:
    """Return the score or column of column.field.

    Examples
    --------
    >>> root_of("cells.cluster"), root_of("`meta.score`.x")
    ('cells', 'meta.score')
    """
    return parts_of(path)[0]


def quoted(path: str) -> str:
    """Return SQL of a column or column.field, each part in backticks.

    Examples
    --------
    >>> quoted("my words"), quoted("cells.cluster"), quoted("`meta.score`")
    ('`my words`', '`cells`.`cluster`', '`meta.score`')
    """
    return ".".join(map(quoted_name, parts_of(path)))


def named_as(name: str) -> str:
    """Return how a recipe names a column: as it is, in backticks where a dot in it would mean a field.

    Examples
    --------
    >>> named_as("my words"), named_as("meta.score")
    ('my words', '`meta.score`')
    """
    return name if parts_of(name) == [name] else quoted_name(name)


def quoted_text(text: str) -> str:
    """Return a text as a literal of SQL.

    Examples
    --------
    >>> print(quoted_text("it's"), quoted_text("a" + chr(92)))
    'it\\'s' 'a\\\\'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
