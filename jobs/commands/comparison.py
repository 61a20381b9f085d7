"""What `compare` returns: selections side by side, their overlap beside chance; as text, JSON, and a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..lake.text_table import printable, text_table
from ..lake.whole_files import whole_file
from .page.content import Example

#: Values of a column whose shares are shown, rows of each selection, and characters of each text.
VALUES, ROWS, TEXT_CHARS = 12, 5, 60
#: Figures of a score, by set.
FIGURES = ("rows", "mean", "25 %", "median", "75 %")


@dataclass(frozen=True)
class Compared:
    """A selection that is compared: `rows` it has, `only_here` of them no other has, `could` might have been chosen.

    `label` is recipe@version, the version being that of its rows; `documents_version` is None without versions.
    `control` is the name of the set of its random control in the figures, "" where it has none.
    """

    label: str
    recipe: str
    version: int
    run_id: str
    chosen_by: str
    documents_version: int | None
    could: int
    rows: int
    only_here: int
    control: str


@dataclass(frozen=True)
class Pair:
    """The overlap of two selections, beside that of two random draws of their sizes.

    `choosable` rows could have been chosen by both. `expected` is the mean of the rows that two draws of as many of
    them share, `low` to `high` the interval with 95 % of the probability. `verdict` is "more than by chance", "as by
    chance" or "less than by chance".
    """

    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    choosable: int
    expected: float
    low: int
    high: int
    jaccard: float
    expected_jaccard: float

    @property
    def verdict(self) -> str:
        """Where the overlap lies."""
        side = "less than" if self.both < self.low else "more than" if self.both > self.high else "as"
        return f"{side} by chance"


@dataclass(frozen=True)
class Comparison:
    """Selections from one table of documents.

    Sets are the selections by label, "random of <label>" (the draw that the run kept), and "pool", or "pool of <label>"
    where the documents differ. `totals` has rows, copies and bytes of text of each, counting copies, and the tokens
    that recipes count; `scores` has FIGURES by score and set, `shares` the share of rows by column, set and value.
    `examples` are rows that a selection alone chose, by rank.
    """

    documents: str
    selections: tuple[Compared, ...]
    pairs: tuple[Pair, ...]
    totals: dict[str, dict[str, int | None]]
    scores: dict[str, dict[str, tuple[float | None, ...]]]
    shares: dict[str, dict[str, dict[str, float]]]
    examples: dict[str, tuple[Example, ...]]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """What is compared, in words."""
        labels = [one.label for one in self.selections]
        return f"{', '.join(labels[:-1])} and {labels[-1]}"

    def __str__(self) -> str:
        """Return the comparison as text."""
        parts = [f"comparison of {self.title}, chosen from {printable(self.documents)}"]
        parts += [f"note: {note}" for note in self.notes]
        parts += [*self._selections(), *self._pairs(), *self._scores(), *self._shares(), *self._examples()]
        return "\n".join(parts)

    def _selections(self) -> Iterator[str]:
        head, rows = self.totals_table()
        yield from ("", text_table(head, rows))

    def totals_table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return heading and lines of the rows and sizes of every set; copies where a row is there more than once."""
        by_label = {one.label: one for one in self.selections}
        copies = any(total["copies"] != total["rows"] for total in self.totals.values())
        sizes = [n for n in next(iter(self.totals.values())) if n != "rows" and (copies or n != "copies")]
        lines: list[tuple[Any, ...]] = []
        for name, total in self.totals.items():
            own = by_label.get(name)
            counts = (own.could, total["rows"], own.only_here) if own else (None, total["rows"], None)
            lines.append((name, *counts, *(total[size] for size in sizes)))
        return ("set", "from", "rows", "only here", *sizes), lines

    def _pairs(self) -> Iterator[str]:
        lines = [
            (f"{p.first} and {p.second}", p.both, round(p.expected, 1), f"{p.low:,} to {p.high:,}", p.verdict,
             round(p.jaccard, 4), round(p.expected_jaccard, 4))
            for p in self.pairs
        ]  # fmt: skip
        head = ("pair", "both", "by chance", "95 %", "the overlap is", "Jaccard", "by chance ")
        yield from ("", "rows that both chose, and that random draws of their sizes share", text_table(head, lines))

    def _scores(self) -> Iterator[str]:
        for score, by_set in self.scores.items():
            yield from ("", printable(score), text_table(("set", *FIGURES), [(s, *f) for s, f in by_set.items()]))

    def _shares(self) -> Iterator[str]:
        for column, by_set in self.shares.items():
            values, more = shown_shares(by_set, [one.label for one in self.selections])
            head = f"share of rows by {printable(column)}"
            lines = [(v, *(f"{by_set[s].get(v, 0.0):.3f}" for s in by_set)) for v in values]
            yield from ("", f"{head} ({more})" if more else head, text_table((column, *by_set), lines))

    def _examples(self) -> Iterator[str]:
        for one in self.selections:
            rows = self.examples.get(one.label, ())[:ROWS]
            if not one.only_here:
                yield from ("", f"no row was chosen by {one.label} alone")
                continue
            first = "" if one.only_here <= len(rows) else f"the first {len(rows)} of "
            yield from ("", f"rows that {one.label} alone chose ({first}{one.only_here:,})")
            lines = [(r.id, r.rank, None if r.text is None else " ".join(r.text.split())[:TEXT_CHARS]) for r in rows]
            yield text_table(("id", "rank", "text"), lines)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        pairs = [asdict(p) | {"verdict": p.verdict} for p in self.pairs]
        figures = {
            score: {s: dict(zip(FIGURES, values, strict=True)) for s, values in by_set.items()}
            for score, by_set in self.scores.items()
        }
        return asdict(self) | {"pairs": pairs, "scores": figures}

    def to_html(self) -> str:
        """Return the comparison as one page of HTML that needs no network; PlatformError without matplotlib."""
        from .page.compared import comparison_page  # it knows comparisons

        return comparison_page(self)

    def save(self, path: str) -> None:
        """Write the page of `to_html` to a file; InputError if it cannot be written."""
        with whole_file(path, "the page") as put:
            put(self.to_html())


def shown_shares(by_set: Mapping[str, Mapping[str, float]], labels: Sequence[str]) -> tuple[list[str], str]:
    """Return the values of a column that are shown, and a word on how many these are: those that differ most first.

    Examples
    --------
    >>> shown_shares({"a@1": {"x": 0.9, "y": 0.1}, "b@1": {"x": 0.4, "y": 0.2, "z": 0.4}}, ["a@1", "b@1"])
    (['x', 'z', 'y'], '')
    """
    every = {value for figures in by_set.values() for value in figures}

    def difference(value: str) -> float:
        own = [by_set[name].get(value, 0.0) for name in labels if name in by_set]
        return max(own) - min(own) if own else 0.0

    largest = sorted(every, key=lambda v: (-max(figures.get(v, 0.0) for figures in by_set.values()), v))[:VALUES]
    shown = sorted(largest, key=lambda v: (-difference(v), v))
    return shown, f"the {len(shown)} largest of {len(every):,}" if len(every) > len(shown) else ""
