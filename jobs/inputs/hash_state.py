"""What `hashes_<recipe>` says of its origin: whether it stands, can be carried on, and what its summary is."""

from __future__ import annotations

from typing import Any

from ..lake.changes import Unknown
from ..lake.commits import Commit, TableState
from ..lake.tables import Lake
from ..recipe import Recipe
from .documents import Documents
from .hash_summary import said_by
from .run import Summary


def made_from(documents: Documents, data_version: str | None = None) -> dict[str, Any]:
    """Return what hashes are made from, as their commit says it: which table, its data, and what is hashed of it."""
    state = documents.state
    return {"documents": [state.ref, data_version or state.data_version], "expressions": documents.expressions()}


def hashes_stand(lake: Lake, documents: Documents) -> bool:
    """Tell whether `hashes_<recipe>` is of these very documents; never of an input without versions."""
    return are_of(lake.last_write(f"hashes_{documents.recipe.name}"), documents)


def are_of(last: Commit | None, documents: Documents) -> bool:
    """Tell whether hashes whose newest write is given are of these very documents."""
    return documents.state.data_version is not None and last is not None and last.says(made_from(documents))


def known_summary(lake: Lake, recipe: Recipe, state: TableState) -> Summary | None:
    """Return the summary of the hashes at a state of their table where a commit carries it.

    Their own carries it if they went by change; else that of the scores which were published from them.
    """
    published = lake.last_write(f"scores_{recipe.name}")
    if said := said_by(state.last_write):
        return said
    return said_by(published) if published and published.says({"hashes_state": state.data_version}) else None


def by_change(documents: Documents, present: TableState) -> tuple[int, str]:
    """Return the version and data version of the documents that the hashes were made from, if they can be carried on.

    Raises
    ------
    Unknown
        If all documents have to be hashed; the text is why.
    """
    last, state = present.last_write, documents.state
    if state.version is None:
        raise Unknown("it has no versions")
    if last is None:
        raise Unknown("first run")
    if "documents_version" not in last.metadata:
        raise Unknown("somebody else wrote the hashes")
    (ref, data_version), since = last.metadata["documents"], last.metadata["documents_version"]
    if ref != state.ref or since is None:
        raise Unknown("the hashes are of another table")
    if not last.says({"expressions": documents.expressions()}):
        raise Unknown("other columns, or other expressions over them")
    if since > state.version:
        raise Unknown("the hashes are of a later version")
    return int(since), str(data_version)
