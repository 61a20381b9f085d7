"""`lakesift explain` of one id, and `at` of another budget, in a new process with a session, against what is allowed.

`python -m tests.bench explain`. Recipes zipfit_code (16 112 functions and topics, top_k) and coverage over the same
documents (vectors, SemDeDup, facility location), and both over 2 000 functions. `ours` are seconds of the first call of
the session that made the run, of the first call of a process after its session has started, while the JVM compiles, and
of the one after it, about another row; `rival` is the bar of 5 seconds for explain, and the seconds of a run from
nothing for `at`. The read of a row of a small table stands beside those of each pool: as a first call it is what any
question costs that is the first of its process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import lakesift
from lakesift.jobs.lake.session import session
from tests.bench.lines import Line, line, table
from tests.jobs.commands.test_explain_shipped import of_2000_rows

SECONDS = 5.0
CALLS = {
    "explain": "lake.explain(recipe, key)",
    "at": "lake.at(recipe, 0.05)",
    "read": "lake.read('runs').limit(1).collect()",
}
POOLS: dict[str, Callable[[str], str | dict[str, Any]]] = {"16 112 rows": str, "2 000 rows": of_2000_rows}
CODE = """
import sys, time, lakesift
lake, recipe, keys = lakesift.Lake(sys.argv[1]), sys.argv[2], sys.argv[3:]
lake.spark.range(3).count()
for key in keys:
    begun = time.monotonic()
    {call}
    print(time.monotonic() - begun)
"""


def main() -> list[Line]:
    """Make a lake for each pool, then a process for each call."""
    lines = [asked for pool in POOLS for asked in of_pool(pool)]
    print(table(lines))
    return lines


def of_pool(pool: str) -> list[Line]:
    """Return the lines of one pool."""
    lines, runs = list[Line](), dict[str, tuple[float, float, list[str]]]()
    with tempfile.TemporaryDirectory() as folder:
        lake = lakesift.Lake(folder)
        for recipe in ("zipfit_code", "coverage"):
            begun = time.monotonic()
            lakesift.run(lake, POOLS[pool](recipe))
            chosen = lake.read(f"selection_{recipe}").orderBy("rank").limit(1).collect()[0]["id"]
            other = lake.read(f"scores_{recipe}").join(lake.read(f"selection_{recipe}"), "id", "left_anti").first()
            assert other is not None
            ran = time.monotonic() - begun
            begun = time.monotonic()
            lake.explain(recipe, other["id"])
            runs[recipe] = ran, time.monotonic() - begun, [chosen, other["id"]]
        session().stop()
        first, then = timed("read", folder, "", ["", ""])
        lines.append(line(f"{pool}: a row of a small table, first call", first, SECONDS, 1))
        lines.append(line(f"{pool}: a row of a small table, next call", then, SECONDS, 1))
        for recipe, (seconds, asked, keys) in runs.items():
            lines.append(line(f"{pool}, {recipe}: explain, by the session that ran", asked, SECONDS, 1))
            for what, order in (("chosen", keys), ("not chosen", keys[::-1])):
                first, then = timed("explain", folder, recipe, order)
                lines.append(line(f"{pool}, {recipe}: explain a row {what}, first call", first, SECONDS, 1))
                lines.append(line(f"{pool}, {recipe}: explain another row, next call", then, SECONDS, 1))
            first, _ = timed("at", folder, recipe, keys)
            lines.append(line(f"{pool}, {recipe}: at 5 % against a run", first, seconds, 1))
    return lines


def timed(call: str, root: str, recipe: str, keys: Sequence[str]) -> tuple[float, float]:
    """Return the seconds of a call about the first of two rows in a process of its own, and of one about the second."""
    command = [sys.executable, "-c", CODE.format(call=CALLS[call]), root, recipe, *keys]
    first, then = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-2:]
    return float(first), float(then)


if __name__ == "__main__":
    main()
