"""`make test-all` goes on where it was stopped, at the same commit only."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests import go_on

CASES = """
import pathlib, pytest
@pytest.mark.parametrize("name", ["good", "mended", "better"])
def test_it(name):
    assert name != "mended" or pathlib.Path(__file__).with_name("mended").exists()
@pytest.fixture
def torn():
    yield
    assert pathlib.Path(__file__).with_name("mended").exists()
def test_torn(torn): pass
"""


def ran(root: Path, *options: str) -> tuple[int, dict[str, int]]:
    """Return the exit status of pytest and its counts: {"passed": 2, "failed": 1}."""
    command = [sys.executable, "-m", "pytest", "-p", "checks.go_on", "-p", "no:cacheprovider", "-q", *options]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1]
    return done.returncode, {what: int(n) for n, what in re.findall(r"(\d+) (\w+)", last)}


def test_what_passed_at_a_commit_is_not_run_again(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        name = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "checks").mkdir()
    shutil.copy(go_on.__file__, tmp_path / "checks")
    (tmp_path / "test_cases.py").write_text(CASES)
    (tmp_path / ".gitignore").write_text("build\nmended\n__pycache__\n")
    assert ran(tmp_path)[1] == {"failed": 1, "passed": 3, "error": 1}
    assert not (tmp_path / "build").exists(), "no repository"
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    assert ran(tmp_path, "-n", "2")[1] == {"failed": 1, "passed": 3, "error": 1}
    assert ran(tmp_path, "-n", "2")[1] == {"failed": 1, "passed": 1, "error": 1}

    (tmp_path / "mended").touch()
    assert ran(tmp_path) == (0, {"passed": 2, "deselected": 2})
    assert ran(tmp_path)[0] == 0

    (tmp_path / "more").touch()
    assert ran(tmp_path)[1] == {"passed": 4}
    git("add", ".")
    git("commit", "-m", "two")
    assert ran(tmp_path)[1] == {"passed": 4}
