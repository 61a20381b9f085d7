"""export --model: the model that the newest round of a refinement trained, as a folder that transformers loads."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ...udfs.models.answer_folders import save_model
from ..lake.interrupts import temporary
from ..lake.tables import Lake
from ..recipe import Recipe
from ..scoring.models import arrays_of
from ..scoring.rounds import Refinement
from .refinement import rounds_of


@dataclass(frozen=True)
class ExportedModel:
    """What was written where."""

    recipe: str
    refinement: str
    round: int
    path: str

    def __str__(self) -> str:
        """Return one sentence."""
        return f"wrote the model that round {self.round} of {self.recipe} trained to {self.path}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def export_model(lake: Lake, recipe: Recipe, out: str) -> ExportedModel:
    """Write the base model with the layers that the newest round trained: config, weights and tokenizer.

    Raises
    ------
    InputError
        If the refinement trained no model, or `out` exists already.
    """
    place = Path(out).expanduser().absolute()
    if place.exists():
        raise InputError(f"{place} exists already; nothing is overwritten: remove it or give another folder")
    key, row = rounds_of(lake, recipe).refinement, None
    if lake.version("models") is not None:
        rows = lake.read("models").where(F.col("fit_key") == Refinement(recipe.name, key).model_key)
        row = rows.orderBy(F.desc("sequence")).first()
    if row is None:
        raise InputError(
            f"refinement {key} of {recipe.name} has trained no model; only reward language_model does, in a round that "
            "is done"
        )
    said = json.loads(row["params"])
    with temporary(place.parent / f".{uuid.uuid4().hex}") as made:  # what is stopped leaves no half of a model
        save_model(said["model"], arrays_of(row), made)
        made.rename(place)
    return ExportedModel(recipe.name, key, int(row["sequence"]), str(place))
