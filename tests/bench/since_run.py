"""Run a recipe by whichever package `lakesift` is: `python since_run.py JOB`, a JSON file with lake, recipe, out.

It keeps to what the package has had since 3643c39; `bench_since` runs it with that commit and with this one. The last
line of output is JSON: seconds of the run, seconds by step, the folder of the package.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from lakesift.jobs.lake.session import session
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run


def main() -> None:
    """Run; where `out` is given, the scores are written there, ordered by id, as a pickle."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    spark = session()
    spark.range(3).count()
    lake, recipe = Lake(spark, job["lake"]), parse(job["recipe"])
    start = time.perf_counter()
    made = run(lake, recipe)
    seconds = time.perf_counter() - start
    if "out" in job:
        scores = lake.read(f"scores_{recipe.name}").toPandas().sort_values("id").reset_index(drop=True)
        scores.to_pickle(job["out"])
    steps = ", ".join(f"{s.step} {s.seconds}" for s in made.steps if s.seconds)
    package = Path(run.__code__.co_filename).parents[1]
    print(json.dumps({"seconds": seconds, "steps": steps, "package": str(package)}))
    spark.stop()


if __name__ == "__main__":
    main()
