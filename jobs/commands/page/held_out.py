"""Held-out texts on a page: bits per byte of every set, and what the selection is worth in bytes of random rows."""

from __future__ import annotations

from ..report_result import Report
from .charts import LABEL_CHARS, Axes, legend
from .drawing import INK, chart, colours
from .markup import shortened


def bits(report: Report, target: str) -> str:
    """Return held-out bits per byte of every set, with the controls' intervals."""
    figures, halves = report.held_out_bits_per_byte[target]["bits"], report.plus_minus["bits"].get(target, {})
    sets = [name for name in report.sets if figures.get(name) is not None]
    colour = colours(report.sets)

    def draw(axes: Axes) -> None:
        for i, name in enumerate(sets[::-1]):
            bars = {"xerr": halves[name]} if halves.get(name) else {}
            axes.errorbar([figures[name]], [i], **bars, fmt="o", ms=6, lw=1.6, color=colour[name])
        axes.set_yticks(range(len(sets)), sets[::-1], parse_math=False)
        axes.margins(y=0.3)
        axes.set_xlabel("bits per byte: fewer are closer to the target")

    told = "A byte 5-gram model is fitted on each set at equal bytes. Bars hold 95 % of further draws of a control."
    title = f"Held-out texts of {shortened(target, LABEL_CHARS)}"
    return chart(draw, title, told, 0.9 + 0.32 * len(sets))


def worth(report: Report, target: str) -> str:
    """Return bits per byte of growing numbers of random rows, and where they reach those of the selection."""
    found = report.held_out_bits_per_byte[target]["worth"]
    colour = colours(report.sets)
    times, curve = zip(*found["curve"], strict=True)

    def draw(axes: Axes) -> None:
        axes.plot(times, curve, color=INK, marker="o", ms=4, lw=1.4, label="random rows")
        axes.axhline(found["bits"], color=colour["selection"], lw=1.4, label="the selection, once")
        axes.axvspan(found["low"], found["high"], color=colour["selection"], alpha=0.15, lw=0)
        axes.plot([found["times"]], [found["bits"]], "o", ms=7, color=colour["selection"])
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("bytes of random rows, in those of the selection")
        axes.set_ylabel("bits per byte")
        legend(axes)

    told = (
        f"{found['bytes']:,} bytes of the selection against the mean of ten orders of random rows. The shaded part "
        "holds 95 % of the answers of resampled rows and texts."
    )
    return chart(draw, f"What it is worth on {shortened(target, LABEL_CHARS)}", told)
