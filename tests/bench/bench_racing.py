"""ZIP-FIT racing against all pairs: pairs and CPU saved, overlap with the exact top, printed, never asserted.

`python -m tests.bench.bench_racing`. The exact matrix is computed once in two processes; six races for each budget then
read it, each with another order of rows (what another seed does), pilots and audit counted. One race for each budget
compresses for real, in one process, for the ratio of CPU. Rows: 40 000 of the larger sets in ../shared/data beside the
checkout, else 15 000 functions and pieces of functions, on which the bars (set for the former) mean less.
"""

from __future__ import annotations

import gzip
import json
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lakesift.udfs.kernels import codecs
from lakesift.udfs.kernels.racing import Ask, race
from lakesift.udfs.scores.zipfit import ZipFitScorer
from lakesift.udfs.scores.zipfit_pairs import ZipFitPairsScorer
from tests.bench.lines import Line, line, table, windows
from tests.texts import functions, human_eval, stitched

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ROWS, SEEDS, PROCESSES = 40_000, 6, 2
#: Share of the rows chosen and how many times fewer pairs are wanted.
BUDGETS = [(0.01, 17.0), (0.05, 11.0), (0.20, 4.5)]
MEAN_OVERLAP, LEAST_OVERLAP = 0.99, 0.98

Row = dict[str, Any]


def _instruction(row: Row) -> str:
    return "\n".join(filter(None, (row.get(name, "") for name in ("instruction", "input", "output"))))


def _answered(row: Row) -> str:
    return f"{row['question']}\n{row['answer']}"


SOURCES: dict[str, Callable[[Row], str]] = {
    "gpteacher/*": _instruction,
    "flan_cot/*": _instruction,
    "dolly_3k/*": _instruction,
    "gsm8k/train*": _answered,
    "mbpp/*": lambda row: f"{row['text']}\n{row['code']}",
    "pool_speech/paragraphs*": lambda row: str(row["text"]),
    "proofnet/mathlib*": lambda row: str(row["formal_statement"]),
}


def _read(files: str, text: Callable[[Row], str]) -> Iterator[str]:
    for path in sorted(DATA.glob(f"{files}.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from (text(json.loads(row)) for row in lines)


def pool(rows: int = ROWS) -> list[str]:
    """Return so many rows, or all there are, in an order drawn once."""
    if DATA.is_dir():
        found = [row for files, text in SOURCES.items() for row in _read(files, text) if row.strip()]
        found += functions(3000)
    else:
        found = [*functions(3000), *(row for length in (120, 250, 430, 800) for row in windows(length, 3000))]
    return random.Random(3).sample(found, min(rows, len(found)))


def targets() -> dict[str, list[str]]:
    """Return the texts of each target set; questions of school mathematics where they are there."""
    school = list(_read("gsm8k/test*", _answered))
    return {"humaneval": human_eval(164)} | ({"gsm8k": random.Random(1).sample(school, 200)} if school else {})


def _matrix(work: tuple[ZipFitPairsScorer, list[str]]) -> tuple[np.ndarray, float]:
    scorer, rows = work
    kernel, start = scorer.kernel(), time.process_time()
    return kernel(rows), time.process_time() - start


def matrix(scorer: ZipFitScorer, rows: list[str]) -> tuple[np.ndarray, float]:
    """Return the features of all pairs, and the CPU seconds of the kernel."""
    whole = ZipFitPairsScorer.of_targets(scorer, range(len(scorer.targets)))
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as workers:
        parts = workers.map(_matrix, [(whole, rows[i : i + 1000]) for i in range(0, len(rows), 1000)], chunksize=1)
    return np.vstack([part for part, _ in parts]), sum(seconds for _, seconds in parts)


def stored(features: np.ndarray) -> Ask:
    """Return an `ask` that reads the matrix."""
    everything = np.arange(len(features))
    return lambda ts, some: features[np.ix_(everything if some is None else some, [0, 1, *(2 + t for t in ts)])]


def compressing(scorer: ZipFitScorer, rows: list[str]) -> Ask:
    """Return an `ask` that compresses."""

    def ask(ts: list[int], some: np.ndarray | None) -> np.ndarray:
        kernel = ZipFitPairsScorer.of_targets(scorer, ts).kernel()
        made: np.ndarray = kernel(rows if some is None else [rows[i] for i in some])
        return made

    return ask


def races(name: str, scorer: ZipFitScorer, rows: list[str]) -> list[Line]:
    """Race for every budget: pairs, overlap, CPU."""
    features, exact_cpu = matrix(scorer, rows)
    count, width = len(rows), len(scorer.targets)
    exact, lines = features[:, 2:].mean(axis=1), []
    print(f"{name}: {count} rows x {width} targets, {1e6 * exact_cpu / exact.size / width:.1f} us CPU a pair")
    for share, bar in BUDGETS:
        budget, overlaps, spent, text = int(share * count), [], [], f"{name} {share:.0%}"
        for seed in range(SEEDS):
            order = np.random.default_rng(seed).permutation(count)
            found = race(count, width, budget, stored(features[order]))
            best = np.argsort(-exact[order], kind="stable")[:budget]
            overlaps.append(len(np.intersect1d(best, found.order)) / budget)
            spent.append(sum(found.pairs.values()))
        print(f"{text}: pairs by stage {found.pairs}, {found.exact.mean():.0%} of the scores exact; {found.audit}")
        start = time.process_time()
        race(count, width, budget, compressing(scorer, rows))
        cpu = time.process_time() - start
        lines += [
            line(f"race {text}, thousands of pairs", float(np.mean(spent)) / 1e3, count * width / 1e3, bar),
            line(f"race {text}, mean overlap", 1, float(np.mean(overlaps)), MEAN_OVERLAP),
            line(f"race {text}, least overlap", 1, min(overlaps), LEAST_OVERLAP),
            line(f"race {text}, CPU s", cpu, exact_cpu, 0.6 * bar),
        ]
    return lines


def costs() -> None:
    """Print CPU microseconds of the kernel for a row of 430 characters."""
    texts, rows = human_eval(164), stitched(430, 400)
    whole = ZipFitScorer(targets=tuple(texts), library=codecs.library_version())
    found = {}
    for m in (1, 4, 12, 16, 164):
        kernel, times = ZipFitPairsScorer.of_targets(whole, list(range(0, 164, 164 // m))[:m]).kernel(), []
        for _ in range(3):
            start = time.process_time()
            kernel(rows)
            times.append(time.process_time() - start)
        found[m] = min(times) * 1e6 / len(rows)
    pair = (found[164] - found[4]) / 160
    cells = ", ".join(f"{m} targets {us:.0f}" for m, us in found.items())
    print(f"us CPU a row: {cells}; a pair {pair:.2f}, a row without pairs {found[4] - 4 * pair:.0f}")


def main() -> list[Line]:
    """Print the lines and return them."""
    costs()
    rows, library, lines = pool(), codecs.library_version(), []
    for name, texts in targets().items():
        lines += races(name, ZipFitScorer(targets=tuple(sorted(texts)), library=library), rows)
    print(table(lines))
    return lines


if __name__ == "__main__":
    main()
