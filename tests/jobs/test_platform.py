"""What the machine lacks, and what the command line makes of errors: one sentence each, no traceback, no JVM."""

from __future__ import annotations

import builtins
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from lakesift.jobs import cli
from lakesift.jobs.lake import session
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.ranking.vectors import collect_arrow, collect_flat
from lakesift.udfs.errors import LakeSiftError, PlatformError, RecipeError

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


def test_projections_are_compiled_for_many_rows_only(spark: SparkSession) -> None:
    mode = "spark.sql.codegen.factoryMode"
    assert spark.conf.get(mode) == session.read_conf("local")[mode] == "NO_CODEGEN"
    for rows, inside in ((session.COMPILE_FROM - 1, "NO_CODEGEN"), (session.COMPILE_FROM, "FALLBACK")):
        with session.compiled(spark, rows):
            assert spark.conf.get(mode) == inside
        assert spark.conf.get(mode) == "NO_CODEGEN"


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

    monkeypatch.setattr(session.metadata, "version", version)
    assert held in refused(session.delta_jars)


def test_unknown_spark_configuration() -> None:
    assert refused(lambda: session.read_conf("clutser")) == (
        "there is no Spark configuration 'clutser': give local, cluster or the path of a file"
    )


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
lakesift.udfs.errors.ScoreError: score 'mortal' of id 'doc-7' is infinite; a score must be finite
\tat org.apache.spark.api.python.BasePythonRunner
"""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LakeSiftError("plain"), "plain"),
        (RuntimeError(WORKER), "score 'mortal' of id 'doc-7' is infinite; a score must be finite"),
        (RuntimeError("KeyError: 'x'"), None),
    ],
)
def test_the_sentence_inside_an_error(error: Exception, said: str | None) -> None:
    assert cli.sentence(error) == said
