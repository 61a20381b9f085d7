"""The charts of a page. Each returns HTML; names that come from data are never read as mathematics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....udfs.kernels.information_gain import knee
from ...lake.text_table import printable
from ..report_result import Report
from .content import Map, Numbers
from .drawing import HEIGHT, INK, chart, colours
from .markup import number, percent, shortened

#: matplotlib's axes: its types are stricter than its own documentation.
Axes = Any
BINS = 40
#: Characters of a name beside an axis, and values of a column whose shares are drawn.
LABEL_CHARS, VALUES = 26, 12
#: A ratio of shares that is drawn at least.
LEAST_RATIO = 1 / 32


def histogram(numbers: Numbers, sets: Sequence[str]) -> str:
    """Return the distribution of the score in pool, selection and controls, with the cut."""
    values = {name: np.array([y for _, y in numbers.points.get(name, ())]) for name in sets}
    values = {name: v for name, v in values.items() if v.size}
    edges = _edges(np.concatenate([*values.values()]))
    colour = colours(sets)

    def draw(axes: Axes) -> None:
        for name, v in values.items():
            weights, style = np.full(v.size, 100 / v.size), "stepfilled" if name == "pool" else "step"
            inside = np.clip(v, edges[0], edges[-1])
            axes.hist(inside, edges, weights=weights, histtype=style, color=colour[name], lw=1.4, label=name)
        if numbers.cut is not None:
            axes.axvline(numbers.cut, color=INK, lw=1, ls="--", label="cut")
        axes.set_ylabel("percent of the rows of each set")
        axes.set_xlabel(label(numbers.score), parse_math=False)
        axes.margins(y=0.02)
        legend(axes)

    cut = "" if numbers.cut is None else f"The cut is at {number(numbers.cut)}. "
    sizes = ", ".join(f"{v.size:,} of {name}" for name, v in values.items())
    return chart(draw, f"Distribution of {shortened(numbers.score, LABEL_CHARS)}", f"{cut}{numbers.use} Rows: {sizes}.")


def score_against_length(numbers: Numbers, sets: Sequence[str]) -> str:
    """Return a scatter of score against length."""
    colour, most = colours(sets), {"pool": 1200}

    def draw(axes: Axes) -> None:
        for name in ("pool", *(s for s in sets if s not in ("pool", "selection")), "selection"):
            if points := numbers.points.get(name, ())[: most.get(name, 400)]:
                _dots(axes, points, colour[name], name)
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel(label(numbers.length), parse_math=False)
        axes.set_ylabel(label(numbers.score), parse_math=False)
        if numbers.cut is not None:
            axes.axhline(numbers.cut, color=INK, lw=1, ls="--", label="cut")
        legend(axes)

    told = "A choice at one end of the length axis is a choice of lengths as well: compare it with length_matched."
    return chart(draw, f"{shortened(numbers.score, LABEL_CHARS)} against length", told)


def shown_values(shares: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the values with the largest shares of pool or selection, largest ratio of the two first.

    Examples
    --------
    >>> shown_values({"pool": {"a": 0.8, "b": 0.2}, "selection": {"a": 0.5, "b": 0.4, "c": 0.1}})
    ['c', 'b', 'a']
    """
    pool, own = shares.get("pool", {}), shares.get("selection", {})
    largest = sorted({*pool, *own}, key=lambda v: (-max(pool.get(v, 0.0), own.get(v, 0.0)), v))[:VALUES]
    return sorted(largest, key=lambda v: (-own.get(v, 0.0) / (pool.get(v) or 1e-12), v))


def ratios(report: Report, column: str) -> str:
    """Return shares of the selection and of controls as ratios to the pool, with the controls' intervals."""
    shares, halves = report.shares[column], report.plus_minus["shares"].get(column, {})
    values = [value for value in shown_values(shares) if value in shares["pool"]][::-1]
    colour, sets = colours(report.sets), [name for name in report.sets if name != "pool"]

    def draw(axes: Axes) -> None:
        places = np.arange(len(values))
        for i, name in enumerate(sets[::-1]):
            shift = (i - (len(sets) - 1) / 2) * 0.6 / max(1, len(sets))
            middle = [shares.get(name, {}).get(v, 0.0) / shares["pool"][v] for v in values]
            around = [(halves.get(name, {}).get(v) or 0.0) / shares["pool"][v] for v in values]
            at, half = np.maximum(middle, LEAST_RATIO), np.array(around)
            low = at - np.maximum(at - half, LEAST_RATIO)
            bars = {"xerr": [low, half]} if half.any() else {}
            mark = "o" if name == "selection" else "|"
            axes.errorbar(at, places + shift, **bars, fmt=mark, ms=6, lw=1.6, color=colour[name], label=name)
        _ratio_axis(axes, places, values)
        legend(axes, backwards=True)

    height = 1.2 + 0.36 * len(values)
    told = (
        "1 is the share in the pool. Bars hold 95 % of further draws of a control; a dot outside is more than chance."
    )
    return chart(draw, f"Share of rows by {shortened(column, LABEL_CHARS)}, as a ratio to the pool", told, height)


