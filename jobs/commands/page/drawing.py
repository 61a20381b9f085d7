"""Charts as SVG inside of a page: drawn by matplotlib, coloured by the page's style so that both themes show them.

Text stays text, and takes the page's font. The same numbers give the same bytes. Left out: any element that names
another place (metadata, namespaces), and identifiers that nothing refers to.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from ....udfs.errors import PlatformError
from ...lake.text_table import printable
from .markup import escaped
from .style import CONTROLS

#: Width and height of a chart in inches of 72 units: as wide as a phone shows without making text smaller.
WIDTH, HEIGHT = 4.6, 3.1
#: Colours that stand in the drawing for those of the style; no drawing uses them otherwise.
INK, GRID = "#010101", "#010102"
_VARIABLES = {INK: "currentColor", GRID: "var(--line)"}
_SETS = {name: f"#01020{i}" for i, name in enumerate(("pool", "selection", *CONTROLS))}
_VARIABLES |= {colour: f"var(--{name})" for name, colour in _SETS.items()}
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none", "font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False,
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.linewidth": 0.6, "legend.frameon": False, "grid.color": GRID, "grid.linewidth": 0.6, "axes.grid": True,
    "axes.axisbelow": True, "path.simplify": False,
}  # fmt: skip


def check_drawing() -> None:
    """Raise PlatformError where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise PlatformError(
            "the page of a report is drawn by matplotlib, which is not installed; do this: pip install 'lakesift[html]'"
        )


def colours(sets: Sequence[str]) -> dict[str, str]:
    """Return the colour of each set of a report in a drawing; controls take theirs in order."""
    controls = [name for name in sets if name not in ("pool", "selection")]
    own = {name: _SETS[CONTROLS[i % len(CONTROLS)]] for i, name in enumerate(controls)}
    return {"pool": _SETS["pool"], "selection": _SETS["selection"], **own}


def chart(draw: Callable[[Any], None], title: str, caption: str = "", height: float = HEIGHT) -> str:
    """Return a figure of HTML with a chart, a title and a caption.

    Parameters
    ----------
    draw : callable
        Draws on the axes that it is given; texts from data with `parse_math=False`.
    """
    said = f"<figcaption>{escaped(caption)}</figcaption>" if caption else ""
    return f"<figure><h3>{escaped(title)}</h3>{_svg(draw, title, height)}{said}</figure>"


def _svg(draw: Callable[[Any], None], title: str, height: float) -> str:
    import matplotlib.style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    file = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks: the reader's has them
        matplotlib.style.use("default")
        settings: Any = {**_SETTINGS, "svg.hashsalt": f"of {printable(title)}"}  # "none" would be none
        matplotlib.rcParams.update(settings)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _inlined(file.getvalue(), title)


def _inlined(drawn: str, title: str) -> str:
    """Return a drawing as an element of a page."""
    text = drawn[drawn.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", text, flags=re.S)
    box = re.search(r'viewBox="([^"]*)"', text)
    head = f'<svg viewBox="{box[1] if box else ""}" role="img" aria-label="{escaped(title)}">'
    text = re.sub(r"^<svg[^>]*>", lambda _: head, text).replace("xlink:href=", "href=")
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", text)
    text = re.sub(r"font-family: [^;\"]*;? ?|font: ([\d.]+px) [^;\"]*", _size, text)
    text = re.sub(r'(?<= )(x|y|d|transform|points)="([^"]*)"', _rounded, text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return re.sub(r"\s*\n\s*", "\n", text)


def _size(match: re.Match[str]) -> str:
    return f"font-size: {match[1]}" if match[1] else ""


def _rounded(match: re.Match[str]) -> str:
    """Return coordinates with two decimals."""
    return f'{match[1]}="{re.sub(r"[0-9]+[.][0-9]{3,}", lambda n: f"{float(n[0]):.2f}", match[2])}"'
