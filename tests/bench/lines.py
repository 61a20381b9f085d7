"""What every bench shares: one line a comparison, the table, CPU of a process tree, real text of a given length."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tests.texts import functions

Line = dict[str, Any]
Job, Found = TypeVar("Job"), TypeVar("Found")
PROCESSES = 2


def line(name: str, ours: float, rival: float, bar: float) -> Line:
    """One comparison of costs (seconds, microseconds): `ratio` = rival / ours, met where it is at least `bar`."""
    return {"name": name, "ours": ours, "rival": rival, "ratio": rival / ours, "bar": bar, "met": rival / ours >= bar}


def measure(bench: str) -> list[Line]:
    """Run one bench; the command calls it in a process of its own."""
    found: list[Line] = importlib.import_module(f"tests.bench.bench_{bench}").main()
    return found


def table(lines: list[Line]) -> str:
    """The lines as text."""
    head = f"{'name':<52} {'ours':>9} {'rival':>9} {'ratio':>6} {'bar':>5}  met"
    cells = (
        f"{x['name']:<52} {x['ours']:9.2f} {x['rival']:9.2f} {x['ratio']:6.2f} {x['bar']:5.2f}  "
        f"{'yes' if x['met'] else 'NO'}"
        for x in lines
    )
    return "\n".join([head, *cells])


def in_processes(function: Callable[[Job], Found], jobs: Sequence[Job]) -> list[Found]:
    """Return what a function of a module returns for each job, made in two processes; prints seconds and CPU seconds.

    Its processes read no other's memory: what they need of a corpus they make themselves, once.
    """
    begun = time.monotonic()
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(function, jobs))
        cpu = tree_cpu()
    print(f"{len(jobs)} jobs: {time.monotonic() - begun:.0f} s on {PROCESSES} cores, {cpu:.0f} CPU-seconds", flush=True)
    return found


def windows(length: int, count: int) -> list[str]:
    """Return `count` distinct texts of `length` characters out of the standard library; later ones overlap."""
    body = "\n".join(functions(3000))
    stride = max(1, (len(body) - length) // count)
    return [body[i * stride : i * stride + length] for i in range(count)]


def tree_cpu(root: int | None = None) -> float:
    """Return user and system seconds of a process (this one) and everything below it, finished children included."""
    parents, seconds = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(") ", 1)[1].split()
        except OSError:  # gone meanwhile
            continue
        number = int(path.parent.name)
        parents[number], seconds[number] = int(fields[1]), sum(map(int, fields[11:15]))
    inside = {root or os.getpid()}
    while grown := {child for child, parent in parents.items() if parent in inside} - inside:
        inside |= grown
    return sum(seconds.get(number, 0) for number in inside) / os.sysconf("SC_CLK_TCK")
