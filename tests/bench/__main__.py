"""`python -m tests.bench [kernels] [edge] [run] [ranking]`: ratios against rivals, printed and in build/bench.json.

Every bench runs in a process of its own, one after the other (each needs its own Spark session or none). Nothing here
fails by time: a bar that is missed is a "NO" in the table. The load of the machine stands beside the numbers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.bench.lines import Line, measure, table

BENCHES = (
    *("kernels", "edge", "run", "passes", "ranking", "dsir", "kmeans", "coverage", "racing", "sensitivity"),
    *("clusters", "vectors", "tasks", "mig", "append", "plan", "subset", "quality", "two_rounds", "explain"),
)
#: Only if they are named: they need model files or an earlier commit. euds takes up to two hours, refine up to one and
#: a half, append_4m one, two_rounds_1m half of one, the others five to fifteen minutes.
NAMED = (
    *("euds", "language_model", "refine", "append_4m", "two_rounds_1m", "regimes", "random_regimes", "targets"),
    *("advise", "since"),
)
OUT = Path("build") / "bench.json"


def main() -> None:
    """Run the benches that are named, all by default."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Ratios against rivals in one run.")
    parser.add_argument("names", nargs="*", default=list(BENCHES), help=f"of {', '.join((*BENCHES, *NAMED))}")
    names = parser.parse_args().names
    if unknown := set(names) - {*BENCHES, *NAMED}:
        parser.error(f"no bench is called {unknown.pop()!r}; there are {', '.join((*BENCHES, *NAMED))}")
    lines: list[Line] = []
    for name in names:
        load = os.getloadavg()[0]
        print(f"-- {name} (load {load:.1f})", flush=True)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            lines += [{**made, "bench": name, "load": load} for made in pool.submit(measure, name).result()]
    print(f"\n{table(lines)}")
    OUT.parent.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    OUT.write_text(json.dumps({"machine": machine, "lines": lines}, indent=1), encoding="utf-8")
    print(f"written to {OUT}")


if __name__ == "__main__":
    main()
