"""The lock of a folder lake: only its own file is written, and it is the path's, whatever becomes of the folder."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lakesift.jobs.lake import lock
from lakesift.jobs.lake.lock import hold
from lakesift.udfs.errors import PlatformError


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this test alone."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(lock.tempfile, "gettempdir", lambda: str(place))
    return place


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


def link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def folder(path: Path, _: Path) -> None:
    path.mkdir()


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [link, hard_link, folder, pipe])
def test_what_is_no_file_of_its_own_is_refused_and_unharmed(
    plant: Callable[[Path, Path], None], lake: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    plant(lake / ".lakesift.lock", victim)
    with pytest.raises(PlatformError, match=r"\.lakesift\.lock .*remove it"), hold(lake, "a run"):
        pass
    assert victim.read_text() == "precious"


def test_a_folder_of_locks_that_others_may_write_is_refused(lake: Path, own: Path) -> None:
    place = own / f"lakesift-locks-{os.getuid()}"
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(PlatformError, match="not a folder of this user alone"), hold(lake, "a run"):
        pass
    place.rmdir()
    place.symlink_to(lake)
    with pytest.raises(PlatformError, match="not a folder of this user alone"), hold(lake, "a run"):
        pass


def entered(place: Path) -> tuple[threading.Thread, threading.Event]:
    """Start a second writer; returns its thread, and what is set when it holds the lock."""
    inside = threading.Event()

    def work() -> None:
        with hold(place, "the second"):
            inside.set()

    thread = threading.Thread(target=work)
    thread.start()
    return thread, inside


@pytest.mark.parametrize("again", [True, False], ids=["made anew", "removed"])
def test_a_lake_that_is_removed_under_a_run_stays_locked(again: bool, lake: Path) -> None:
    with hold(lake, "the first"):
        shutil.rmtree(lake)
        if again:
            lake.mkdir()
        thread, inside = entered(lake)
        assert not inside.wait(0.3)
    thread.join(10)
    assert inside.is_set()
    assert lake.is_dir()


def test_who_waits_for_a_file_that_is_removed_locks_the_one_that_is_there(
    lake: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another user's lock only the file in the lake is seen."""
    with hold(lake, "the first"):
        monkeypatch.setattr(lock, "_own_file", lambda _: own / "another user's")
        thread, inside = entered(lake)
        assert not inside.wait(0.3)
        (lake / ".lakesift.lock").unlink()
    thread.join(10)
    assert inside.is_set()
    assert (lake / ".lakesift.lock").is_file()


def test_links_to_one_lake_are_one_lake(lake: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(lake)
    with hold(lake, "the first"):
        thread, inside = entered(tmp_path / "other")
        assert not inside.wait(0.3)
    thread.join(10)
    assert inside.is_set()
