"""Made recipes over a small lake of odd rows: valid by construction, the same for the same number. No Spark here."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pyspark.sql import types as T

from lakesift.jobs.selectors import selectors as found_selectors
from lakesift.jobs.selectors.needs import Cluster, Fitted, Group, Need, Number, Vector, needs_with, renamed
from lakesift.udfs.constraints import Range, _options, _rules, hints_of, is_needed
from lakesift.udfs.discovery import scorers as found_scorers
from lakesift.udfs.errors import LakeSiftError
from lakesift.udfs.scorer import Estimator

#: Source columns of `docs`, by type; `tokens` is called like a score, `row_hash` like a column of the hashes.
COLUMNS: dict[str, T.DataType] = {
    "id": T.StringType(), "text": T.StringType(), "prompt": T.StringType(), "completion": T.StringType(),
    "module": T.StringType(), "row_hash": T.StringType(), "tokens": T.StringType(), "size": T.IntegerType(),
    "tiny": T.ByteType(), "big": T.LongType(), "q": T.DoubleType(), "price": T.DecimalType(9, 2),
    "meta.score": T.FloatType(), "day": T.DateType(), "at": T.TimestampType(), "naive": T.TimestampNTZType(),
    "flag": T.BooleanType(), "tags": T.ArrayType(T.StringType()), "emb": T.ArrayType(T.FloatType()),
    "pairs": T.MapType(T.StringType(), T.IntegerType()), "raw": T.BinaryType(), "v": T.VariantType(),
    "odd": T.StructType([T.StructField("a", T.IntegerType()), T.StructField("b", T.StringType())]),
}  # fmt: skip
#: Those of `plain`, all of which a selection may keep as they are.
PLAIN = ("id", "text", "prompt", "completion", "module", "row_hash", "size", "q", "day", "flag", "tags", "emb", "odd")
#: Scores that a recipe has where something names them.
SCORES: dict[str, Any] = {
    "vector": {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 16},
    "cells": {"kind": "kmeans", "k": 3},
    "alignment": {"kind": "zipfit", "target": "goals"},
    "entropy": {"kind": "information_entropy", "window": 4},
    "words": {"kind": "length_tokens"},
    "topics": {"kind": "labels", "of": "tags", "encoder": "hashed_ngrams", "least": 1},
}
#: What scores that are made beside these are of, by what they take.
TAKEN = {"text": ("text", "prompt", "completion"), "vector": ("vector",), "names": ("tags",)}
#: Kinds that need files of a model, which tests do not have.
OF_MODELS = ("generative_entropy", "sampled_entropy")
#: Parameters that stay as they are: they name files or devices, or the driver fills them.
LEFT = {"model", "engine", "device", "dtype", "library", "unicode", "identity", "tokenizer", "seed", "grid"}
#: Conditions over source columns, over scores, and over both; those of scores name what they need in words.
OF_COLUMNS = (
    "size > 3", "module <> 'm1'", "module IS NULL OR module = 'm2'", "q > 0", "NOT isnan(q) AND q < 1e6", "flag",
    "day >= DATE'2020-01-05' AND size BETWEEN 1 AND 30", "array_contains(tags, 'a')", "odd.b = 'x' OR odd.a > 5",
    "row_hash LIKE 'r%'", "text LIKE '%''%' OR length(text) > 2", "size % 2 = 0 -- even", "coalesce(q, 0) >= 0",
)  # fmt: skip
OF_ODD_COLUMNS = (
    "variant_get(v, '$.n', 'int') > 2", "v IS NOT NULL", "pairs['k'] > 1", "price > 1.5", "raw = X'00'",
    "`meta.score` > 0.1", "naive > TIMESTAMP_NTZ'2020-01-01 00:00:00'", "CAST(v:n AS INT) BETWEEN 1 AND 20",
)  # fmt: skip
OF_SCORES = {
    "entropy": "entropy > 0.5", "words": "words BETWEEN 1 AND 100000", "cells": "cells.cluster >= 0",
    "alignment": "alignment IS NOT NULL", "topics": "size(topics) > 0",
}  # fmt: skip
scorers, selectors = cache(found_scorers), cache(found_selectors)
SEEDS = (0, 1, 42, -1, 2**63 - 1, -(2**63))


def made(number: int) -> dict[str, Any]:
    """Return the keys of a valid recipe, the same for the same number."""
    draw = random.Random(f"recipe {number}")
    table = draw.choice(("docs", "docs", "plain", "global_temp.docs_view"))
    documents: dict[str, Any] = {"table": table, "prompt": "prompt", "completion": "completion"}
    documents |= draw.choice(({}, {}, {"id": "concat('x', id)"}, {"text": "concat_ws(' ', prompt, text)"}))
    columns = {n: t for n, t in COLUMNS.items() if table != "plain" or n in PLAIN}
    scores: dict[str, Any] = {}
    kinds = sorted(kind for kind, cls in selectors().items() if not cls.matches)  # type: ignore[attr-defined]
    select = selector(draw, draw.choice(kinds), columns, scores)
    raw: dict[str, Any] = {"name": f"made_{number % 3}", "documents": documents, "select": select}
    raw["targets"] = {"goals": {"table": "goals", **draw.choice(({}, {"where": "n > 0"}, {"held_out": "n = 0"}))}}
    raw["controls"] = [_control(draw, columns, scores) for _ in range(draw.randrange(3))]
    for i in range(draw.randrange(3)):
        scores[f"extra_{i}"] = score(draw, draw.choice(sorted({*scorers()} - {*OF_MODELS})), scores)
    raw["where"] = condition(draw, table, scores)
    for name in [n for n in scores if draw.random() < 0.15]:
        if not _reads(scores, name):
            scores[name] = {**scores[name], "where": draw.choice(OF_COLUMNS)}
    raw["budget"] = _budget(draw, select, scores)
    raw["scores"] = {name: scores[name] for name in draw.sample(sorted(scores), len(scores))}
    raw["keep"] = _keep(draw, table) or (["text"] if "id" in documents else None)  # the column id is not the id
    raw["report"] = {
        "shares": draw.sample(sorted(n for n, t in columns.items() if Group(n).accepts(t)), draw.randrange(3))
    }
    raw["seed"] = draw.choice(SEEDS)
    return {k: v for k, v in raw.items() if v or k not in ("controls", "where", "keep", "report")}


def _reads(scores: Mapping[str, Any], name: str) -> bool:
    """Return whether another score is computed from, or conditioned on, a score: it must have all its values then."""
    return any(
        name in map(str, block.values()) or name in block.get("where", "") for n, block in scores.items() if n != name
    )


def selector(
    draw: random.Random, kind: str, columns: Mapping[str, T.DataType], scores: dict[str, Any]
) -> dict[str, Any]:
    """Return the block of a selector with drawn parameters and names that fit; the scores that it names are added."""
    cls: Any = selectors()[kind]
    hints = hints_of(cls)
    given = {f.name: {f"a {f.name}": [None, None]} if "Mapping" in str(hints[f.name]) else f"a {f.name}"
             for f in fields(cls) if is_needed(f, hints[f.name])}  # fmt: skip
    instance = cls(**given)
    names = {}
    for field in fields(cls):
        name = f"a {field.name}"
        found = [n for n in needs_with(instance, field.name, given.get(field.name, name)) if n.name == name]
        if found and (field.name in given or draw.random() < 0.5 or field.default not in (None, "")):
            names[field.name] = found[0]
    for _ in range(30):
        block: dict[str, Any] = {"kind": kind}
        for field in fields(cls):
            if field.name in names:
                name = fitting(draw, names[field.name], columns)
                block[field.name] = (
                    renamed(given.get(field.name, name), f"a {field.name}", name) if field.name in given else name
                )
                if "bounds" in field.name:
                    block[field.name] = {name: draw.choice(([None, None], ["q0", "q0.9"], [0, None], ["q0.2", None]))}
            elif field.name not in LEFT and draw.random() < 0.4:
                value = drawn(draw, hints[field.name])
                if value is not MISSING:
                    block[field.name] = value
        try:
            cls(**{k: v for k, v in block.items() if k != "kind"})
        except LakeSiftError:  # a rule across fields: draw again
            continue
        for field_name in names:
            text = str(block[field_name])
            for score_name in SCORES:
                if score_name in text:
                    with_score(score_name, scores)
        return block
    raise AssertionError(f"no valid {kind} was drawn")


def fitting(draw: random.Random, need: Need, columns: Mapping[str, T.DataType]) -> str:
    """Return the name of a column, score or field that a need accepts."""
    if isinstance(need, Fitted):
        return {"zipfit": "alignment", "labels": "topics"}[need.kinds[0]]
    if isinstance(need, Cluster):
        return "cells"
    if isinstance(need, Vector):
        return draw.choice(("vector", "vector", "emb"))
    if isinstance(need, Group):
        return draw.choice(("module", "cells", "flag", "odd.b", "size", "row_hash"))
    assert isinstance(need, Number)
    odd = ("big", "tiny", "price", "`meta.score`") if "big" in columns else ()
    return draw.choice(("entropy", "alignment", "words", "cells.distance_sq", "size", "q", "odd.a", *odd))


def with_score(name: str, scores: dict[str, Any]) -> None:
    """Add a score, and what it is computed from."""
    scores[name] = dict(SCORES[name])
    if name == "cells":
        scores["vector"] = dict(SCORES["vector"])


def score(draw: random.Random, kind: str, scores: dict[str, Any]) -> dict[str, Any]:
    """Return the block of a score with drawn parameters; what it is computed from is added."""
    cls: Any = scorers()[kind]
    hints = hints_of(cls)
    for _ in range(30):
        block: dict[str, Any] = {f.name: "goals" for f in fields(cls) if is_needed(f, hints[f.name])}
        if "encoder" in hints:
            block["encoder"] = "hashed_ngrams"
        if "dimensions" in hints:  # tags compare names with vectors of the same length
            block["dimensions"] = 16
        for field in fields(cls):
            if field.name in LEFT or field.name in block or draw.random() > 0.4:
                continue
            if field.name == "fit_where":
                block[field.name] = draw.choice(OF_COLUMNS)
            elif field.name == "of":
                block["of"] = draw.choice(TAKEN[cls(**block).takes_of(field.default)])
            elif field.name in ("clusters", "vocabulary"):
                block[field.name] = {"clusters": "cells", "vocabulary": "goals"}[field.name]
            elif (value := drawn(draw, hints[field.name])) is not MISSING:
                block[field.name] = value
        block |= {"of": "tags"} if kind == "labels" else {}
        try:
            instance = cls(**block)
        except (LakeSiftError, TypeError):
            continue
        for read in instance.inputs:
            if read in SCORES:
                with_score(read, scores)
        assert not isinstance(instance, Estimator) or {*instance.fits_on} <= {"documents", "goals"}
        return {"kind": kind, **block}
    raise AssertionError(f"no valid {kind} was drawn")


def drawn(draw: random.Random, hint: Any) -> Any:
    """Return a value that an annotation allows, small if it is a number; MISSING where it is no choice or number."""
    option = draw.choice(_options(hint))
    if get_origin(option) is Literal:
        return draw.choice(get_args(option))
    if option is bool:
        return draw.random() < 0.5
    ranges = [rule for rule in _rules(option) if isinstance(rule, Range)]
    base = get_args(option)[0] if _rules(option) else option
    if not ranges or base not in (int, float):
        return MISSING
    low, high = max(ranges[0].low, -1), min(ranges[0].high, ranges[0].low + 8)
    values = [
        draw.randint(int(low), int(high)) if base is int else round(draw.uniform(low, high), 2) for _ in range(20)
    ]
    return next((value for value in values if value in ranges[0]), MISSING)


def condition(draw: random.Random, table: str, scores: Mapping[str, Any]) -> str:
    """Return a condition over columns and the scores that are there."""
    choices = [*OF_COLUMNS, *(OF_ODD_COLUMNS * 2 if table != "plain" else ())]
    choices += [sql for name, sql in OF_SCORES.items() if name in scores]
    parts = draw.sample(choices, draw.choice((0, 1, 1, 2, 3)))
    return "\nAND ".join(f"({part}\n)" if " OR " in part or "--" in part else part for part in parts)


def _control(draw: random.Random, columns: Mapping[str, T.DataType], scores: dict[str, Any]) -> Any:
    kind = draw.choice(("random", "length_matched", *sorted(selectors())))
    return kind if kind in ("random", "length_matched") else selector(draw, kind, columns, scores)


def _budget(draw: random.Random, select: Mapping[str, Any], scores: dict[str, Any]) -> dict[str, Any]:
    cls: Any = selectors()[select["kind"]]
    stable = cls(**{k: v for k, v in select.items() if k != "kind"}).prefix_stable
    kinds: list[dict[str, Any]] = [{"rows": 1}, {"rows": 7}, {"rows": 10**6}, {"fraction": 0.2}, {"fraction": 1.0}]
    budget = draw.choice([*kinds, *([{"tokens": draw.choice((2000, 10**9)), "length": "words"}] if stable else [])])
    if "tokens" in budget:
        with_score("words", scores)
        budget |= {"truncate_last": True} if draw.random() < 0.4 else {}
    return budget


def _keep(draw: random.Random, table: str) -> Any:
    odd = {
        "kept_price": "price + 1",
        "meta.score": "`meta.score`",
        "as_json": "to_json(v)",
        "s": "CAST(naive AS STRING)",
    }
    choices: list[Any] = [["text", "module"], ["row_hash"], {"row_hash": "concat(row_hash, '!')", "n": "size * 2"}]
    return draw.choice([*choices, None] if table == "plain" else [*choices, odd, ["raw", "pairs", "odd", "meta.score"]])
