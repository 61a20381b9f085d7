"""Java starts in a locale that can spell every name; the process keeps its own."""

from __future__ import annotations

import os
import sys

import pytest

from lakesift.jobs.lake.java_locale import spelling_names


@pytest.mark.skipif(sys.platform != "linux", reason="other systems spell names without a locale")
@pytest.mark.parametrize(
    ("given", "inside"),
    [
        ({}, "C.UTF-8"),
        ({"LC_ALL": "C"}, "C.UTF-8"),
        ({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, "C.UTF-8"),
        ({"LC_ALL": "", "LANG": "C"}, "C.UTF-8"),
        ({"LANG": "de_DE.ISO-8859-1"}, "C.UTF-8"),
        ({"LANG": "de_DE"}, "C.UTF-8"),
        ({"LANG": "de_DE.UTF-8"}, None),
        ({"LANG": "de_DE.utf8"}, None),
        ({"LC_ALL": "C.UTF-8"}, "C.UTF-8"),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, None),
    ],
)
def test_names_can_be_spelled(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], inside: str | None) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with spelling_names():
        assert os.environ.get("LC_ALL") == inside
    assert {k: os.environ[k] for k in ("LC_ALL", "LC_CTYPE", "LANG") if k in os.environ} == given
