"""Kernels against their rivals in one run: CPU ratios, printed, never asserted.

`python -m tests.bench.bench_kernels`. zip-fit's own ranking in two processes against our kernel in two; CPU is user and
system time of the parent and its children, the least of three. The other kernels run against the bare Python loop that
one would write, in one process. CPU per pair still rises on a busy machine: the ratio is what to read.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import io
import math
import multiprocessing
import re
import resource
import sys
import types
import zlib
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from lakesift.udfs.kernels import entropy, tokens
from lakesift.udfs.kernels.compression import alignment, ratio
from lakesift.udfs.kernels.malloc import keep_freed_memory
from tests.bench.lines import Line, line, table
from tests.texts import human_eval, stitched

PROCESSES, REPEATS = 2, 3
#: Length of rows in characters, number of rows, gzip level, bar.
ZIPFIT_CASES = [(430, 400, 1, 2.0), (430, 400, 9, 1.6), (6000, 100, 1, 3.0), (6000, 100, 6, 3.0)]
WORDS = re.compile(r"\w+|[^\w\s]+")


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def cpu_seconds(*runs: Callable[[], object]) -> list[float]:
    """Return the least CPU time of each, run in turns so that a busy machine meets all of them."""
    best = [math.inf] * len(runs)
    for _ in range(REPEATS):
        for i, run in enumerate(runs):
            start = _cpu()
            run()
            best[i] = min(best[i], _cpu() - start)
    return best


def rank_with_zipfit(rows: list[str], targets: list[str], level: int) -> None:
    """Rank by the package's own function in as many processes; `datasets`, which it imports for loading, is a stub."""
    stub = types.ModuleType("datasets")
    stub.load_dataset = None
    sys.modules.setdefault("datasets", stub)
    package = importlib.import_module("zip_fit.zipfit")
    package.cpu_count = lambda: PROCESSES
    ranker = package.ZIPFIT("", "", k=len(rows), compression_algorithm="gzip", compress_level=level)
    with contextlib.redirect_stdout(io.StringIO()):
        ranker.rank_sequences_by_alignment(rows, targets)


def _kernel_rows(work: tuple[list[str], list[str], int]) -> list[float]:
    rows, targets, level = work
    keep_freed_memory()  # as in a worker
    scores: list[float] = alignment("gzip", level, targets)(rows).tolist()
    return scores


def _ours(rows: list[str], targets: list[str], level: int) -> None:
    parts = [(rows[i::PROCESSES], targets, level) for i in range(PROCESSES)]
    with multiprocessing.Pool(PROCESSES) as pool:
        pool.map(_kernel_rows, parts, chunksize=1)
        pool.close()
        pool.join()


def zipfit() -> list[Line]:
    """Return CPU per pair in microseconds: ours, zip-fit's, ratio theirs / ours."""
    targets, found = human_eval(164), []
    for length, count, level, bar in ZIPFIT_CASES:
        rows = stitched(length, count)
        ours, theirs = cpu_seconds(
            lambda rows=rows, level=level: _ours(rows, targets, level),
            lambda rows=rows, level=level: rank_with_zipfit(rows, targets, level),
        )
        scale = 1e6 / (count * len(targets))
        found.append(line(f"zipfit gzip-{level} {length} chars, us/pair", ours * scale, theirs * scale, bar))
    return found


def against_the_loop() -> list[Line]:
    """Return CPU per pair in one process against gzip.compress in a loop: what is left beside zlib itself."""
    rows, targets = stitched(430, 100), human_eval(164)
    keep_freed_memory()  # as in a worker
    kernel, encoded = alignment("gzip", 1, targets), [t.encode() for t in targets]

    def loop() -> None:
        for row in rows:
            for target in encoded:
                len(gzip.compress(row.encode() + target, 1))

    ours, bare = (seconds * 1e6 / (len(rows) * len(targets)) for seconds in cpu_seconds(lambda: kernel(rows), loop))
    return [line("zipfit gzip-1 430 chars / bare loop, us/pair", ours, bare, 1.8)]


def _bare_entropy(text: str) -> float:
    counts = Counter(WORDS.findall(text)).values()
    n = sum(counts)
    return -sum(c / n * math.log2(c / n) for c in counts)


def _bare_windows(text: str) -> float:
    words, bits = WORDS.findall(text), []
    for start in range(0, len(words) - 15, 4):
        counts = Counter(words[start : start + 16]).values()
        bits.append(-sum(c / 16 * math.log2(c / 16) for c in counts))
    return sum(bits) / len(bits) if bits else math.nan


def _bare_bytes(text: str) -> float:
    counts = np.bincount(np.frombuffer(text.encode(), np.uint8), minlength=256)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _bare_ratio(text: str) -> float:
    data = text.encode()
    return len(zlib.compress(data, 6)) / len(data)


def _token_counts(texts: Sequence[str]) -> list[int]:
    return [tokens.wordpunct_count(text) for text in texts]


def text_kernels() -> list[Line]:
    """Return CPU per row in microseconds of 430-character rows: ours, the bare loop, ratio bare / ours."""
    rows = stitched(430, 1500)
    cases: list[tuple[str, Callable[[Sequence[str]], object], Callable[[str], object], float]] = [
        ("compression_ratio", ratio, _bare_ratio, 0.95),
        ("entropy windows of words", entropy.window_entropy, _bare_windows, 0.95),
        ("entropy whole words", entropy.whole_entropy, _bare_entropy, 0.95),
        ("entropy whole bytes", lambda texts: entropy.whole_entropy(texts, "byte"), _bare_bytes, 0.95),
        ("length_tokens", _token_counts, lambda text: len(WORDS.findall(text)), 0.95),
    ]
    found = []
    for name, ours, bare, bar in cases:
        seconds = cpu_seconds(lambda f=ours: f(rows), lambda f=bare: [f(text) for text in rows])
        scale = 1e6 / len(rows)
        found.append(line(f"{name}, us/row", seconds[0] * scale, seconds[1] * scale, bar))
    return found


def main() -> list[Line]:
    """Print one line a case and return the lines."""
    found = [*zipfit(), *against_the_loop(), *text_kernels()]
    print(table(found))
    return found


if __name__ == "__main__":
    main()
