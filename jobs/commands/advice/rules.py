"""The rules of advise as one table: each has its condition, what it advises, and the measurement that it stands on.

The first rule of CHOICES that holds is the advice; all of AGAINST that hold are said beside it. A figure is in bits
per byte of held-out text against random rows at equal bytes, negative where better, unless it says otherwise. A rule
without a measurement has no place here, and "random is as good" is a rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from . import calibration
from .blocks import Block, coverage, dsir, random_rows, subset
from .calibration import Figure, figure_of
from .facts import Facts

#: Rows of a budget below which no method was better than random, and below which noise decides.
FEWEST, FEW = 20, 50
#: A pool is unlike its target below this, and the target's own kind from this on.
UNLIKE, ALIKE = 0.65, 0.9
#: Share of near-duplicates below which a pool has few; those measured that were of the target's kind had 0 to .12.
FEW_NEAR = 0.15


@dataclass(frozen=True)
class Choice:
    """One rule: `when` it holds, the `block` of the recipe, `why` in words, and what to `expect`."""

    name: str
    when: Callable[[Facts], bool]
    block: Callable[[Facts], Block]
    why: str
    expect: Callable[[Facts], Figure | str]


@dataclass(frozen=True)
class Against:
    """What not to use here: `when` that is to be said, and the measurement."""

    name: str
    when: Callable[[Facts], bool]
    said: Callable[[Facts], str]
    command: str


def _calibrated(facts: Facts) -> Figure:
    return figure_of(calibration.band_of(facts.near_95, facts.budget), calibration.COMMAND)


def _no_gain(facts: Facts) -> bool:
    """Tell whether coverage was not certainly better than random on such pools."""
    return facts.budget < FEWEST or not _calibrated(facts).certain


def _rows_saved(facts: Facts) -> str:
    command = "python -m tests.bench subset"
    if facts.loss is None:
        return f"1.3 to 14 times fewer rows than uniform draws for the same error, by the value's R2 ({command})"
    name, r2 = facts.loss
    return (
        f"{1 / max(1 - r2, 0.01):.1f} times fewer rows than uniform draws for the mean of {name}, 1 / (1 - R2); five "
        f"values measured gave 1.3 to 14 ({command})"
    )


def _typical(facts: Facts) -> float:
    return facts.target.typical or 0.0 if facts.target else math.inf


def _apart(facts: Facts) -> bool:
    return _typical(facts) < UNLIKE


def _towards(facts: Facts) -> Figure:
    return figure_of(calibration.target_band_of(_typical(facts), facts.share), calibration.TARGET_COMMAND)


def _wanted(facts: Facts) -> bool:
    """Tell whether a target is given, and choosing by it was certainly better on pools that are as like theirs."""
    return facts.target is not None and _towards(facts).certain


def _own_kind(facts: Facts) -> Figure:
    band = calibration.target_band_of(_typical(facts), facts.share, calibration.KIND_BANDS)
    return figure_of(band, calibration.TARGET_COMMAND)


def _of_own_kind(facts: Facts) -> bool:
    """Tell whether the pool is of the target's kind with few copies, where nothing was certainly better."""
    alike = ALIKE <= _typical(facts) < math.inf
    return alike and facts.near_95 < FEW_NEAR and not _own_kind(facts).certain


