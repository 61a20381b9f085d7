"""Asks the Python workers of a session that somebody else started whether they can run LakeSift, in one small task.

Without it a notebook whose workers run another interpreter ends after minutes on a page of Java's stack trace.
"""

from __future__ import annotations

import json
import platform
import sys
import types
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ...udfs.errors import PlatformError
from .spark_errors import error_sentence
from .tuning import property_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Applications of Spark whose workers have answered well, or were started by us with this interpreter.
_known: set[str] = set()


def trust_workers(spark: SparkSession) -> None:
    """Ask the workers of this Spark nothing: they are this very interpreter."""
    _known.add(_application(spark))


def _application(spark: SparkSession) -> str:
    return property_of(spark, "spark.app.id", str(id(spark)))


def check_workers(spark: SparkSession) -> None:
    """Raise PlatformError if workers cannot import what scores need, naming their interpreter; asked once."""
    if _application(spark) in _known:
        return
    try:
        said = spark.range(0, 1, 1, 1).mapInArrow(_by_value(_say), "said string").collect()[0]["said"]
    except Exception as error:
        reason = error_sentence(error) or f"{type(error).__name__}: {error}"
        raise PlatformError(
            f"the session's Python workers do not start: {reason}; start the session with "
            f"PYSPARK_PYTHON={sys.executable} (Python {platform.python_version()}), or install lakesift where they run"
        ) from error
    refuse_workers(json.loads(said))
    trust_workers(spark)


def refuse_workers(said: dict[str, Any]) -> None:
    """Raise PlatformError for workers that lack a package, or have another Python than the driver."""
    who = f"the session's Python workers ({said['executable']}, Python {said['python']})"
    start = f"start the session with PYSPARK_PYTHON={sys.executable}, or install it there"
    if said["missing"]:
        names = ", ".join(f"{name} ({why})" for name, why in said["missing"].items())
        raise PlatformError(f"{who} cannot import {names}; {start}")
    here = platform.python_version_tuple()[:2]
    if tuple(said["python"].split(".")[:2]) != here:
        raise PlatformError(f"{who} have another Python than the driver, {'.'.join(here)}; {start}")


def _say(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield one row of JSON about this worker. Nothing of this module is at hand there."""
    import importlib
    import json
    import platform
    import sys

    missing = {}
    for name in ("numpy", "pandas", "pyarrow", "scipy", "lakesift.udfs.spark"):
        try:
            importlib.import_module(name)
        except Exception as error:
            missing[name.split(".")[0]] = f"{type(error).__name__}: {error}"
    said = {"executable": sys.executable, "python": platform.python_version(), "missing": missing}
    for batch in batches:
        import pyarrow as pa

        yield pa.RecordBatch.from_pydict({"said": [json.dumps(said)] * batch.num_rows})


def _by_value(function: Any) -> Any:
    """Return a copy of a function that travels as code and not as a name, which workers without LakeSift lack."""
    copy = types.FunctionType(function.__code__, {"__builtins__": __builtins__}, function.__name__)
    copy.__module__ = "__main__"
    return copy