def _ratio_axis(axes: Axes, places: Any, values: Sequence[str]) -> None:
    axes.axvline(1, color=INK, lw=0.8)
    axes.set_xscale("log", base=2)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.45), max(high, 2.2))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if value >= 1 else f"1/{1 / value:g}")
    axes.xaxis.get_major_locator().set_params(numticks=7)
    axes.set_ylim(-0.7, len(values) - 0.3)
    axes.set_yticks(places, [label(v) for v in values], parse_math=False)


def pool_map(found: Map, sets: Sequence[str]) -> str:
    """Return the map of the pool with the selection and the first control."""
    colour = colours(sets)
    controls = [name for name in sets if name not in ("pool", "selection")][:1]

    def draw(axes: Axes) -> None:
        for name in ("pool", *controls, "selection"):
            if points := found.points.get(name, ()):
                _dots(axes, points, colour[name], name)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(False)
        axes.spines[:].set_visible(False)
        legend(axes)

    both = " and ".join(percent(share) for share in found.explained)
    told = f"The two directions in which {found.vector} varies most in the pool; they hold {both} of its variance."
    return chart(draw, "Map of the pool", told, HEIGHT + 0.5)


def cover(found: Map, sets: Sequence[str]) -> str:
    """Return how near the pool's rows are to what was taken, by how much was."""
    colour = colours(sets)

    def draw(axes: Axes) -> None:
        for name in (s for s in sets if s in found.cover):
            axes.plot(*np.array(found.cover[name]).T, color=colour[name], lw=1.6, label=name)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel("rows taken, in order of rank")
        axes.set_ylabel("mean cosine to the nearest one")
        axes.set_ylim(top=1)
        legend(axes)

    told = "How near the pool's rows are to the nearest row taken: higher covers the pool better. A sample of each set."
    return chart(draw, "Coverage of the pool", told)


def gain(points: Sequence[tuple[float, float]]) -> str:
    """Return the gain by rank, and the rank after which a row brings less than the mean of all."""
    ranks, gains = np.array(points).T
    bend = ranks[min(len(ranks), knee(np.cumsum(gains))) - 1]

    def draw(axes: Axes) -> None:
        axes.plot(ranks, gains, color=colours(())["selection"], lw=1.6)
        axes.axvline(bend, color=INK, lw=1, ls="--")
        axes.set_xlabel("rank")
        axes.set_ylabel("gain")

    told = (
        f"The value that each row was ranked by. After rank {bend:,.0f}, the dashed line, a row brings less than "
        "the mean of all that were chosen."
    )
    return chart(draw, "Gain by rank", told)


def _edges(values: Any) -> Any:
    """Return the ends of bins from the lowest value to the highest, far outliers put into the outer bins."""
    low, high = np.quantile(values, [0.002, 0.998])
    low, high = (low, high) if low < high else (values.min() - 0.5, values.max() + 0.5)
    whole = bool(np.all(values == np.round(values))) and high - low <= BINS
    return np.arange(low, high + 2) - 0.5 if whole else np.linspace(low, high, BINS + 1)


def _dots(axes: Axes, points: Sequence[tuple[float, float]], colour: str, name: str) -> None:
    faint = {"alpha": 0.45, "s": 7} if name == "pool" else {"alpha": 0.8, "s": 10}
    axes.scatter(*np.array(points).T, color=colour, lw=0, label=name, **faint)


def legend(axes: Axes, backwards: bool = False) -> None:
    """Put the names of sets above the drawing, over its whole width."""
    handles, names = axes.get_legend_handles_labels()
    if backwards:
        handles, names = handles[::-1], names[::-1]
    place = {"loc": "outside upper left", "ncols": 3 if len(names) > 4 else 4, "markerscale": 1.4}
    legend = axes.figure.legend(handles, names, handlelength=1.1, columnspacing=1.2, handletextpad=0.5, **place)
    for text in legend.get_texts():
        text.set_parse_math(False)


def label(text: str) -> str:
    """Return a text beside an axis: shortened, without characters that act on a display."""
    return shortened(printable(text), LABEL_CHARS)
