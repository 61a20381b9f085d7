"""Runs a round of training on answers in a process of its own, which gives its memory back when it ends.

`python -m lakesift.udfs.models.answer_process FOLDER` reads FOLDER/task.json and the kept states it names, prints
"train 12/38" and the like, and writes new_hidden/N.npy, layers.npz and, last, result.json. Arrays are never pickled.
`train_in_process` is the other side. The child ends with its parent: it looks for it at every step. Left out: a limit
on time, other machines.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Floats, Matrix
from ..errors import LakeSiftError, ScoreError
from .answer_task import HeldOut, Progress, Result, Row, Task, Training
from .answer_training import train

#: Exit status of a child whose last line is a sentence for the user; of one whose parent is gone.
_SAID, _ALONE = 3, 4


def train_in_process(
    work: Path, task: Task, hidden: Mapping[str, Matrix] | None = None, progress: Progress | None = None
) -> Result:
    """Return what `answer_training.train` does, computed in a child process.

    Parameters
    ----------
    work : Path
        A folder for this round alone, made if need be; the caller deletes it.
    task : Task
    hidden : mapping, optional
    progress : callable, optional

    Raises
    ------
    ScoreError
        With the child's own sentence, or how it ended and the last line of its log.
    """
    _write_task(work, task, hidden or {})
    command = [sys.executable, "-m", __name__, str(work)]
    # The child imports what this process does, from where this process does.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    step = ""
    with (work / "log.txt").open("w") as log:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        assert child.stdout is not None
        try:
            for line in child.stdout:
                phase, _, counts = line.strip().rpartition(" ")
                done, _, of = counts.partition("/")
                if done.isdigit() and of.isdigit():
                    step = line.strip()
                    if progress:
                        progress(phase, int(done), int(of))
        except BaseException:  # an interrupt, or an error of `progress`
            child.kill()
            raise
        finally:
            status = child.wait()
            child.stdout.close()
    if status:
        raise ScoreError(_ended(status, step, work / "log.txt"))
    return _read_result(work)


def _ended(status: int, step: str, log: Path) -> str:
    """Return a sentence for a child that failed."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else "it left no message"
    if status == _SAID and lines:
        return last
    at = f" after {step!r}" if step else ""
    if status < 0:
        name = next((s.name for s in signal.Signals if s == -status), "no known one")
        return (
            f"the training process was killed by signal {-status} ({name}){at}; it needs about 3 GB of memory for "
            f"smollm2: give this machine more, or lower most, if the system killed it; its last words: {last}"
        )
    return f"the training process ended with exit code {status}{at}: {last}; its log is {log}"


def _write_task(work: Path, task: Task, hidden: Mapping[str, Matrix]) -> None:
    (work / "hidden").mkdir(parents=True, exist_ok=True)
    (work / "result.json").unlink(missing_ok=True)
    (work / "task.json").write_text(json.dumps({**asdict(task), "hidden": _write_arrays(work, "hidden", hidden)}))


def _write_arrays(work: Path, folder: str, arrays: Mapping[str, Matrix]) -> dict[str, str]:
    """Write arrays as work/folder/N.npy; returns id -> file."""
    (work / folder).mkdir(exist_ok=True)
    files = {i: f"{folder}/{n}.npy" for n, i in enumerate(arrays)}
    for i, file in files.items():
        np.save(work / file, arrays[i], allow_pickle=False)
    return files


def _read_arrays(work: Path, files: Mapping[str, str]) -> dict[str, Matrix]:
    return {i: np.load(work / file, allow_pickle=False) for i, file in files.items()}


def _read_task(work: Path) -> tuple[Task, dict[str, Matrix]]:
    said = json.loads((work / "task.json").read_text())
    rows, held_out = ([Row(**row) for row in said[name]] for name in ("rows", "held_out"))
    task = Task(said["model"], Training(**said["training"]), rows, said["asked"], held_out)
    return task, _read_arrays(work, said["hidden"])


def _write_result(work: Path, result: Result) -> None:
    held = result.held_out
    said = {
        "rewards": _nulls(result.rewards),
        "generated": list(result.generated),
        "losses": _nulls(result.losses),
        "trained": result.trained,
        "held_out": {"before": _nulls(held.before), "after": _nulls(held.after), "tokens": held.tokens.tolist()},
        "hidden": _write_arrays(work, "new_hidden", result.hidden),
        "seconds": dict(result.seconds),
        "rss_mb": result.rss_mb,
    }
    layers: dict[str, Any] = dict(result.layers)
    np.savez(work / "layers.npz", **layers)
    (work / "result.json").write_text(json.dumps(said, allow_nan=False))


def _read_result(work: Path) -> Result:
    said = json.loads((work / "result.json").read_text())
    with np.load(work / "layers.npz", allow_pickle=False) as layers:
        trained = {name: layers[name] for name in layers.files}
    held = said["held_out"]
    return Result(
        rewards=_floats(said["rewards"]),
        generated=said["generated"],
        losses=_floats(said["losses"]),
        trained=said["trained"],
        held_out=HeldOut(_floats(held["before"]), _floats(held["after"]), np.array(held["tokens"], np.int64)),
        layers=trained,
        hidden=_read_arrays(work, said["hidden"]),
        seconds=said["seconds"],
        rss_mb=said["rss_mb"],
    )


def _nulls(values: Floats) -> list[Any]:
    return [float(v) if np.isfinite(v) else None for v in values]


def _floats(values: list[Any]) -> Floats:
    return np.array([np.nan if v is None else v for v in values], np.float64)


def main(work: Path) -> int:
    """Run the round of a folder; returns the exit status."""
    parent = os.getppid()

    def progress(phase: str, done: int, of: int) -> None:
        if os.getppid() != parent:
            os._exit(_ALONE)
        sys.stdout.write(f"{phase} {done}/{of}\n")
        sys.stdout.flush()

    try:
        _write_result(work, train(*_read_task(work), progress))
    except LakeSiftError as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return _SAID
    except BrokenPipeError:
        os._exit(_ALONE)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
