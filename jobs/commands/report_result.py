"""What `report` returns: numbers about a selection, its pool and its controls, and their text."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from ..lake.text_table import Rows, text_table

#: Distinct values of a shares column that are shown.
VALUES = 12
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Report:
    """A selection beside its pool and controls; `sets` names these, every mapping below has their names as keys.

    `shares` is by column and value; `quantiles` (of QUANTILES) and `rows` by set; `correlation_with_length` is
    Spearman's, in a sample of the pool; `undefined` is the share of the documents that has no value; scores of several
    values are `name.field`. `held_out_bits_per_byte` is by target; `notes` are the selection's; `rounds` are those of a
    refinement. Undefined is None.
    """

    recipe: str
    run_id: str | None
    selection_version: int | None
    counts: dict[str, Any]
    sets: tuple[str, ...]
    shares: dict[str, dict[str, dict[str, float]]]
    rows: dict[str, int]
    quantiles: dict[str, dict[str, list[float | None]]]
    correlation_with_length: dict[str, float | None]
    length: str
    pool_sample: int
    held_out_bits_per_byte: dict[str, dict[str, Any]]
    undefined: dict[str, float]
    hints: tuple[str, ...]
    notes: tuple[str, ...]
    rounds: Rows | None = None

    def __str__(self) -> str:
        """Return the report as text."""
        counts = self.counts
        parts = [
            f"report of {self.recipe}, selection version {self.selection_version}, run {self.run_id}",
            f"{counts.get('documents', 0):,} documents, {counts.get('ineligible', 0):,} ineligible, "
            f"{counts.get('unranked', 0):,} unranked, {counts.get('selected', 0):,} selected; "
            "one draw of each control",
            *(f"note: {note}" for note in self.notes),
        ]
        if self.rounds:
            parts += ["", "rounds of the refinement", str(self.rounds)]
        for column, shares in self.shares.items():
            values = sorted({v for s in shares.values() for v in s}, key=lambda v: (-shares["selection"].get(v, 0), v))
            rows = [(v, *(f"{shares.get(s, {}).get(v, 0):.3f}" for s in self.sets)) for v in values[:VALUES]]
            more = f" (first {VALUES} of {len(values)})" if len(values) > VALUES else ""
            parts += ["", f"share of rows by {column}{more}", text_table((column, *self.sets), rows)]
        for name, by_set in self.quantiles.items():
            lines = [(s, self.rows.get(s), *by_set.get(s, ())) for s in self.sets]
            parts += ["", f"{name}: quantiles", text_table(("set", "rows", *(f"{q:g}" for q in QUANTILES)), lines)]
        parts += ["", f"rank correlation (Spearman) with {self.length} in the pool, {self.pool_sample:,} rows"]
        lines = [
            (n, None if n == self.length else self.correlation_with_length[n], u) for n, u in self.undefined.items()
        ]
        parts.append(text_table(("score", "correlation", "share undefined"), lines))
        parts += [f"hint: {hint}" for hint in self.hints]
        for target, result in self.held_out_bits_per_byte.items():
            parts += [
                "",
                f"held-out bits per byte on {result['held_out_rows']:,} held-out rows of {target}, byte 5-gram model "
                f"fitted on {result['bytes']:,} bytes of each set (lower = closer)",
                text_table(("set", "bits per byte"), [(s, result["bits"].get(s)) for s in self.sets]),
            ]
        return "\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return dict(json.loads(json.dumps(asdict(self), allow_nan=False)))
