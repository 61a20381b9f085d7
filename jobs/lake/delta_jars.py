"""Delta's jars for a Spark that is started here: from the Ivy folder, else fetched once by spark-submit's own resolver.

Fetching is a child process whose log is shown only as the reason of a failure: inside the JVM of a session Ivy prints
about a hundred lines to the terminal. Mirrors are named as for Spark: `spark.jars.ivySettings`,
`spark.jars.repositories`, `spark.jars.ivy` in the configuration file, or Java's proxy options.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path
from subprocess import PIPE, STDOUT, run

from ...udfs.errors import PlatformError

log = logging.getLogger("lakesift")

#: Delta's Maven coordinate for each Spark line that is tested.
DELTA = {"4.1": "delta-spark_4.1_2.13", "4.0": "delta-spark_2.13", "3.5": "delta-spark_2.12"}
#: What Delta names and neither Spark nor LakeSift needs.
EXCLUDED = ("delta-kernel-api", "delta-kernel-defaults", "delta-kernel-unitycatalog")
#: Settings that decide where from, and where to, jars are fetched.
FETCHING = ("spark.jars.ivy", "spark.jars.ivySettings", "spark.jars.repositories", "spark.driver.extraJavaOptions")


def delta_jars(conf: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the settings that bring Delta's jars.

    Parameters
    ----------
    conf : mapping, optional
        Settings of the session to be started.

    Raises
    ------
    PlatformError
        If the installed versions do not fit, or the jars are not here and cannot be fetched.
    """
    conf = conf or {}
    spark = ".".join(metadata.version("pyspark").split(".")[:2])
    try:
        delta = metadata.version("delta-spark")
    except metadata.PackageNotFoundError:
        raise PlatformError("the package delta-spark is missing: pip install 'lakesift[local]'") from None
    artifact = DELTA.get(spark)
    if artifact is None:
        raise PlatformError(
            f"pyspark {spark} is not supported; allowed: {', '.join(DELTA)}: pip install 'lakesift[local]'"
        )
    names = [f"io.delta_{artifact}-{delta}.jar", f"io.delta_delta-storage-{delta}.jar"]
    if spark == "3.5":
        names.append("org.antlr_antlr4-runtime-4.9.3.jar")
    default = Path.home() / (".ivy2" if spark == "3.5" else ".ivy2.5.2")
    folders = [Path(conf["spark.jars.ivy"])] if "spark.jars.ivy" in conf else [default, Path.home() / ".ivy2"]
    excluded = ",".join(f"io.delta:{name}" for name in EXCLUDED)
    packages = {"spark.jars.packages": f"io.delta:{artifact}:{delta}", "spark.jars.excludes": excluded}
    if not (jars := _jars_in(folders, names)):
        # Java may know another home than $HOME.
        place = {} if "spark.jars.ivySettings" in conf else {"spark.jars.ivy": str(default)}
        _fetch({**packages, **place, **{key: conf[key] for key in FETCHING if key in conf}})
        jars = _jars_in(folders, names)
    # Ivy's settings may keep them elsewhere: the session finds them as the child did.
    return {"spark.jars": ",".join(map(str, jars))} if jars else packages


def _jars_in(folders: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """Return the jars of the first Ivy folder that holds them all, [] if none does."""
    choices = ([folder / "jars" / name for name in names] for folder in folders)
    return next((jars for jars in choices if all(j.is_file() for j in jars)), [])


def _fetch(settings: Mapping[str, str]) -> None:
    """Let spark-submit resolve packages for a program that does nothing; raises PlatformError with Ivy's reason."""
    log.info("first start: fetching Delta's jars (12 MB) once")
    home = os.environ.get("SPARK_HOME") or str(resources.files("pyspark"))
    submit = Path(home) / "bin" / ("spark-submit.cmd" if os.name == "nt" else "spark-submit")
    nothing = Path(__file__).with_name("__init__.py")  # an empty file, to stay so
    pairs = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    env = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    command = [str(submit), "--master", "local[1]", *pairs, str(nothing)]
    try:
        done = run(command, env=env, stdout=PIPE, stderr=STDOUT, encoding="utf-8", errors="replace", check=False)
    except OSError as error:
        raise PlatformError(f"{submit} cannot be started ({error.strerror}); is SPARK_HOME right?") from error
    log.debug("%s", done.stdout)
    if done.returncode:
        raise PlatformError(
            f"Delta's jars cannot be fetched ({fetch_error(done.stdout)}); the first start needs Maven Central, a "
            "mirror (spark.jars.ivySettings in a --spark FILE), or the jars in ~/.ivy2.5.2/jars"
        )


def fetch_error(text: str) -> str:
    """Return the reason in the log of a failed fetch: Ivy's, and the network's if there is one; else the last line.

    Examples
    --------
    >>> fetch_error("Server access error at url https://repo1.maven.org/x.pom (java.net.ConnectException: refused)")
    'https://repo1.maven.org: refused'
    >>> fetch_error("java.lang.RuntimeException: [unresolved dependency: io.delta#delta-storage;4.4.0: not found]")
    'unresolved dependency: io.delta#delta-storage;4.4.0: not found'
    """
    patterns = (
        r"RuntimeException: \[?([^\]\n]+)",
        r"access error at url (\w+://[^/\s]+)\S* \((?:[\w.]+: )?(.+)\)",
        r"(Host \S+ not found)",
    )
    reasons = [": ".join(match.groups()) for p in patterns if (match := re.search(p, text))]
    last = [line.strip() for line in text.splitlines() if line.strip()][-1:]
    return "; ".join(reasons or last or ["spark-submit printed nothing"])
