"""A bar on a real terminal (a pty), its words at every width, and lines where nobody looks."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from lakesift.jobs.lake import progress
from lakesift.jobs.lake.bar import Bar, fitted
from lakesift.jobs.lake.pace import State
from lakesift.jobs.lake.progress import Meter, Phases, Step
from lakesift.jobs.lake.text_width import width_of

pytest.importorskip("tqdm")

STATES = [
    State(
        "[3/6] compute", "alignment, tokens, ratio", 0.25,
        ("about 5,000 of 20,000 rows", "120 rows/s", "about 2 min left"),
    ),
    State("[3/6] compute", "s" * 10_000, 1.0, ("20,000,000 of 20,000,000 rows", "12,345 rows/s")),
    State("[3/6] compute", "\u6f22\u5b57" * 60, 0.0, ("0 of 9 rows", "0.0 rows/s")),
    State("[1/6] ingest " + "a_long_name" * 9, "", None, ("12 s", "5 of 8 tasks")),
    State("report {0} %s", "", None, ("0 s",)),
]  # fmt: skip


class Screen:
    """A stream of a terminal that is only as wide as it says."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    def fileno(self) -> int:
        raise OSError


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("width", [30, 59, 79, 119, 200])
def test_the_line_fits_every_terminal(state: State, width: int) -> None:
    line = Bar(Screen()).line(state, width)  # type: ignore[arg-type]
    assert width_of(line) <= width
    assert "\n" not in line
    if width >= 59:
        assert line.startswith(state.title[:10]), "the step and its number stay"
        assert state.pieces[0].removeprefix("about ") in line, "and the rows"
        assert state.share is None or f"{100 * state.share:.0f} %" in line


def test_what_stays_where_there_is_little_room() -> None:
    assert fitted(STATES[0], 119) == (
        "[3/6] compute: alignment, tokens, ratio", "5,000 of 20,000 rows, 120 rows/s, 2 min left"
    )  # fmt: skip
    assert fitted(STATES[0], 79) == ("[3/6] compute", "5,000 of 20,000 rows, 120 rows/s, 2 min left")
    assert fitted(STATES[0], 59) == ("[3/6] compute", "5,000 of 20,000 rows, 2 min left")


def test_between_units_rows_are_estimated_by_tasks_and_never_go_back() -> None:
    step = Step("[3/6] compute")
    with progress.shown("compute", lines=False) as shown:
        meter = Meter("alignment\n", 1000)
        assert shown.meter is meter
    step.meter = meter
    assert step.state((3, 4)).share == 0.0, "no unit has begun"
    meter.begins(400)
    assert [step.state(tasks).share for tasks in ((0, 4), (2, 4), (1, 4), (4, 4), (0, 0))] == [0.0, 0.2, 0.2, 0.4, 0.4]
    assert step.state((2, 4)).pieces[0] == "about 400 of 1,000 rows"
    meter.ends(390)
    assert step.state((0, 0)).pieces[0] == "390 of 1,000 rows", "what is counted is told as it is"
    meter.begins(5000)
    assert step.state((4, 4)).share == 1.0
    meter.ends(1000)
    assert step.state((1, 2)).pieces[1:] == ("1 of 2 tasks",), "what comes after it is shown by tasks"
    assert "\n" not in step.state((0, 0)).line


def test_stages_are_counted_and_steps_nest(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "lakesift")
    with progress.stages("ingest", "hashes"), progress.shown("run", lines=False) as outer:
        with progress.shown("hashes", "hashes") as inner:
            assert (inner.title, outer.inner) == ("[2/2] hashes", 1)
            Phases("round 1")("training", 1, 2)
        with progress.shown("fit x\x1b[2J", "scores") as other:
            assert other.title == "fit x\\x1b[2J", "no stage of these, and nothing that acts on a terminal"
    assert outer.inner == 0
    assert [r.getMessage() for r in caplog.records][:2] == ["[2/2] hashes", "  round 1, training: 1 of 2 steps, "
        + caplog.records[1].getMessage().rpartition("steps, ")[2]]  # fmt: skip
    assert all(getattr(r, "passing", False) for r in caplog.records), "a bar shows all of it"


def test_spark_is_not_asked_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pyspark", raising=False)
    assert progress.tasks_of_spark() == (0, 0)
    assert "pyspark" not in sys.modules


class Stage:
    """A stage as Spark's status tracker tells it."""

    def __init__(self, done: int, tasks: int) -> None:
        self.numCompletedTasks, self.numTasks = done, tasks


class Tracker:
    """Spark's status tracker, of which a stage has ended between two questions."""

    def statusTracker(self) -> Tracker:
        return self

    def getActiveStageIds(self) -> list[int]:
        return [4, 5, 6]

    def getStageInfo(self, stage: int) -> Stage | None:
        return {4: Stage(3, 8), 6: Stage(1, 2)}.get(stage)


def test_tasks_are_those_of_the_stages_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(_active_spark_context=Tracker())
    monkeypatch.setitem(sys.modules, "pyspark", SimpleNamespace(SparkContext=context))
    assert progress.tasks_of_spark() == (4, 10)
    context._active_spark_context = None  # Spark Connect
    assert progress.tasks_of_spark() == (0, 0)


