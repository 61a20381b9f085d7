"""mypy --strict on the code under the names it is imported by: `python -m tests.types`, exit status of mypy.

mypy cannot follow the folder mapping of an editable install, so a git-ignored folder of links stands in for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINKS = ROOT / ".links"


def link() -> Path:
    """Make .links/lakesift/{udfs,jobs,conf} point at the folders of this checkout; returns .links."""
    for name in ("udfs", "jobs", "conf"):
        place, target = LINKS / "lakesift" / name, os.path.join("..", "..", name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink() or os.readlink(place) != target:
            place.unlink(missing_ok=True)
            place.symlink_to(target)
    return LINKS


def main() -> int:
    """Check both packages; returns mypy's exit status."""
    settings = ("--config-file", str(ROOT / "setup.cfg"), "--cache-dir", str(ROOT / ".mypy_cache"))
    command = [sys.executable, "-m", "mypy", *settings, "lakesift/udfs", "lakesift/jobs"]
    return subprocess.run(command, cwd=link(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
