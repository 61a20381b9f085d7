"""list: what a recipe may name: scores, selectors, rewards, and shipped recipes. Needs no Spark session."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from itertools import takewhile
from typing import Any

from ...udfs.constraints import allowed, hints_of, is_needed
from ...udfs.discovery import scorers
from ...udfs.scorer import DocumentEstimator, Estimator
from ..lake.text_table import Rows, rows_of
from ..recipe import shipped
from ..rewards import rewards
from ..selectors import selectors


def catalog(what: str) -> Rows:
    """Return a table of "scores", "selectors", "rewards" or "recipes".

    Examples
    --------
    >>> catalog("scores").columns
    ('kind', 'fitted on', 'value', 'parameters', 'meaning')
    """
    if what == "scores":
        known: dict[str, Any] = scorers()
        rows = [(k, _fitted_on(c), c.value, _parameters(c), c.comment) for k, c in known.items()]
        return rows_of(("kind", "fitted on", "value", "parameters", "meaning"), rows, whole=True)
    if what in ("selectors", "rewards"):
        classes, heading = (selectors(), "what it takes") if what == "selectors" else (rewards(), "what it is")
        kinds = [(k, _parameters(c), (c.__doc__ or "").strip().split("\n")[0]) for k, c in classes.items()]
        return rows_of(("kind", "parameters", heading), kinds, whole=True)
    texts = {name: file.read_text(encoding="utf-8") for name, file in shipped().items()}
    return rows_of(("recipe", "what it does"), [(name, _heading(text)) for name, text in texts.items()], whole=True)


def _fitted_on(cls: type) -> str:
    if not issubclass(cls, Estimator):
        return "nothing"
    learnt = ["documents"] if issubclass(cls, DocumentEstimator) else []
    return ", ".join(learnt + (["a target"] if "target" in {f.name for f in fields(cls)} else []))


def _parameters(cls: Any) -> str:
    """Return "k=100 (from 1, or auto), by (needed)" for a dataclass of parameters."""
    hints = hints_of(cls)
    return ", ".join(_parameter(f, hints[f.name]) for f in fields(cls))


def _parameter(field: Any, annotation: Any) -> str:
    words = allowed(annotation)
    if is_needed(field, annotation):
        return f"{field.name} (needed{f', {words}' if words else ''})"
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return f"{field.name}={default!r}{f' ({words})' if words else ''}"


def _heading(text: str) -> str:
    """Return the first sentence of the comment that a recipe opens with."""
    comment = takewhile(lambda line: line.startswith("#"), text.splitlines())
    heading = "\n".join(line.lstrip("# ").strip() for line in comment)
    return re.split(r"(?<=\.)\n", heading)[0].replace("\n", " ")
