"""Figures of the benches as SVG, the same bytes for the same numbers: means and intervals by group."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.bench.judging import Array, interval

#: Colours that differ in grey and for eyes that see no red or green (Okabe and Ito), and marks that differ as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKS = ("o", "s", "D", "^", "v", "P", "X")


def by_group(values: Mapping[str, Mapping[str, Array]], title: str, unit: str, path: Path) -> None:
    """Draw {group: {name: values}} as a mark at each mean with its 95 % t-interval, groups from left to right."""
    names = list(dict.fromkeys(name for of_group in values.values() for name in of_group))
    with mpl.rc_context({"svg.hashsalt": title, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color="#888888", linewidth=0.8)
        for i, name in enumerate(names):
            places = [j + (i - (len(names) - 1) / 2) * 0.8 / len(names) for j in range(len(values))]
            means, halves = zip(*(interval(of_group[name]) for of_group in values.values()), strict=True)
            look = {"fmt": MARKS[i], "color": COLOURS[i], "markersize": 4, "capsize": 2, "linewidth": 1}
            axes.errorbar(places, means, halves, label=name, **look)
        axes.set_xticks(range(len(values)), list(values))
        axes.set_ylabel(unit)
        axes.set_title(title, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right center", frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None}, facecolor="white")
    print(f"drawn in {path}")
