"""The law of made sources: rows and rejected lines of a file are its records, and rows say what the records say."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from .oddities import Kind, MadeFile, Row, folder_columns

#: The files of each case by its number.
Cases = dict[int, list[MadeFile]]


def agrees(has: Any, said: Any) -> bool:
    """Tell whether a value of a table is that of the record: as JSON where the column is text, null if absent."""
    if isinstance(has, str) and not isinstance(said, str):
        return has == json.dumps(said, ensure_ascii=False)
    if isinstance(has, dict) and isinstance(said, dict):
        return set(said) <= set(has) and all(agrees(value, said.get(key)) for key, value in has.items())
    if isinstance(has, list) and isinstance(said, list):
        return len(has) == len(said) and all(map(agrees, has, said))
    if isinstance(has, float) and isinstance(said, float):
        return has == said or (math.isnan(has) and math.isnan(said)) or math.isclose(has, said, rel_tol=1e-7)
    return bool(has == said and isinstance(has, bool) == isinstance(said, bool))


def check_file(path: str, made: MadeFile, kind: Kind, rows: list[Row], rejected: list[Row]) -> None:
    """Rows and rejected lines of one file are its records, and rows say what the records say."""
    assert len(rows) + len(rejected) == len(made.records), (len(rows), len(rejected), len(made.records), rejected[:3])
    assert all(line["reason"] and line["raw"] is not None for line in rejected)
    good = {said_mark(record.said, kind): record for record in made.records if record.said is not None}
    given = folder_columns(made.name)
    for row in rows:
        record = good.pop(said_mark(row, kind))
        said = {**given, **(record.said or {})} | ({"path": path} if kind.form == "text" else {})
        wrong = [n for n, v in row.items() if n != "lakesift_file" and not agrees(v, said.get(n))]
        assert not wrong, [(n, row[n], said.get(n)) for n in wrong]
        assert set(said) <= set(row), set(said) - set(row)
    bad = Counter(shown(r.raw) for r in made.records if r.said is None and r.raw is not None)
    assert not bad - Counter(line["raw"] for line in rejected), (bad, rejected)
    # Records that say a row are rejected for the id they lack, or for a value of another type than most.
    for record in good.values():
        assert record.said is not None
        reasons = [line["reason"] for line in rejected if "most values are" in line["reason"]]
        assert (kind.id_sql and record.said.get(kind.id_column) is None) or reasons, record
    for row in rows:
        assert kind.id_sql is None or kind.form == "text" or row[kind.id_column] is not None
    assert len(good) <= sum("most values are" in r["reason"] or r["reason"] == "id is null" for r in rejected)


def said_mark(said: Row | None, kind: Kind) -> Any:
    """The value by which a row is found again."""
    name = "text" if kind.form == "text" else "column_1" if kind.header is False else "mark"
    return None if said is None else said.get(name)


def shown(raw: bytes | None) -> str:
    try:
        return (raw or b"").decode() or ""
    except UnicodeDecodeError:
        return base64.b64encode(raw or b"").decode()


def check(rows: list[Row], rejected: list[Row], lines: int, root: Path, cases: Cases, kind: Kind) -> None:
    records = sum(len(made.records) for files in cases.values() for made in files)
    for number, files in cases.items():
        for made in files:
            path = str(root / f"case-{number}" / made.name)
            mine = [r for r in rows if r["lakesift_file"] == path], [r for r in rejected if r["file"] == path]
            try:
                check_file(path, made, kind, *mine)
            except (AssertionError, KeyError) as error:
                raise AssertionError(f"case {number}, file {made.name!r}: {error!r}"[:3000]) from error
    assert len(rows) + len(rejected) == records == lines, (len(rows), len(rejected), records, lines)
