"""The charts of a comparison: overlaps beside chance, quartiles of scores, shares by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..comparison import Pair
from .charts import LABEL_CHARS, label
from .drawing import INK, chart, colours
from .markup import shortened

#: Scores that are drawn; the tables have all.
ALL_SCORES = 8


def overlaps(pairs: Sequence[Pair]) -> str:
    """Return the rows that each pair shares, over the interval of chance."""
    colour = colours(())

    def draw(axes: Any) -> None:
        for place, pair in enumerate(pairs[::-1]):
            axes.plot([pair.low, pair.high], [place, place], color=colour["pool"], lw=7, solid_capstyle="butt")
            axes.plot([pair.expected], [place], "|", color=INK, ms=9)
            axes.plot([pair.both], [place], "o", color=colour["selection"], ms=7)
        axes.set_yticks(range(len(pairs)), [label(f"{p.first}, {p.second}") for p in pairs[::-1]], parse_math=False)
        axes.set_ylim(-0.7, len(pairs) - 0.3)
        axes.set_xlabel("rows that both chose")
        axes.margins(x=0.06)

    told = "A dot is the rows that two selections share; the bar is what two random draws of their sizes share."
    return chart(draw, "Shared rows, beside chance", told, 1.0 + 0.3 * len(pairs))


def figures(score: str, by_set: Mapping[str, Sequence[float | None]]) -> str:
    """Return mean and quartiles of a score in every set."""
    known = {name: values for name, values in by_set.items() if None not in values}
    colour = _colours(known)

    def draw(axes: Any) -> None:
        for place, (name, values) in enumerate([*known.items()][::-1]):
            _, mean, low, middle, high = values
            drawn = {"lw": 2, "ls": (0, (1, 1))} if name.startswith("random of ") else {"lw": 4}
            axes.plot([low, high], [place, place], color=colour[name], solid_capstyle="butt", **drawn)
            axes.plot([middle], [place], "|", color=INK, ms=10)
            axes.plot([mean], [place], "o", color=colour[name], ms=6)
        axes.set_yticks(range(len(known)), [label(name) for name in [*known][::-1]], parse_math=False)
        axes.set_ylim(-0.7, len(known) - 0.3)
        axes.set_xlabel(label(score), parse_math=False)

    told = (
        "Bars reach from the lower to the upper quartile, with the median; the dot is the mean. Random ones are dotted."
    )
    return chart(draw, shortened(score, LABEL_CHARS), told, 0.9 + 0.3 * max(1, len(known)))


def parts(column: str, by_set: Mapping[str, Mapping[str, float]], values: Sequence[str]) -> str:
    """Return the share of each value in every set."""
    colour = _colours(by_set)

    def draw(axes: Any) -> None:
        places = np.arange(len(values))
        for name in by_set:
            at = [100 * by_set[name].get(value, 0.0) for value in values[::-1]]
            mark = "|" if name.startswith(("pool", "random of ")) else "o"
            axes.plot(at, places, mark, color=colour[name], ms=8 if mark == "|" else 6, label=name)
        axes.set_yticks(places, [label(value) for value in values[::-1]], parse_math=False)
        axes.set_ylim(-0.7, len(values) - 0.3)
        axes.set_xlabel("percent of the rows of each set")
        legend = axes.figure.legend(loc="outside upper left", ncols=2, handlelength=1.1)
        for text in legend.get_texts():
            text.set_parse_math(False)

    height = 1.1 + 0.27 * len(values) + 0.1 * len(by_set)
    return chart(draw, f"Share of rows by {shortened(column, LABEL_CHARS)}", "", height)


def _colours(sets: Mapping[str, object]) -> dict[str, str]:
    """Return a colour for each set: pools one, each selection its own, and that of a random control its selection's."""
    labels = [name for name in sets if "@" in name and not name.startswith(("pool", "random of "))]
    known = colours(("pool", "selection", *labels[1:]))
    own = {name: known["selection" if i == 0 else name] for i, name in enumerate(labels)}
    return {name: own.get(name.removeprefix("random of "), known["pool"]) for name in sets}
