"""Facts as lines of text: a heading of few letters, and what is found."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from .facts import Facts
from .rules import UNLIKE

#: Reach below which few rows of a pool are like the target's.
SUPPLY = 0.9
#: Letters of a heading, and of a line.
HEAD, WIDTH = 17, 110


def headed(head: str, text: str) -> list[str]:
    """Return a text as lines behind a heading, wrapped.

    Examples
    --------
    >>> headed("budget", "500 rows")
    ['budget            500 rows']
    """
    margin = " " * (HEAD + 1)
    return wrap(text, WIDTH, initial_indent=f"{head[:HEAD]:<{HEAD}} ", subsequent_indent=margin) or [head]


def of_pool(facts: Facts) -> Iterator[tuple[str, str]]:
    yield (
        "sample",
        f"{facts.sampled:,} of about {facts.eligible:,} eligible rows; {facts.documents:,} documents",
    )
    yield (
        "near-duplicates",
        (f"{_share(facts.near_95)} of the rows have another one above cosine .95, {_share(facts.near_90)} above .90"),
    )
    yield "budget", f"{facts.budget:,} rows, {100 * facts.share:.2g} % of the eligible"
    for target in facts.targets:
        if target.typical is not None and target.reach is not None:
            unlike = "unlike" if target.typical < UNLIKE else "like"
            holds = "holds rows like it" if target.reach >= SUPPLY else "holds few rows like it"
            yield (
                f"target {target.name}"[:17],
                (f"typical {target.typical:.2f}, reach {target.reach:.2f}: the pool is {unlike} it and {holds}"),
            )


def of_scores(facts: Facts) -> Iterator[tuple[str, str]]:
    told = {quality.name for quality in facts.qualities}
    for quality in facts.qualities:
        length = "" if quality.length is None else f"Spearman with length {quality.length:.2f}"
        lift = (
            f"CV {quality.cv:.2g} in clusters: linear weights lift its mean by {100 * (quality.lift or 0):.2g} %"
            if quality.cv is not None
            else "below 0 somewhere: no weights follow from it"
        )
        yield f"score {quality.name}"[:17], "; ".join(filter(None, [lift, length]))
    for name, rho in facts.lengths:
        if name not in told:
            yield f"score {name}"[:17], f"Spearman with length {rho:.2f}"
    if facts.loss:
        name, r2 = facts.loss
        yield f"loss {name}"[:17], f"R2 by cluster {r2:.2f}"


def _share(value: float) -> str:
    return f"{value:.2f}".lstrip("0") if value < 1 else "1.00"
