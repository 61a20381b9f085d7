"""Texts that mean something to somebody on their way: to SQL, Spark, YAML, terminals, files, people. No Spark here."""

from __future__ import annotations

import random
import re
from pathlib import Path

import lakesift

FRAGMENTS = (
    "'; DROP TABLE docs; --", "' OR '1'='1", '" OR ""="', "` || x || `", "x' UNION SELECT 1 --", "x\\", "x\\'",
    "\\u0041",
    "/*", "*/", "--", ";", "%s %d %n", "%(id)s", "{}", "{0}", "{id}", "${env:HOME}", "${spark.app.name}", "${x}",
    "$1", "#{1}",
    "NULL", "null", "true", "NaN", "nan", "None", "N", "<NA>", " ", "  x", "x  ", "x", "select", "from", "order by 1",
    "*",
    "1", "01", "1.0", "1e5", "-0", "0x1F", "2024-05-01", "~", "? x", "- x", "a: b", "a #b", "&a", "*a",
    "!!python/none", "%a",
    "../../etc/passwd", "a/b", "a%2Fb", "a%00b", "file:///x", "delta.`/x`", "a.b", "a..b", ".", "[1]", '{"a": 1}',
    'a,"b"',
    "<script>alert(1)</script>", "&lt;", "=1+1", "@x", "a|b", "a\tb", "a=b", "__HIVE_DEFAULT_PARTITION__", "_metadata",
    "pool", "selection", "random", "(null)", "id", "row_hash", "input text", "row hash",
)  # fmt: skip
#: Characters that act on terminals, on the order of text, or look like nothing, one in each name.
ACTING = [chr(c) for c in (*range(1, 32), 0x7F, 0x85, 0x9B, 0xAD, 0x61C, 0x180E)]
ACTING += [
    chr(c) for c in (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0xFFF9, 0xFFFA)
]
ODD = (
    "\x00", "a\x00b", "\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "a\r\nb", "a\nnote: forged", "\u202eevil\u202c",
    "e\u0301", "\u00e9",
    "\u0455elect", "\uff53\uff45\uff4c\uff45\uff43\uff54", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U000e0041",
    "\U0010ffff",
    "\uffff", "\ufffd", "\ud7ff", "\ue000", "\u0130", "i\u0307", "\u00df", "SS", "\u1e9e", "\u0661\u0662", "\u2f00",
    "\u3164",
    "x" * 10_000, "\u00e9" * 4_000, "\U0001f642" * 2_000, "'" * 300, "`" * 301, "\\" * 299, "(" * 200,
    "\u0645\u0631\u062d\u0628\u0627",
)  # fmt: skip


def names(count: int, salt: str) -> list[str]:
    """Return so many different texts: all of the above, then pairs of them; the same for the same salt."""
    draw = random.Random(salt)
    found = dict.fromkeys([*FRAGMENTS, *(f"a{c}b" for c in ACTING), *ODD])
    while len(found) < count:
        found[draw.choice(FRAGMENTS) + draw.choice([*ACTING, *ODD[:20]]) + draw.choice(FRAGMENTS)] = None
    return list(found)[:count]


def columns(count: int, salt: str) -> list[str]:
    """Return so many of the texts that may stand beside each other as columns: different, whatever the case."""
    found: dict[str, str] = {}
    for name in names(2 * count, salt):
        if len(name) < 1000:
            found.setdefault(name.lower().strip(), name)
    return [n for key, n in found.items() if key][:count]


def internal() -> list[str]:
    """Return every name that the code itself gives to a column on its way, read from the code."""
    root = Path(lakesift.__file__).parent
    sources = [p.read_text(encoding="utf-8") for room in ("jobs", "udfs") for p in sorted((root / room).rglob("*.py"))]
    named = (r'alias\(f?"', r"\bAS ", r'withColumn\("', r'withColumnRenamed\("\w+", "', r'Col\("')
    pattern = "|".join(rf"{before}([A-Za-z_]\w*)" for before in named)
    found = {name for text in sources for match in re.findall(pattern, text) for name in match if name.islower()}
    return sorted(
        {*found, *(f"{name}_0" for name in ("value", "rows", "seconds", "rank_s", "end")), "hash_text", "h", "s0", "c0"}
    )
