"""Planted pools: what real pools suffer from, in known shares, out of a corpus with tasks.

balanced: equally many rows a task. natural: the corpus as it comes. zipf: r^-1.5 of a task, in an order drawn by the
seed. copies: half are edited copies, few rows having most of them. templates: half are five generators' questions.
junk: a fifth is broken text. `random_regime` draws skew, shares, rows and budget. Nothing here selects.
"""

from __future__ import annotations

import base64
import importlib
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from lakesift.jobs.ranking.quota import quota
from lakesift.jobs.sources.samples import FAMILIES
from tests.bench.corpus import LONGEST, Corpus

Array = np.ndarray[Any, np.dtype[Any]]
KINDS = ("balanced", "natural", "zipf", "copies", "templates", "junk")
ROWS, SKEW = 4_000, {"balanced": 0.0, "zipf": 1.5}
#: Share of a pool that is planted, by kind, and the largest in a random regime; in one, all together at most MOST.
PLANTED = {"copies": 0.5, "templates": 0.5, "junk": 0.2}
LARGEST, MOST = {"copies": (0.05, 0.7), "templates": (0.05, 0.5), "junk": (0.02, 0.3)}, 0.85
BUDGETS, SIZES = (0.005, 0.01, 0.02, 0.05, 0.10), (1_500, 4_000)
#: Generators in one pool, and questions of each there are.
GENERATORS, QUESTIONS = 5, 400
TAGS = ('<div class="nav">', '<li><a href="#">', "</a></li>", "</div>", "&nbsp;", "<br/>")


class Pool(NamedTuple):
    """Texts; the task of each, (n,) str, "template" or "junk" where it has none; which are rows of the corpus as is."""

    texts: list[str]
    tasks: Array
    original: Array


class Regime(NamedTuple):
    """A random pool, the share of its bytes that is the budget, and what was drawn, by name."""

    pool: Pool
    share: float
    facts: dict[str, float]


def edited(text: str, draw: np.random.Generator) -> str:
    """Return a copy as crawls and synthetic sets have them: case, a prefix, an end cut off, a word lost or doubled."""
    words, how = text.split(" "), int(draw.integers(5))
    if how == 0:
        return text.lower()
    if how == 1:
        return ("Q: ", "### Instruction: ", "Please answer. ", "User: ")[draw.integers(4)] + text
    if how == 2:
        return text[: max(20, int(len(text) * draw.uniform(0.85, 1)))]
    at = int(draw.integers(len(words)))
    return " ".join([*words[:at], *([words[at]] * 2 if how == 3 else []), *words[at + 1 :]])


def broken(text: str, draw: np.random.Generator) -> str:
    """Return junk of a text: decoded wrongly, markup, one line again and again, letters shuffled, or encoded."""
    how = int(draw.integers(5))
    if how == 0:
        return text.encode("utf-16-be", "replace").decode("latin-1").replace("\0", "Ã")[:LONGEST]
    if how == 1:
        return "".join(f"{word}{TAGS[draw.integers(len(TAGS))]}" for word in text.split()[:60])
    if how == 2:
        return (text[:40] + " ") * max(2, len(text) // 40)
    if how == 3:
        return "".join(np.array(list(text))[draw.permutation(len(text))])
    return base64.b64encode(text.encode("utf-8", "replace")).decode()[:LONGEST]


@cache
def questions(generator: str) -> list[str]:
    """Return the questions of a generator with their answers."""
    rows = importlib.import_module("reasoning_gym").create_dataset(generator, size=QUESTIONS, seed=1)
    return [f"{row['question']}\n{row['answer']}"[:LONGEST] for row in rows]


def clean_rows(corpus: Corpus, skew: float | None, count: int, draw: np.random.Generator) -> Array:
    """Return positions of rows: the corpus as it comes, or r^-skew of the task at place r of an order by lot."""
    if skew is None:
        return draw.permutation(len(corpus.texts))[:count]
    names = np.unique(corpus.tasks)
    rows = [draw.permutation(np.flatnonzero(corpus.tasks == name)) for name in names]
    weight = (draw.permutation(len(names)) + 1.0) ** -skew
    share = quota([len(of_task) for of_task in rows], weight, draw.random(len(names)), count)
    return draw.permutation(np.concatenate([of_task[:n] for of_task, n in zip(rows, share, strict=True)]))


def plant(corpus: Corpus, clean: Array, counts: dict[str, int], draw: np.random.Generator) -> Pool:
    """Return clean rows and so many planted ones of each kind, mixed."""
    rows, tasks = [corpus.texts[i] for i in clean], [str(task) for task in corpus.tasks[clean]]
    weight = draw.pareto(1.0, len(clean))  # few rows have most of the copies
    for i in draw.choice(len(clean), counts.get("copies", 0), p=weight / weight.sum()):
        rows.append(edited(rows[i], draw))
        tasks.append(tasks[i])
    chosen = draw.choice(FAMILIES, GENERATORS, replace=False)
    for i in range(counts.get("templates", 0)):
        rows.append(questions(str(chosen[i % GENERATORS]))[i // GENERATORS])
        tasks.append("template")
    for i in draw.integers(0, len(clean), counts.get("junk", 0)):
        rows.append(broken(rows[i], draw))
        tasks.append("junk")
    mixed = draw.permutation(len(rows))
    return Pool([rows[i] for i in mixed], np.array(tasks)[mixed], mixed < len(clean))


def planted(corpus: Corpus, kind: str, seed: int, rows: int = ROWS) -> Pool:
    """Return a pool of a kind.

    Examples
    --------
    >>> few = Corpus("few", [f"row {i} of a task" for i in range(40)], np.array(["a", "b"] * 20), {})
    >>> pool = planted(few, "junk", 0, rows=20)
    >>> len(pool.texts), int(pool.original.sum()), int((pool.tasks == "junk").sum())
    (20, 16, 4)
    """
    draw = np.random.default_rng([seed, KINDS.index(kind)])
    counts = {kind: round(PLANTED[kind] * rows)} if kind in PLANTED else {}
    clean = clean_rows(corpus, SKEW.get(kind), rows - sum(counts.values()), draw)
    return plant(corpus, clean, counts, draw)


def random_regime(corpus: Corpus, seed: int) -> Regime:
    """Return a pool of drawn skew, planted shares (each kind absent in every second pool), rows and budget."""
    draw = np.random.default_rng([seed, 77])
    rows, share, skew = int(draw.choice(SIZES)), float(draw.choice(BUDGETS)), float(draw.uniform(0, 2))
    parts = {kind: float(draw.uniform(*ends)) * (draw.random() < 0.5) for kind, ends in LARGEST.items()}
    scale = min(1.0, MOST / max(sum(parts.values()), 1e-9))
    counts = {kind: round(part * scale * rows) for kind, part in parts.items()}
    clean = clean_rows(corpus, skew, rows - sum(counts.values()), draw)
    facts = {"skew": skew, "rows": rows, **{kind: count / rows for kind, count in counts.items()}}
    return Regime(plant(corpus, clean, counts, draw), share, facts)


def mix(pool: Pool, names: list[str]) -> Array:
    """Return the share of each task among the rows of the corpus that are in a pool, (names,)."""
    shares = np.array([float(np.mean(pool.tasks[pool.original] == name)) for name in names])
    return shares / shares.sum()
