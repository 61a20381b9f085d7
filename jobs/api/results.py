"""What a run returns: the frames it wrote, at their versions, and its account of itself."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .jobs.commands.refinement import Rounds
from .jobs.commands.report_result import Report
from .jobs.lake.manifest import Manifest
from .jobs.lake.text_table import Rows
from .jobs.recipe import Recipe
from .udfs.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from .lake import Lake


@dataclass(frozen=True)
class Result:
    """One run of a recipe; `until` is its last step. Shown as the closing table."""

    lake: Lake
    recipe: Recipe
    manifest: Manifest
    until: str

    @property
    def run_id(self) -> str:
        """Hash of recipe, inputs, fingerprints and seed: the same again for the same answer."""
        return self.manifest.run_id

    @property
    def noop(self) -> bool:
        """Whether nothing had changed since the newest run, so that nothing was read or written."""
        return self.manifest.noop

    @property
    def rows(self) -> int:
        """Rows selected."""
        return self.manifest.rows

    @property
    def steps(self) -> Rows:
        """The steps with rows, computed, undefined, seconds and outcome."""
        return self.manifest.table()

    @property
    def notes(self) -> list[str]:
        """What the run has to say beside numbers."""
        return list(self.manifest.notes)

    @property
    def selection(self) -> DataFrame:
        """The chosen rows, with their scores and kept columns."""
        return self._table("select", f"selection_{self.recipe.name}")

    @property
    def scores(self) -> DataFrame:
        """One row per document, one column per score."""
        return self._table("publish", f"scores_{self.recipe.name}")

    @property
    def controls(self) -> DataFrame:
        """What each control would have chosen: control, id, rank."""
        return self._table("controls", f"controls_{self.recipe.name}")

    def report(self) -> Report:
        """Compare the selection that this run made, or found, with its pool and its controls."""
        return self.lake.report(self.recipe, self.manifest.selection_version)

    def _table(self, step: str, name: str) -> DataFrame:
        version = next((s.version for s in self.manifest.steps if s.step == step), None)
        if version is None:
            raise InputError(f"this run, until {self.until}, has no {name}; run on, or name controls: in the recipe")
        return self.lake.read(name, version)

    def __str__(self) -> str:
        """Return the closing table, the notes, and where the result lies."""
        return "\n".join([str(self.steps), *(f"note: {n}" for n in self.notes), *self._last_line()])

    def _last_line(self) -> list[str]:
        if self.until != "select":
            return []
        manifest, state = self.manifest, "nothing has changed since" if self.noop else "run"
        rows = f"{manifest.rows:,} rows in selection_{self.recipe.name}, version {manifest.selection_version}"
        return [f"{state} {manifest.run_id}: {rows}"]

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{html.escape(n)}</p>" for n in [*self.notes, *self._last_line()])
        return f"{self.steps._repr_html_()}{notes}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: the manifest, as the table `runs` keeps it."""
        return dict(json.loads(self.manifest.to_json()))


@dataclass(frozen=True)
class Refined:
    """What one call of refine did (`result`), and the refinement as it stands (`rounds`)."""

    result: Result
    rounds: Rounds

    @property
    def selection(self) -> DataFrame:
        """The rows chosen so far, with their round."""
        result = self.result
        return result.lake.read(f"selection_{result.recipe.name}", self.rounds.selection_version)

    @property
    def finished(self) -> bool:
        """Whether all rounds are done."""
        return self.rounds.finished

    def __str__(self) -> str:
        """Return the closing table of what was done, and the rounds."""
        begun = ["nothing has changed since"] if self.result.noop else []
        return "\n".join([str(self.result), "", *begun, str(self.rounds)])

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"run": self.result.to_dict(), "rounds": self.rounds.to_dict()}
