"""A test run that goes on where it was stopped: `pytest -p tests.go_on`, for `make test-all`, which takes hours.

The names of tests that passed are kept in build/passed, under the commit; a run of the same commit without uncommitted
changes leaves those out. Without a repository nothing is kept.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = pytest.StashKey[frozenset[str]]()


def commit() -> str:
    """Return the commit that is checked out, "" where something is not committed, and where there is no repository."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    try:
        return "" if git("status", "--porcelain") else git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return ""


def pytest_configure(config: pytest.Config) -> None:
    """Read which tests passed; processes of pytest-xdist are told, since all have to collect the same ones."""
    told: list[str] | None = getattr(config, "workerinput", {}).get("passed")
    if told is None and (name := commit()):
        file = ROOT / "build" / "passed" / name
        told = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        config.pluginmanager.register(Noted(file))
    config.stash[LEFT_OUT] = frozenset(told or ())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of pytest-xdist."""
    node.workerinput["passed"] = sorted(node.config.stash[LEFT_OUT])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what passed."""
    passed = [item for item in items if item.nodeid in config.stash[LEFT_OUT]]
    config.hook.pytest_deselected(items=passed)
    items[:] = [item for item in items if item.nodeid not in config.stash[LEFT_OUT]]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Nothing left to run is no failure where tests have passed before."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.stash[LEFT_OUT]:
        session.exitstatus = pytest.ExitCode.OK


class Noted:
    """Writes the name of each test that passes, its fixtures included, as it ends."""

    def __init__(self, file: Path) -> None:
        self.file, self.called = file, set[str]()
        file.parent.mkdir(parents=True, exist_ok=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test whose body and end passed."""
        if report.when == "call" and report.passed:
            self.called.add(report.nodeid)
        if report.when == "teardown" and report.passed and report.nodeid in self.called:
            with self.file.open("a", encoding="utf-8") as names:
                names.write(f"{report.nodeid}\n")