class Shown:
    """A display that remembers what it showed."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.hidden = 0

    def show(self, state: State) -> None:
        self.states.append(state)

    def hide(self) -> None:
        self.hidden += 1

    def above(self) -> AbstractContextManager[None]:
        return nullcontext()


def test_a_display_shows_the_innermost_step_and_is_hidden_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "TICK_SECONDS", 0.01)
    by = Shown()

    def fails() -> None:
        with progress.shown("hashes"):
            time.sleep(0.1)
            raise ZeroDivisionError

    with progress.displayed(by), progress.shown("run", lines=False):
        time.sleep(0.1)
        with pytest.raises(ZeroDivisionError):
            fails()
        before = len(by.states)
        assert by.hidden == 1, "the error's sentence stands alone"
        time.sleep(0.1)
    titles = [state.title for state in by.states]
    assert list(dict.fromkeys(titles)) == ["run", "hashes"]
    assert titles[before - 1] == "hashes"
    assert titles[-1] == "run", "the outer step goes on"
    count = len(by.states)
    time.sleep(0.05)
    assert (len(by.states), progress.display()) == (count, None), "nothing is drawn afterwards"


def test_a_step_that_is_over_is_not_drawn_although_spark_answers_late(monkeypatch: pytest.MonkeyPatch) -> None:
    def late() -> tuple[int, int]:
        time.sleep(0.2)
        return 1, 2

    monkeypatch.setattr(progress, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(progress, "tasks_of_spark", late)
    by = Shown()
    with progress.displayed(by):
        with progress.shown("hashes"):
            time.sleep(0.05)
        time.sleep(0.3)
    assert by.states == []


COMMAND = """
import logging, sys, time
from lakesift.jobs import cli
from lakesift.jobs.lake import progress
from lakesift.jobs.lake.log_file import printing_to_it
progress.TICK_SECONDS = 0.02
log = logging.getLogger("lakesift")

def work(_):
    with progress.shown("starting", lines=False), printing_to_it():
        print("of Java", file=sys.stderr, flush=True)
        time.sleep(0.2)
    with progress.stages("hashes", "scores"):
        with progress.shown("compute", "scores"):
            meter = progress.Meter("alignment", 1000)
            for rows in (250, 500):
                meter.ends(rows)
                time.sleep(0.3)
            log.info("a line")
            time.sleep({sleep})
    from lakesift.jobs.lake.text_table import rows_of
    return rows_of(("name", "rows", "mean", "other", "last"), [("n" * 90, 1, 2.5, "o" * 30, "p" * 30)])

cli.COMMANDS["list"] = work
cli.main(["list", "scores", *{options}])
"""


def on_terminal(columns: int, options: list[str], stop: bool = False) -> tuple[str, int]:
    """Run COMMAND on a pseudo terminal; returns what it wrote, and its status. `stop` sends Ctrl-C at the line."""
    above, below = pty.openpty()
    fcntl.ioctl(below, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    code = COMMAND.format(sleep=20 if stop else 0.2, options=options)
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")} | {
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
    }
    with subprocess.Popen([sys.executable, "-c", code], stdin=below, stdout=below, stderr=below, env=env) as process:
        os.close(below)
        said, until = b"", time.monotonic() + 120
        while time.monotonic() < until:
            if select.select([above], [], [], 1.0)[0]:
                try:
                    more = os.read(above, 65_536)
                except OSError:  # Linux says so at the end
                    break
                said += more
                if stop and b"a line" in said and said.rpartition(b"a line")[2].count(b"compute") > 1:
                    process.send_signal(signal.SIGINT)
                    stop = False
        process.wait(30)
    os.close(above)
    return said.decode(), process.returncode


def on_screen(said: str) -> list[str]:
    """Return the lines that are left on a terminal on which carriage returns and line feeds act."""
    lines = []
    for line in said.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


@pytest.mark.parametrize("columns", [60, pytest.param(120, marks=pytest.mark.long)])
def test_a_bar_is_drawn_and_goes_away(columns: int) -> None:
    said, status = on_terminal(columns, [])
    assert status == 0
    drawn = [p for p in re.split(r"[\r\n]", said) if "[2/2] compute" in p]
    assert any("50 %" in p and "500 of 1,000 rows" in p for p in drawn), said
    assert max(map(width_of, re.split(r"[\r\n]", said))) <= columns, "and nothing wraps: bar, lines and table"
    assert "starting  0 s" in said, "also while Spark prints to a file"
    assert "Java" not in said
    left = [line for line in on_screen(said) if line]
    assert left[0] == "a line", "no half bar is left"
    assert left[1].startswith("name")
    assert "n" * 90 not in said


def test_ctrl_c_takes_the_bar_away_and_says_one_sentence() -> None:
    said, status = on_terminal(80, [], stop=True)
    assert [line for line in on_screen(said) if line] == [
        "a line", "lakesift: stopped; finished units are kept, run again to go on",
    ], repr(said[-400:])  # fmt: skip
    assert status == 130


def test_quiet_prints_the_result_alone() -> None:
    said, status = on_terminal(120, ["--quiet"])
    assert status == 0
    assert "compute" not in said
    assert "a line" not in said
    assert next(line for line in on_screen(said) if line).startswith("name")


def test_redirected_are_lines_with_a_clock_and_the_whole_table(tmp_path: Path) -> None:
    code = COMMAND.format(sleep=0, options=["--log-file", str(tmp_path / "log")])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines), done.stderr
    assert [line[9:] for line in lines][:2] == ["[2/2] compute", "  alignment: 250 of 1,000 rows, "
        + lines[1].partition("rows, ")[2]]  # fmt: skip
    assert lines[-1][9:] == "a line"
    assert "\r" not in done.stderr + done.stdout
    assert "n" * 90 in done.stdout
    assert "alignment: 500 of 1,000 rows" in (tmp_path / "log").read_text(encoding="utf-8")
