"""A file of results is there whole or not at all, takes the place of a link, and is refused before anything runs."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest

from lakesift.jobs.lake.interrupts import LEFTOVERS, temporary
from lakesift.jobs.lake.whole_files import whole_file
from lakesift.udfs.errors import InputError
from tests.types import ROOT


def write(place: Path, text: str) -> None:
    with whole_file(place, "--out") as put:
        put(text)


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    victim, place = tmp_path / "victim", tmp_path / "report.json"
    victim.write_text("precious")
    place.symlink_to(victim)
    write(place, "new é")
    assert (victim.read_text(), place.read_text(encoding="utf-8"), place.is_symlink()) == ("precious", "new é", False)
    assert place.stat().st_mode & 0o777 == 0o666 & ~_mask()
    write(place, "newer")
    assert place.read_text() == "newer"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.json", "victim"]


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "report.json"
    place.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(place, "--out"):
        raise ZeroDivisionError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("report.json", "old")]


def test_what_is_temporary_is_known_to_whoever_stops_the_process_and_gone_afterwards(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    for make in (Path.mkdir, Path.touch, lambda place: place.symlink_to(kept), lambda _: None):
        place = tmp_path / "half"
        with suppress(ZeroDivisionError), temporary(place):
            make(place)
            assert place in LEFTOVERS
            raise ZeroDivisionError
        assert place not in LEFTOVERS
        assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_every_temporary_folder_of_a_command_is_such() -> None:
    """No command makes a folder beside what it writes without saying so to whoever stops the process."""
    root = ROOT / "jobs"
    made = re.compile(r"mkdtemp|TemporaryDirectory\(|uuid4\(\)\.hex")
    makers = [path for path in root.rglob("*.py") if made.search(path.read_text(encoding="utf-8"))]
    known = {"tables.py"}  # an attempt's name
    for path in makers:
        if path.name not in known:
            assert "temporary(" in path.read_text(), path
    assert len(makers) >= 4


def test_what_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name, held in (
        ("folder", "is no file"), ("pipe", "is no file"), ("link", "is no file"), ("absent/x", "No such file"),
        ("/proc/x", "cannot be written"),
    ):  # fmt: skip
        ran = []
        with pytest.raises(InputError, match=held), whole_file(tmp_path / name, "--out"):
            ran.append(name)
        assert not ran
