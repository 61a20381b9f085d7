"""The only builder of a SparkSession: it adopts the one that exists, else it starts Spark on this machine.

Where Spark runs is conf/spark/*.conf, in the format of spark-defaults.conf; what it runs is the recipe.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...udfs.errors import PlatformError
from .delta_jars import delta_jars
from .interrupts import armed
from .java_locale import spelling_names
from .log_file import keep, printing_to_it, reason
from .progress import shown
from .tuning import put_back, set_allowed
from .workers import trust_workers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Whatever the place: correctness, not speed.
ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # 3.5 defaults to false, 4.x to true
    # ${x} in SQL, and in a quoted name, is what is written: not a variable of the session, nor of the environment.
    "spark.sql.variable.substitute": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Spark 4.1 with Delta's extension: parameters of spark.sql(query, args=...) stay unbound without it.
    "spark.sql.legacy.parameterSubstitution.constantsOnly": "true",
    # Otherwise a plan with n renamed columns, all in one condition or row hash, has 2^n constraints: 20 fill the heap.
    "spark.sql.constraintPropagation.enabled": "false",
    # mapInArrow matches columns by position: a swapped pair of equal types would go unseen.
    "spark.sql.execution.arrow.pyspark.validateSchema.enabled": "true",
}
STATIC = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.python.worker.faulthandler.enabled": "true",
    "spark.sql.debug.maxToStringFields": "1000",
    "spark.ui.showConsoleProgress": "false",  # ours is shown
}


def read_conf(name: str) -> dict[str, str]:
    """Return the settings of a shipped file ("local", "cluster") or of a path, in spark-defaults format."""
    shipped = resources.files("lakesift.conf") / "spark" / f"{name}.conf"
    source = shipped if shipped.is_file() else Path(name)
    if not source.is_file():
        raise PlatformError(f"there is no Spark configuration {name!r}: give local, cluster or the path of a file")
    lines = [line.split("#")[0].split(None, 1) for line in source.read_text(encoding="utf-8").splitlines()]
    return {parts[0]: parts[1].strip() for parts in lines if len(parts) == 2}


def java_version() -> int:
    """Return Java's major version.

    Raises
    ------
    PlatformError
        If there is no Java, or it is older than 17.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    need = "Spark 4 needs Java 17 or 21: install one (for example openjdk-17-jre-headless) or point JAVA_HOME at it"
    if not java or not shutil.which(java):
        raise PlatformError(f"no Java was found ({'JAVA_HOME is ' + home if home else 'no java on the PATH'}); {need}")
    text = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    if not match or int(match[1]) < 17:
        raise PlatformError(f"{java} is Java {match[1] if match else 'of an unknown version'}; {need}")
    return int(match[1])


def session(conf: str = "local") -> SparkSession:
    """Return the session that exists (notebook, Databricks, spark-submit, Connect), or start one from a conf file.

    A session that exists is not changed and never stopped: see `as_needed`.

    Parameters
    ----------
    conf : str
        Name of a shipped file in conf/spark or a path; used only when no session exists.

    Raises
    ------
    PlatformError
        If Spark, Delta or Java is missing or too old.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise PlatformError("the package pyspark is missing: pip install 'lakesift[local]'") from None
    # pyspark 4 logs a page of JSON for every AnalysisException, also for those that are caught.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
    spark = SparkSession.getActiveSession()
    # A thread of a notebook has no active session of its own; a builder without options returns the one that exists.
    elsewhere = {"DATABRICKS_RUNTIME_VERSION", "PYSPARK_GATEWAY_PORT", "SPARK_REMOTE"} & set(os.environ)
    if spark is None and (elsewhere or getattr(SparkSession, "_instantiatedSession", None) is not None):
        spark = _started(SparkSession.builder)
    if spark is None:
        return _start(SparkSession.builder, conf)
    return spark


#: Sessions that a call is using now, with what their properties were before: several threads may use one.
_using: list[tuple[SparkSession, dict[str, str | None]]] = []
_calls = [0]
_changing = threading.Lock()


@contextmanager
def as_needed(spark: SparkSession) -> Iterator[None]:
    """Set what `ALWAYS` says for a block, where the platform allows it; the last of several blocks puts all back."""
    with _changing:
        _calls[0] += 1
        _using.append((spark, set_allowed(spark, ALWAYS)))
    try:
        yield
    finally:
        with _changing:
            _calls[0] -= 1
            while not _calls[0] and _using:
                put_back(*_using.pop())


def _started(builder: SparkSession.Builder) -> SparkSession:
    """Return the session of a builder; in the main thread of a command Spark would install a handler of Ctrl-C."""
    if not armed():
        return builder.getOrCreate()
    with ThreadPoolExecutor(1) as other:
        return other.submit(builder.getOrCreate).result()


def _start(builder: SparkSession.Builder, conf: str) -> SparkSession:
    java_version()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    place = read_conf(conf)
    settings: dict[str, Any] = {"spark.app.name": "lakesift", **delta_jars(place), **STATIC, **ALWAYS, **place}
    # log4j speaks before spark.log.level is read; this silences the start. As a URI, because Spark splits at blanks.
    quiet = Path(str(resources.files("lakesift.conf") / "spark" / "log4j2.properties")).absolute().as_uri()
    options = f"-Dlog4j2.configurationFile={quiet}"
    settings["spark.driver.extraJavaOptions"] = f"{options} {settings.get('spark.driver.extraJavaOptions', '')}".strip()
    try:
        with shown("starting Spark", lines=False), printing_to_it(), spelling_names():
            spark = _started(builder.config(map=settings))
    except Exception as error:
        said = reason() or str(error).splitlines()[0]
        raise PlatformError(
            f"Spark did not start ({said}); look at the memory and the master in the configuration {conf!r}; all that "
            f"it printed is in {keep('')}"
        ) from error
    trust_workers(spark)
    return spark
