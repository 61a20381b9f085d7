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
    """Make .links/lakesift point at the folders of this checkout, and at the files of jobs/api; returns .links."""
    files = [p.relative_to(ROOT) for p in sorted((ROOT / "jobs" / "api").iterdir()) if p.suffix in (".py", ".typed")]
    for source in (*map(Path, ("udfs", "jobs", "conf")), *files):
        place, target = LINKS / "lakesift" / source.name, os.path.join("..", "..", source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink() or os.readlink(place) != target:
            place.unlink(missing_ok=True)
            place.symlink_to(target)
    return LINKS


def main() -> int:
    """Check both packages; returns mypy's exit status."""
    settings = ("--config-file", str(ROOT / "setup.cfg"), "--cache-dir", str(ROOT / ".mypy_cache"))
    command = [sys.executable, "-m", "mypy", *settings, "lakesift"]
    return subprocess.run(command, cwd=link(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
