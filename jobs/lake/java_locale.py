"""The locale that Java is started in: it decides which names of files Java can open at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def spelling_names() -> Iterator[None]:
    """Start Java inside with a locale that can spell every name: in that of C it finds no file but of ASCII letters."""
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    given = next((os.environ[name] for name in names if os.environ.get(name)), "C")
    if sys.platform != "linux" or "utf" in given.lower():
        yield
        return
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C.UTF-8"
    try:
        yield
    finally:
        os.environ.pop("LC_ALL")
        if before is not None:
            os.environ["LC_ALL"] = before
