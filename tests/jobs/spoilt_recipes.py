"""Ways to spoil a valid recipe, each of which must be refused: by the recipe alone, or by the columns of its tables."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from lakesift.jobs.recipe.parse import KEYS
from lakesift.udfs.constraints import hints_of, refusal

from .made_recipes import made, scorers, selectors

Keys = dict[str, Any]
#: Blocks whose keys are fixed.
FIXED = ("", "documents", "budget", "select", "targets.goals")
#: Names of nothing, whatever is named; and of columns that fit next to nothing.
NOWHERE = (
    "nosuch",
    "",
    " ",
    "*",
    "a.b.c",
    "`",
    "`q",
    "odd.nosuch",
    "cells.cluster.x",
    "q; DROP TABLE docs",
    "${x}",
    "q --",
)
ODD = ("v", "pairs", "raw", "naive_", "odd", "id")
#: Conditions that are none.
NO_CONDITIONS = (
    "q >", "nosuch > 1", "sum(q) > 1", "q", "q > 1;", "explode(tags) = 'a'", "'open", "q > 1) OR (true",
    "q > 1 /* open",
    "row_number() OVER (ORDER BY q) = 1", "text = 1 2", "q > 1 AS x", "SELECT true", "vector IS NOT NULL AND nosuch",
    "1",
    "array(1)", "`open", "true, false", "q > 1\\", "*", "variant_get(v, 1, 2) = 3",
)  # fmt: skip
NUMBERS = (10**30, -(10**30), 2**63, float("nan"), float("inf"), "1e999x", "many", [1], {"a": 1}, -1.5)


@dataclass(frozen=True)
class Spoilt:
    """Keys of a recipe and settings on top of them; `how` says what is wrong, `early` if the recipe alone shows it."""

    keys: Keys
    how: str
    settings: tuple[str, ...] = ()
    early: bool = True


def _block(keys: Keys, path: str) -> Keys:
    for part in path.split(".") if path else ():
        keys = keys[part]
    return keys


def _settable(draw: random.Random, keys: Keys) -> tuple[str, Keys]:
    """Return the path of a block of fixed keys, and the block: of recipe, documents, a target, a score or selector."""
    path = draw.choice([*FIXED, *(f"scores.{n}" for n, b in keys["scores"].items() if isinstance(b, dict))])
    return path, _block(keys, path)


def misspelt_key(draw: random.Random, keys: Keys) -> Spoilt:
    """A letter of a key is lost, doubled or exchanged."""
    path, block = _settable(draw, keys)
    key = draw.choice(sorted(block))
    at = draw.randrange(len(key))
    allowed = {f.name for cls in (*scorers().values(), *selectors().values()) for f in fields(cls)} | {*KEYS, "kind"}
    allowed |= {"table", "id", "text", "prompt", "completion", "from", "where", "held_out", "rows", "tokens", "length"}
    letter = draw.choice("abcxyz_ÀM ")
    wrong = draw.choice(
        (key[:at] + key[at + 1 :], key[:at] + key[at] + key[at:], key[:at] + letter + key[at + 1 :], key.upper())
    )
    wrong = wrong if wrong not in allowed and wrong else f"{key}s_"
    block[wrong] = block.pop(key)
    return Spoilt(keys, f"{path}: {key} is written {wrong!r}")


def wrong_type(draw: random.Random, keys: Keys) -> Spoilt:
    """A parameter has a value that its annotation refuses."""
    blocks = [(f"scores.{n}", b, scorers()) for n, b in keys["scores"].items()] + [
        ("select", keys["select"], selectors())
    ]
    path, block, classes = draw.choice(blocks)
    cls: Any = classes[block["kind"]]
    field = draw.choice(fields(cls))
    values = [v for v in (*NUMBERS, True, "", None, 0, -1) if refusal(_tupled(v), hints_of(cls)[field.name], field)]
    numeric = refusal(1, hints_of(cls)[field.name], field) is not None
    values = [v for v in values if not (numeric and isinstance(v, int | float))]  # a number is text where that is meant
    value = draw.choice([*values, [["x"]]])
    block[field.name] = value
    return Spoilt(keys, f"{path}: {field.name} is {value!r}")


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def wrong_top(draw: random.Random, keys: Keys) -> Spoilt:
    """A block or value of the recipe itself is something else, or there is none."""
    cases: list[tuple[str, Any]] = [
        *((k, v) for k in ("documents", "select", "budget") for v in (None, "", [], 3, [{}], True, {})),
        *(("name", v) for v in ("", "Ä", "a b", "1x", "x" * 81, "a`b", "x;y", None, [], "select *", "A")),
        *(("seed", v) for v in (2**63, -(2**63) - 1, 1.5, "x", True, None, [1], float("nan"))),
        *(("keep_versions", v) for v in (0, -1, 36501, "x", 1.5, True)),
        *(("where", v) for v in (3, True, ["a"], {"a": 1})), *(("keep", v) for v in (3, "text", [3.5, {}], {"a": {}},
        [None])),
        *(("controls", v) for v in ("random", {"a": 1}, [3], ["nosuch"], [{}], [None], [{"kind": "top_k"}], ["top_k"])),
        *(("scores", v) for v in ([], "x", {"a": 3}, {"a": {}}, {"a": None}, {"a b": "length_bytes"},
        {"id": "length_bytes"})),
        *(("scores", v) for v in ({"Rank": "length_bytes"}, {"a": "length_bytes", "A": "length_tokens"},
        {"a`b": "zipfit"})),
        *(("targets", v) for v in (3, ["goals"], {"a b": {"table": "goals"}}, {"goals": {}},
        {"goals": {"tables": "goals"}})),
        *(("report", v) for v in (3, ["a"], {"share": []}, {"shares": 3.5}, {"shares": {"a": 1}}, {"shares": [None]})),
        *(("start", v) for v in (3, {}, {"selection": ""}, {"selection": "x", "version": -1}, {"selection": [1]})),
        *(("tune", v) for v in (3, {}, {"label": "m", "shares": []}, {"label": "m", "positions": 1}, {"labels": "m"})),
        *(("refine", v) for v in (3, {}, {"reward": "nosuch"}, {"reward": {"kind": "column"}}, {"rounds": 2})),
    ]  # fmt: skip
    key, value = draw.choice(cases)
    if key == "seed" and value is None:
        value = "null seed"
    keys[key] = value
    return Spoilt(keys, f"{key} is {value!r}")


def wrong_budget(draw: random.Random, keys: Keys) -> Spoilt:
    """Amounts that are none, two amounts, a length that counts nothing."""
    many: tuple[Keys, ...] = (
        *({"rows": v} for v in (0, -1, 1.5, True, "x", None, 2**63, float("inf"), [1])),
        *({"fraction": v} for v in (0, 1.0001, -0.1, True, "half", float("nan"), None)),
        *({"tokens": v, "length": "words"} for v in (0, -5, "x", None)),
        {"tokens": 5}, {"rows": 5, "length": "words"}, {"rows": 1, "fraction": 0.1}, {"row": 1}, {"rows": 1, "": 2},
        {"tokens": 5, "length": "nosuch"}, {"tokens": 5, "length": "entropy"}, {"rows": 2, "truncate_last": "perhaps"},
        {"tokens": 5, "length": "text"}, {"tokens": 5, "length": ["words"]},
    )  # fmt: skip
    keys["budget"] = draw.choice(many)
    return Spoilt(keys, f"budget is {keys['budget']!r}")


def wrong_reads(draw: random.Random, keys: Keys) -> Spoilt:
    """A score reads a score of another kind, nothing, itself, or scores read each other."""
    reads: tuple[Keys, ...] = (
        {"kind": "kmeans", "of": "words_"}, {"kind": "kmeans", "of": "mine"}, {"kind": "leverage", "of": "text"},
        {"kind": "zipfit", "target": "goal"}, {"kind": "dsir", "target": "documents"}, {"kind": "length_bytes",
        "of": "q"},
        {"kind": "information_entropy", "of": "mine"}, {"kind": "compression_ratio", "of": "nosuch"},
        {"kind": "length_tokens", "of": "answer"}, {"kind": "tags", "of": "text", "encoder": "hashed_ngrams"},
        {"kind": "semantic_entropy", "form": "centres"}, {"kind": "length_bytes", "where": "mine > 3"},
        {"kind": "length_bytes", "where": 5}, {"kind": "nosuch"}, {"kind": ["zipfit"]}, {"kins": "zipfit"},
        {"kind": None},
    )  # fmt: skip
    keys["scores"] = {**keys["scores"], "mine": draw.choice(reads)}
    if keys["scores"]["mine"].get("of") == "words_":
        keys["scores"]["words_"] = {"kind": "length_tokens"}
    return Spoilt(keys, f"scores.mine is {keys['scores']['mine']!r}")


def wrong_setting(draw: random.Random, keys: Keys) -> Spoilt:
    """`--set` of a key that is none, of a value that is none, or of nothing."""
    setting = draw.choice((
        "budget.rows", "budget.rowz=3", "=", "=3", "budget.rows=", "budget.rows=[", "where.x=3", "select.kind=nosuch",
        "seed=1e999", "seed=0x10", "name.x=3", "documents.table.x=1", "budget={rows: 1, rows: 2}", "scores.mine=3",
        "select=*x", "budget.rows=1:30", "report.shares.x=1", "..=3", "budget..rows=3", "controls.0=random",
        "documents.from.files=[]", "documents.from={files: [x], formats: csv}", "documents.from.sample=nosuch",
        "budget.rows=\x00", "select.=3", "targets.goals.table=", "keep={a: [b]}", "seed=!!python/name:os.system",
    ))  # fmt: skip
    return Spoilt(keys, f"--set {setting}", (setting,))


# -- what the columns of the tables show -------------------------------------------------------------------------------


def wrong_name(draw: random.Random, keys: Keys) -> Spoilt:
    """A name stands for no column and no score."""
    name = draw.choice(NOWHERE)
    places: list[tuple[str, Callable[[], Any]]] = [
        ("select", lambda: keys.update(select={"kind": "top_k", "by": name})),
        ("stratum", lambda: keys.update(select={"kind": "stratified", "column": name})),
        ("control", lambda: keys.update(controls=["random", {"kind": "top_k", "by": name}])),
        ("bounds", lambda: keys.update(select={"kind": "interval", "bounds": {name: [0, 1]}})),
        ("shares", lambda: keys.update(report={"shares": ["module", name]})),
        ("keep", lambda: keys.update(keep=["text", name])),
        ("names", lambda: keys["scores"].update(mine={"kind": "labels", "of": name, "encoder": "hashed_ngrams"})),
    ]
    place, change = draw.choice(places)
    change()
    keys["budget"] = {"rows": 5}
    return Spoilt(keys, f"{place} names {name!r}", early=False)


def wrong_column(draw: random.Random, keys: Keys) -> Spoilt:
    """A name stands for a column of a type that does not fit."""
    cases: tuple[tuple[str, Any], ...] = (
        *(("select", {"kind": "top_k", "by": n}) for n in ("text", "tags", "odd", "id", "emb", "day", "cells", "flag")),
        *(("select", {"kind": "stratified", "column": n}) for n in ("tags", "odd", "emb", "id")),
        *(("select", {"kind": "k_center", "vector": n}) for n in ("tags", "q", "odd", "text")),
        *(("select", {"kind": "kmeans_closest", "cluster": n}) for n in ("module", "odd", "vector", "q")),
        *(("select", {"kind": "mig", "labels": n}) for n in ("tags", "module", "cells")),
        *(("report", {"shares": [n]}) for n in ("tags", "odd", "emb", "odd.a", "words_", "vector")),
        *(("keep", v) for v in (["text", "TEXT"], {"rank": "q"}, {"a b": "q"}, {"x": "sum(q)"}, {"x": "NULL"},
        {"": "q"})),
        *(("keep", v) for v in ({"x": "INTERVAL 1 DAY"}, {"x": "q", "X": "q"}, {"id": "q"}, {"x": "q q"},
        {"x": "explode(tags)"})),
    )  # fmt: skip
    key, value = draw.choice(cases)
    keys[key] = value
    keys["budget"] = {"rows": 5}
    keys["scores"] |= {"cells": {"kind": "kmeans", "k": 2}, "vector": {"kind": "embedding", "encoder": "hashed_ngrams"}}
    return Spoilt(keys, f"{key} is {value!r}", early=False)


def wrong_sql(draw: random.Random, keys: Keys) -> Spoilt:
    """SQL that is none, or no condition, wherever SQL is taken."""
    sql = draw.choice(NO_CONDITIONS)
    places: list[tuple[str, Callable[[], Any]]] = [
        ("where", lambda: keys.update(where=sql)),
        ("a score's where", lambda: keys["scores"].update(mine={"kind": "length_bytes", "where": sql})),
        ("a target's where", lambda: keys["targets"]["goals"].update(where=sql)),
        ("held_out", lambda: keys["targets"]["goals"].update(held_out=sql)),
        ("fit_where", lambda: keys["scores"].update(mine={"kind": "leverage", "of": "vector_", "fit_where": sql})),
    ]
    place, change = draw.choice(places)
    change()
    keys["scores"]["vector_"] = {"kind": "embedding", "encoder": "hashed_ngrams"}
    return Spoilt(keys, f"{place} is {sql!r}", early=False)


def wrong_table(draw: random.Random, keys: Keys) -> Spoilt:
    """Tables that are not there, or are no tables; ids and texts that are none."""
    documents: tuple[Keys, ...] = (
        *({"table": t} for t in ("nosuch", "no.such", "a.b.c.d", "delta.`/nosuch`", "parquet.`/nosuch`", "docs; x",
        "`", "..")),
        *({"table": "docs", "id": sql} for sql in ("nosuch", "raw", "tags", "v", "odd", "NULL", "pairs", "count(*)",
        "id id")),
        *({"table": "docs", "text": sql} for sql in ("nosuch", "text text", "max(text)", "explode(tags)")),
        *({"table": "docs", "prompt": sql} for sql in ("nosuch", "text)", "(SELECT")),
    )  # fmt: skip
    keys["documents"] = {"prompt": "prompt", "completion": "completion", **draw.choice(documents)}
    return Spoilt(keys, f"documents is {keys['documents']!r}", early=False)


EARLY = (misspelt_key, wrong_type, wrong_top, wrong_budget, wrong_reads, wrong_setting)
LATE = (wrong_name, wrong_column, wrong_sql, wrong_table)


def spoilt(number: int) -> Spoilt:
    """Return a recipe that must be refused, the same for the same number."""
    draw = random.Random(f"spoilt {number}")
    return draw.choice((*EARLY, *LATE))(draw, copy.deepcopy(made(number)))