CHOICES: tuple[Choice, ...] = (
    Choice(
        "estimate",
        lambda f: f.estimates,
        subset,
        "the recipe draws rows to estimate something of all: quotas by cluster are unbiased, need no loss beforehand, "
        "and had a smaller error than sensitivity sampling on all five values measured",
        _rows_saved,
    ),
    Choice(
        "fewer than 20 rows",
        lambda f: f.budget < FEWEST and not (f.target and _apart(f)),
        random_rows,
        "of so few rows no method was better than random",
        _calibrated,
    ),
    Choice(
        "a target",
        _wanted,
        dsir,
        "rows whose words are likelier in the target than in the pool, per token: of the methods for targets the one "
        "that was least often worse than random; --measure finds out whether another suits yours better",
        _towards,
    ),
    Choice(
        "a pool of the target's kind",
        _of_own_kind,
        random_rows,
        "the pool is as like the target as the target's own texts are to each other, and has few copies: neither "
        "choosing by the target nor coverage was certainly better than random there; --measure finds out what is",
        _own_kind,
    ),
    Choice(
        "random is as good",
        _no_gain,
        random_rows,
        "on such pools coverage was not certainly better than random",
        _calibrated,
    ),
    Choice(
        "coverage by quality",
        lambda f: f.judge is not None,
        lambda f: coverage(f, f.judge.name if f.judge else None),
        "no target says what is wanted, and the recipe has a quality that is not length: rows that cover the pool, "
        "without near-duplicates, half by quality",
        _calibrated,
    ),
    Choice(
        "coverage",
        lambda _: True,
        coverage,
        "no target says what is wanted: rows that cover the pool, without near-duplicates",
        _calibrated,
    ),
)


def _weak(facts: Facts) -> str:
    weak = [q for q in facts.qualities if q.lift is not None and q.lift < 0.15]
    said = ", ".join(f"{q.name} can be lifted by {100 * (q.lift or 0):.2g} %" for q in weak)
    return f"kmq with weights in proportion to quality: the mean of {said}"


def _short(facts: Facts) -> str:
    return ", ".join(
        f"{name} ranks by shortness (Spearman with length {rho:.2f}): per: token" for name, rho in facts.dsir
    )


QUALITY, REGIMES, TARGETS = (f"python -m tests.bench {name}" for name in ("quality", "regimes", "targets"))
AGAINST: tuple[Against, ...] = (
    Against("dsir by row", lambda f: any(r < -0.5 for _, r in f.dsir), _short, TARGETS),
    Against(
        "linear weights",
        lambda f: f.kind == "kmq" and any(q.lift is not None and q.lift < 0.15 for q in f.qualities),
        _weak,
        QUALITY,
    ),
    Against(
        "top by length",
        lambda f: f.kind == "top_k" and any(abs(q.length or 0) > 0.5 for q in f.qualities),
        lambda f: (
            "top_k by "
            + ", ".join(q.name for q in f.qualities if abs(q.length or 0) > 0.5)
            + ", which is length for the most part: +.28 to +.31 bits per byte worse than random by entropy and length"
        ),
        QUALITY,
    ),
    Against(
        "sensitivity",
        lambda f: f.kind.startswith("sensitivity"),
        lambda f: (
            "sensitivity sampling"
            + (
                f": R2 of {f.loss[0]} by cluster is {f.loss[1]:.2f}, and it is worth its probes from .7 on"
                if f.loss
                else ""
            )
            + "; quotas by cluster had .48 to .88 of uniform's error at equal cost, sensitivity .52 to 3.2"
        ),
        "python -m tests.bench subset",
    ),
    Against(
        "dsir by row in a pool of the target's kind",
        lambda f: ALIKE <= _typical(f) < math.inf,
        lambda _: "dsir with per: row where all of the pool is of the target's kind: +.06 to +.12 bits per byte",
        TARGETS,
    ),
    Against(
        "diversity after relevance",
        lambda f: _typical(f) < ALIKE and f.share > 0.02 and not f.estimates,
        lambda _: "clusters or cover after a filter by relevance: +.07 to +.15 bits per byte at a budget of 10 %",
        TARGETS,
    ),
    Against(
        "k-center",
        lambda f: not f.estimates,
        lambda _: (
            "k_center for training: worse than random on balanced pools (+.12 bits per byte) and in what a "
            "classifier learns on every pool; it finds rare kinds with few rows"
        ),
        REGIMES,
    ),
)


def choice_of(facts: Facts) -> Choice:
    """Return the first rule that holds."""
    return next(rule for rule in CHOICES if rule.when(facts))


def against(facts: Facts) -> list[tuple[str, str]]:
    """Return what not to use, in words, each with the command that measures it."""
    return [(rule.said(facts), rule.command) for rule in AGAINST if rule.when(facts)]
