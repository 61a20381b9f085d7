"""Ends the command line on Ctrl-C, SIGTERM or a closed terminal: one sentence, no process left, the usual status.

A thread waits for the signal and ends the process from outside of whatever it was doing. PySpark's own handler calls
the JVM over the very connection that the interrupted call is reading, and an exception that is raised anywhere may be
lost in a callback; commits are atomic, so that a process that ends at any moment loses a unit of work at most.
Left out: programs and notebooks that loaded Spark themselves; their handlers, and their Spark, stay as they are.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
#: Seconds that child processes get to tidy up after themselves before they are killed.
PATIENCE_SECONDS = 2.5
#: Files and folders that a process that is stopped takes away.
LEFTOVERS: set[Path] = set()
#: What is called before the sentence is written: whoever draws on the terminal stops.
FAREWELLS: list[Callable[[], None]] = []
_ending = threading.Event()
_armed = threading.Event()


def armed() -> bool:
    """Tell whether a signal ends this process by a sentence."""
    return _armed.is_set()


@contextmanager
def ended_by_signals(sentence: Callable[[], str]) -> Iterator[None]:
    """End the process with a sentence on the first signal of SIGNALS; afterwards signals go on doing so.

    The sentence is made in another thread, when the signal has come.
    Nothing changes in a process that has loaded pyspark already, or outside of its main thread. A process that is
    ending does not leave the block: whatever its last calls returned or raised is not said any more.
    """
    hosted = "pyspark" in sys.modules or threading.current_thread() is not threading.main_thread()
    if not hosted and not armed():
        _arm(sentence)
    try:
        yield
    finally:
        while _ending.is_set():
            time.sleep(1)


def _arm(sentence: Callable[[], str]) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    terminal = os.dup(2)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for name in SIGNALS:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        # Under nohup a closed terminal is to be ignored.
        if number and not (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
            signal.signal(number, _woken)
    threading.Thread(target=_wait, args=(reader, terminal, sentence), daemon=True).start()
    _armed.set()


def _woken(number: int, frame: FrameType | None) -> None:
    """Do nothing: Python has written the signal's number to the pipe, and the thread behind it acts."""


def _wait(reader: int, terminal: int, sentence: Callable[[], str]) -> None:
    handled = {int(getattr(signal, name)) for name in SIGNALS if hasattr(signal, name)}
    number = 0
    while number not in handled:
        number = os.read(reader, 1)[0]
    _ending.set()
    for stop in tuple(FAREWELLS):
        with suppress(Exception):
            stop()
    with suppress(OSError):  # the terminal may be gone
        os.write(terminal, f"lakesift: {sentence()}\n".encode())
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # whatever now fails for want of Spark has nothing to say
        os.dup2(nowhere, descriptor)
    with suppress(Exception):
        end_children()
    for path in tuple(LEFTOVERS):
        _remove(path)
    os._exit(128 + number)


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """Take a file or folder away when the block ends, or when the process is stopped inside of it."""
    LEFTOVERS.add(path)
    try:
        yield path
    finally:
        _remove(path)
        LEFTOVERS.discard(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def end_children() -> None:
    """End all processes below this one: Spark's JVM, its Python workers, programs that a command started."""
    below = descendants(os.getpid())
    for number, seconds in ((signal.SIGTERM, PATIENCE_SECONDS), (getattr(signal, "SIGKILL", signal.SIGTERM), 1.0)):
        for pid in below:
            with suppress(OSError):
                os.kill(pid, number)
        until = time.monotonic() + seconds
        while below and time.monotonic() < until:
            time.sleep(0.05)
            living = _processes()
            below = [pid for pid in below if pid in living]


def descendants(process: int) -> list[int]:
    """Return the processes below one, nearest first."""
    parents, below = _processes(), [process]
    for parent in below:  # grows while it is read
        below += [pid for pid, above in parents.items() if above == parent]
    return below[1:]


def _processes() -> dict[int, int]:
    """Return the parent of every process that has not ended, by its id."""
    parents: dict[int, int] = {}
    if Path("/proc/self/stat").exists():
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended meanwhile
                state, parent = file.read_bytes().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    parents[int(file.parent.name)] = int(parent)
        return parents
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=False)
    for words in map(str.split, listed.stdout.splitlines()):
        if words[2][0] != "Z":
            parents[int(words[0])] = int(words[1])
    return parents
