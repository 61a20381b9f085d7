"""Ctrl-C and SIGTERM at many moments of a run: one sentence, the usual status, no process left, and a rerun as if not.

A law over moments: before Spark starts, while it starts, in every step, and at the end.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lakesift.jobs.lake.interrupts import descendants
from tests.jobs.test_faults import MOMENTS, ROWS, commits, finish, gone, rows, start

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["place", "undisturbed"]
from tests.jobs.test_faults import place, undisturbed  # fixtures

#: Seconds in which a stopped process has to end, and all that it started.
ENDS, GONE = 5.0, 10.0
SENTENCE = re.compile(
    r"lakesift: stopped; (?:finished units are kept"
    r"|(?P<units>\d+) finished units? (?:is|are) kept \(\d+ rows of alignment, tokens\)), run again to go on\n$"
)


def java(process: int) -> bool:
    """Tell whether the process has started a JVM that is not there yet for Python: no Java has written its port."""
    return bool(descendants(process))


def stop_at(place: Path, lake: str, moment: Callable[[Path, int], bool], number: signal.Signals) -> int:
    """Send a signal at a moment, check how the process ends; returns how many units it said to keep."""
    process = start(place, lake)
    while not moment(place / lake, process.pid):
        assert process.poll() is None, f"the moment never came: {process.communicate()[1][-2000:]}"
        time.sleep(0.002)
    began = time.monotonic()
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    took = time.monotonic() - began
    while not gone(process.pid) and time.monotonic() - began < GONE:
        time.sleep(0.05)
    left = not gone(process.pid)
    if left:
        os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, out, left) == (128 + number, "", False), err
    sentence = SENTENCE.search(err)
    assert sentence, err
    units, said = int(sentence["units"] or 0), err[: sentence.start()]
    # The signal may come between a commit, its count and the line about it.
    assert len(re.findall(rf" of {ROWS} rows, \S+ rows/s", said)) in (units, units - 1), err
    assert units <= commits(place / lake, "memos") <= units + 1, err
    assert not any(word in said for word in ("Traceback", "py4j", "Exception", "ERROR", "WARN")), err
    assert took < ENDS, f"{took:.1f} s"
    return units


#: Seconds after Spark's process was started, and what the lake looks like later.
STARTING = {f"{s:g} s into Spark's start": s for s in (0.0, 0.5, 1.0, 2.0, 4.0)}


def _starting(seconds: float) -> Callable[[Path, int], bool]:
    first: list[float] = []

    def moment(_: Path, process: int) -> bool:
        if not first and java(process):
            first.append(time.monotonic())
        return bool(first) and time.monotonic() - first[0] >= seconds

    return moment


def _moments() -> dict[str, Callable[[Path, int], bool]]:
    """Return all moments anew: those of the start count from when they first see the JVM."""
    every = {name: _starting(s) for name, s in STARTING.items()}
    return every | {name: (lambda lake, _, seen=seen: seen(lake)) for name, seen in MOMENTS.items()}


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_at_ten_moments(
    spark: SparkSession, place: Path, undisturbed: dict[str, list[object]], number: signal.Signals
) -> None:
    for moment, seen in _moments().items():
        stop_at(place, f"{number.name} {moment}", seen, number)
        finish(spark, place, f"{number.name} {moment}")
        for table, want in undisturbed.items():
            assert rows(place, f"{number.name} {moment}", table) == want, (moment, table)


def test_while_spark_starts_and_while_it_scores(place: Path) -> None:
    stop_at(place, "stopped", _starting(0.7), signal.SIGINT)
    # After the second unit: the line of the first is out.
    units = stop_at(place, "stopped", lambda lake, _: commits(lake, "memos") >= 2, signal.SIGTERM)
    assert units, "finished units are said"
    assert commits(place / "stopped", "memos") >= 1, "and kept"
    assert not commits(place / "stopped", "selection_killed")


def test_programs_below_a_process_are_found_and_ended() -> None:
    """A shell that starts a shell that sleeps: all three are below the process that started the first."""
    code = (
        "import subprocess, time\n"
        "from lakesift.jobs.lake.interrupts import descendants, end_children\n"
        "import os\n"
        "subprocess.Popen(['sh', '-c', 'sh -c \"sleep 300; true\"; true'])\n"
        "while len(descendants(os.getpid())) < 3: time.sleep(0.01)\n"
        "below = descendants(os.getpid())\n"
        "end_children()\n"
        "print(len(below), descendants(os.getpid()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "3 []\n"
