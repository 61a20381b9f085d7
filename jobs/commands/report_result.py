"""What `report` returns: numbers about a selection, its pool and its controls, and their text."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ...udfs.errors import InputError
from ..lake.text_table import Rows, text_table
from ..lake.whole_files import whole_file

if TYPE_CHECKING:
    from .page.content import Content

#: Distinct values of a shares column that are shown.
VALUES = 12
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Report:
    """A selection beside its pool and controls; `sets` names these, every mapping below has their names as keys.

    `draws` is how many draws of each control there are; a figure of a control is the mean over them. `shares` is by
    column and value; `quantiles` (of QUANTILES) and `rows` by set; `correlation_with_length` is Spearman's, in a sample
    of the pool; `undefined` is the share of the documents that has no value; scores of several values are `name.field`.
    `held_out_bits_per_byte` is by target, with the number of held-out texts that stand elsewhere, and what the
    selection is `worth` in bytes of random rows (kernels/bytes_worth.py). `plus_minus` has, for "shares", "quantiles"
    and "bits", half of the interval in which 95 % of further draws of a control lie. `notes` are
    the selection's; `rounds` are those of a refinement. Undefined is None, as is the interval of a single draw.
    `content` gathers what a page shows beside these numbers, from the lake; it is no part of the JSON.
    """

    recipe: str
    run_id: str | None
    selection_version: int | None
    counts: dict[str, Any]
    sets: tuple[str, ...]
    draws: dict[str, int]
    shares: dict[str, dict[str, dict[str, float]]]
    rows: dict[str, int]
    quantiles: dict[str, dict[str, list[float | None]]]
    correlation_with_length: dict[str, float | None]
    length: str
    pool_sample: int
    held_out_bits_per_byte: dict[str, dict[str, Any]]
    plus_minus: dict[str, dict[str, dict[str, Any]]]
    undefined: dict[str, float]
    hints: tuple[str, ...]
    notes: tuple[str, ...]
    rounds: Rows | None = None
    content: Callable[[], Content] | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        """Return the report as text."""
        counts = self.counts
        parts = [
            f"report of {self.recipe}, selection version {self.selection_version}, run {self.run_id}",
            f"{counts.get('documents', 0):,} documents, {counts.get('ineligible', 0):,} ineligible, "
            f"{counts.get('unranked', 0):,} unranked, {counts.get('selected', 0):,} selected",
            *self._said_of_draws(),
            *(f"note: {note}" for note in self.notes),
        ]
        if self.rounds:
            parts += ["", "rounds of the refinement", str(self.rounds)]
        parts += [*self._shares(), *self._quantiles()]
        parts += ["", f"rank correlation (Spearman) with {self.length} in the pool, {self.pool_sample:,} rows"]
        lines = [
            (n, None if n == self.length else self.correlation_with_length[n], u) for n, u in self.undefined.items()
        ]
        parts.append(text_table(("score", "correlation", "share undefined"), lines))
        parts += [f"hint: {hint}" for hint in self.hints]
        return "\n".join([*parts, *self._held_out()])

    def _said_of_draws(self) -> Iterator[str]:
        several = [f"{n} of {name}" for name, n in self.draws.items() if n > 1]
        single = [name for name, n in self.draws.items() if n == 1]
        if several:
            yield (
                f"draws of controls: {', '.join(several)}; mean +- half of the interval that holds 95 % of further "
                "draws, * where the selection lies outside of it"
            )
        if single:
            yield f"one draw, without an interval: {', '.join(single)}"

    def _shares(self) -> Iterator[str]:
        for column, shares in self.shares.items():
            halves = self.plus_minus["shares"][column]
            values = sorted({v for s in shares.values() for v in s}, key=lambda v: (-shares["selection"].get(v, 0), v))
            rows = []
            for value in values[:VALUES]:
                of_sets = {name: figures.get(value, 0.0) for name, figures in shares.items()}
                none = {name: None if n == 1 else 0.0 for name, n in self.draws.items()}
                around = {name: figures.get(value, none[name]) for name, figures in halves.items()}
                rows.append((value, *(_cell(name, of_sets, around, share=True) for name in self.sets)))
            more = f" (first {VALUES} of {len(values)})" if len(values) > VALUES else ""
            yield from ("", f"share of rows by {column}{more}", text_table((column, *self.sets), rows))

    def _quantiles(self) -> Iterator[str]:
        for score, by_set in self.quantiles.items():
            halves, places = self.plus_minus["quantiles"][score], range(len(QUANTILES))
            columns = [({s: v[i] for s, v in by_set.items()}, {s: v[i] for s, v in halves.items()}) for i in places]
            lines = [(s, self.rows.get(s), *(_cell(s, v, h) for v, h in columns)) for s in self.sets]
            yield from ("", f"{score}: quantiles", text_table(("set", "rows", *(f"{q:g}" for q in QUANTILES)), lines))

    def _held_out(self) -> Iterator[str]:
        for target, result in self.held_out_bits_per_byte.items():
            bits, halves = result["bits"], self.plus_minus["bits"][target]
            lines = [(s, bits.get(s), halves.get(s), side(s, bits, halves)) for s in self.sets]
            yield from (
                "",
                f"held-out bits per byte on {result['held_out_rows']:,} held-out rows of {target}, byte 5-gram model "
                f"fitted on {result['bytes']:,} bytes of each set (lower = closer)",
                text_table(("set", "bits per byte", "+-", "the selection is"), lines),
                f"the selection is {said_of_worth(result['worth'])}",
                f"{result['found_in_documents']:,} of {result['held_out_texts']:,} different held-out texts stand "
                f"among the documents, {result['found_in_selection']:,} in the selection; case, accents, signs and "
                "blanks make no difference",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        values = {name: value for name, value in asdict(self).items() if name != "content"}
        return dict(json.loads(json.dumps(values, allow_nan=False)))

    def to_html(self) -> str:
        """Return the report as one page of HTML that needs no network; rows and vectors are read from the lake for it.

        Raises
        ------
        PlatformError
            If matplotlib, which draws, is not installed.
        InputError
            If the report has no lake to read from, or files of the version are gone.
        """
        from .page.document import page  # it knows reports
        from .page.drawing import check_drawing

        check_drawing()
        if self.content is None:
            raise InputError(
                f"this report of {self.recipe} has no lake to read rows from; take the one that Lake.report returns"
            )
        return page(self, self.content())

    def save(self, path: str) -> None:
        """Write the page of `to_html` to a file; InputError if it cannot be written."""
        with whole_file(path, "the page") as put:
            put(self.to_html())

    def _repr_html_(self) -> str | None:
        """Return the page in a frame of its own for a notebook; None, for the text, where it cannot be drawn."""
        if self.content is None or find_spec("matplotlib") is None:
            return None
        frame = 'sandbox="" style="width:100%;height:900px;border:1px solid #8888"'
        return f'<iframe {frame} srcdoc="{html.escape(self.to_html(), quote=True)}"></iframe>'


def said_of_worth(found: Mapping[str, Any]) -> str:
    """Return in words what a selection is worth.

    Examples
    --------
    >>> said_of_worth({"times": 2.2, "low": 1.7, "high": 2.8, "bytes": 200000, "curve": [[0.25, 3], [4, 2]]})
    'worth 2.2 times its bytes of random rows [1.7, 2.8], read from 200,000 bytes'
    >>> said_of_worth({"times": 4.0, "low": 3.1, "high": 4.0, "bytes": 900, "curve": [[0.25, 3], [4, 2]]})
    'worth at least 4 times its bytes of random rows [3.1, more], read from 900 bytes'
    >>> said_of_worth({"why_not": "3 held-out texts are too few to tell, of 20 at least"})
    'what it is worth in random rows is not told: 3 held-out texts are too few to tell, of 20 at least'
    """
    if "why_not" in found:
        return f"what it is worth in random rows is not told: {found['why_not']}"
    least, most = found["curve"][0][0], found["curve"][-1][0]
    times = found["times"]
    at = "at least " if times == most else "at most " if times == least else ""
    low = "less" if found["low"] == least else f"{found['low']:.2g}"
    high = "more" if found["high"] == most else f"{found['high']:.2g}"
    read = f"read from {found['bytes']:,} bytes"
    return f"worth {at}{times:.2g} times its bytes of random rows [{low}, {high}], {read}"


def side(name: str, values: Mapping[str, float | None], halves: Mapping[str, float | None]) -> str | None:
    """Return on which side of the interval of a control's draws the selection lies, or inside; None without one."""
    mean, half, selection = values.get(name), halves.get(name), values.get("selection")
    if mean is None or half is None or selection is None:
        return None
    return "inside" if abs(selection - mean) <= half else "below" if selection < mean else "above"


def _cell(
    name: str, values: Mapping[str, float | None], halves: Mapping[str, float | None], share: bool = False
) -> str:
    """Return a figure of a set in words: of several draws with +-, and * if the selection lies outside.

    Examples
    --------
    >>> figures = {"selection": 0.9, "random": 0.5}
    >>> _cell("selection", figures, {}), _cell("random", figures, {"random": 0.123}, share=True)
    ('0.9', '0.500 +- 0.123*')
    """
    value, half = values.get(name), halves.get(name)
    if value is None:
        return ""
    shown = f"{value:.3f}" if share else f"{value:.6g}"
    if half is None:
        return shown
    around = f"{half:.3f}" if share else f"{float(f'{half:.2g}'):.6g}"
    return f"{shown} +- {around}{'*' if side(name, values, halves) in ('below', 'above') else ''}"
