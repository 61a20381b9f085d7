"""The page as one file: no script, nothing that is fetched; a policy says so to the browser, too."""

from __future__ import annotations

from ..report_result import Report
from .answer import answer
from .content import Content
from .drawing import check_drawing
from .markup import escaped, name
from .sections import order
from .style import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: Report, content: Content) -> str:
    """Return the page of a report; the same report gives the same bytes.

    Raises
    ------
    PlatformError
        If matplotlib is not installed.
    """
    check_drawing()
    title = f"{name(report.recipe)}, version {report.selection_version}"
    said = f"run {escaped(report.run_id)}, committed {escaped(content.at)} UTC, lake {name(content.lake)}"
    return whole_page(title, said, answer(report, content), *order(report, content))


def whole_page(title: str, said: str, *parts: str) -> str:
    """Return a page of HTML: its title, a line on what it is of, and parts; all are HTML already."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>"
        f'<h1>{title}</h1><p class="soft">{said}</p>{"".join(parts)}</main></body></html>\n'
    )
