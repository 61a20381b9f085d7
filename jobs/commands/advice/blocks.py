"""The keys of a recipe that advice is about: scores that it lacks, and `select:`."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from ....udfs.scores.dsir import Dsir
from ....udfs.scores.embedding import Embedding
from ....udfs.scores.kmeans import KMeans
from ....udfs.scores.target_similarity import TargetSimilarity
from ....udfs.scores.zipfit import ZipFit
from ...recipe import Recipe
from ...recipe.keys import to_yaml
from .facts import Facts

#: Clusters of a pool for coverage, and rows of an evaluation subset for one cluster.
CELLS, SUBSET_ROWS = 50, 20


class Block(NamedTuple):
    """`scores` that are added under these names, where a recipe has none like them; `select` in their words."""

    scores: dict[str, dict[str, Any]]
    select: Any


def coverage(_: Facts, quality: str | None = None) -> Block:
    """Return SemDeDup at .9, then facility location; with a quality QDIT at .5."""
    last: dict[str, Any] = {"kind": "facility_location", "vector": "vector"}
    last |= {"quality": quality, "alpha": 0.5} if quality else {}
    first = {"kind": "semdedup", "cluster": "cells", "vector": "vector", "eps": 0.1}
    return Block({"vector": _vector(), "cells": _cells(CELLS)}, [first, last])


def subset(facts: Facts) -> Block:
    """Return an evaluation subset of at least 20 rows a cluster."""
    k = max(1, min(100, facts.budget // SUBSET_ROWS))
    select = {"kind": "kmeans_random", "cluster": "cells", "strata": True}
    return Block({"vector": _vector(), "cells": _cells(k)}, select)


def random_rows(_: Facts) -> Block:
    """Return random rows."""
    return Block({}, {"kind": "random"})


def zipfit(facts: Facts) -> Block:
    """Return the rows of highest alignment to the target."""
    return Block({"alignment": {"kind": "zipfit", "target": _target(facts), "level": 1}}, _top("alignment"))


def dsir(facts: Facts) -> Block:
    """Return the rows of highest importance weight per token."""
    return Block({"logw": {"kind": "dsir", "target": _target(facts), "per": "token"}}, _top("logw"))


def target_similarity(facts: Facts) -> Block:
    """Return the rows whose vectors are nearest to the target."""
    near = {"kind": "target_similarity", "of": "vector", "target": _target(facts)}
    return Block({"vector": _vector(), "near": near}, _top("near"))


def _target(facts: Facts) -> str:
    return facts.target.name if facts.target else ""


def _top(name: str) -> dict[str, Any]:
    return {"kind": "top_k", "by": name}


def _vector() -> dict[str, Any]:
    return {"kind": "embedding", "encoder": "wordllama"}


def _cells(k: int) -> dict[str, Any]:
    return {"kind": "kmeans", "of": "vector", "k": k}


def in_recipe(block: Block, recipe: Recipe) -> Block:
    """Return a block in the words of a recipe: with its own scores where it has such, no name of which is taken."""
    names: dict[str, str] = {}
    scores: dict[str, dict[str, Any]] = {}
    for name, keys in block.scores.items():
        keys = {k: names.get(v, v) if k == "of" else v for k, v in keys.items()}
        own = next((n for n, s in recipe.scores.items() if _is_such(s, keys) and n not in recipe.score_where), None)
        taken = {n.lower() for n in recipe.scores} | {n.lower() for n in names.values()}
        new = next(n for n in (name, *(f"{name}_{i}" for i in range(2, 99))) if n.lower() not in taken)
        names[name] = own or new
        if own is None:
            scores[new] = keys
    return Block(scores, _renamed(block.select, names))


def _is_such(score: Any, keys: Mapping[str, Any]) -> bool:
    """Tell whether a score of a recipe is what a block asks for."""
    if isinstance(score, Embedding):
        return keys["kind"] == score.kind and (score.encoder, score.width, score.of) == ("wordllama", 256, "text")
    if isinstance(score, KMeans):
        return keys["kind"] == score.kind and (score.of, score.k) == (keys["of"], keys["k"])
    if isinstance(score, ZipFit | Dsir | TargetSimilarity):
        of = {"target_similarity": keys.get("of")}.get(score.kind, "text")
        per = getattr(score, "per", None) == keys.get("per")
        return keys["kind"] == score.kind and (score.target, score.of) == (keys["target"], of) and per
    return False


def _renamed(select: Any, names: Mapping[str, str]) -> Any:
    if isinstance(select, list):
        return [_renamed(stage, names) for stage in select]
    named = ("cluster", "vector", "by")
    return {k: names.get(v, v) if k in named else v for k, v in select.items()}


def as_yaml(block: Block) -> str:
    """Return the keys of a block as YAML."""
    keys = {"scores": block.scores} if block.scores else {}
    return to_yaml({**keys, "select": block.select})


def with_block(raw: Mapping[str, Any], block: Block, name: str) -> dict[str, Any]:
    """Return the keys of a recipe of another name with a block in it, without `tune:` and `refine:`."""
    keys = {k: v for k, v in deepcopy(dict(raw)).items() if k not in ("tune", "refine")}
    return {**keys, "name": name, "scores": {**(keys.get("scores") or {}), **block.scores}, "select": block.select}
