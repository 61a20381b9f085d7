"""`scores_<recipe>`: what its commit says of its origin, and whether it, and `memos` below it, are still current."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..lake.schemas import MEMOS
from ..lake.tables import Lake
from ..recipe import Recipe


def origin(lake: Lake, recipe: Recipe, rows: str, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """Return what decides the content of `scores_<recipe>`, as its commit says it.

    Parameters
    ----------
    rows : str
        Digest of everything that the recipe uses of the documents.
    fingerprints : mapping
        Of all scores, by name.
    """
    on_demand = recipe.on_demand_only()
    kept = {n: f for n, f in fingerprints.items() if n not in on_demand}
    return {**documents_origin(lake, recipe, rows), "fingerprints": kept}


def documents_origin(lake: Lake, recipe: Recipe, rows: str) -> dict[str, Any]:
    """Return the part of the origin that is the documents'."""
    last, where = lake.last_write(f"hashes_{recipe.name}"), recipe.score_where
    hashed = [last.metadata.get("documents"), last.metadata.get("expressions")] if last else []  # from what, not when
    # Conditions may read columns that no score reads.
    return {"hashes": hashed, "where": where, "rows": rows if where else ""}


def scores_stand(lake: Lake, recipe: Recipe, wanted: Mapping[str, Any]) -> bool:
    """Tell whether `scores_<recipe>` holds what it would be made of now."""
    last = lake.last_write(f"scores_{recipe.name}")
    return last is not None and last.says(wanted)


def current_scores(
    lake: Lake, recipe: Recipe, documents: Mapping[str, Any], fingerprints: Mapping[str, str]
) -> set[str]:
    """Return the names of scores of which nothing is missing, known without a scan.

    Nothing was missing when they were published; since then neither the documents nor their rows in `memos` changed.
    """
    last = lake.last_write(f"scores_{recipe.name}")
    return settled_scores(lake, recipe, fingerprints) if last and last.says(documents) else set()


def settled_scores(lake: Lake, recipe: Recipe, fingerprints: Mapping[str, str]) -> set[str]:
    """Return the names of scores of which nothing is missing but for documents that changed since they were published.

    Nothing was missing then; since then their rows in `memos` did not change.
    """
    last = lake.last_write(f"scores_{recipe.name}")
    if last is None:
        return set()
    known, versions = last.metadata.get("fingerprints", {}), last.metadata.get("memos", {})
    same = {name: f for name, f in fingerprints.items() if known.get(name) == f}
    now = lake.data_versions(MEMOS, same.values())
    return {name for name, f in same.items() if now[f] is not None and versions.get(f) == now[f]}
