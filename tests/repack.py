"""Repacks the wheel as a zip for --py-files: `python -m tests.repack dist` writes dist/lakesift.zip.

A wheel holds no directory entries, and without them Python does not see the namespace package `lakesift` in an archive.
What is native is left out: nothing loads it from there, and the archive fits every platform.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path, PurePosixPath

#: The earliest time that a zip can hold: equal wheels give equal archives.
EPOCH = (1980, 1, 1, 0, 0, 0)


def repack(wheel: Path, out: Path) -> Path:
    """Write the wheel's files, with an entry for every folder above them, to `out`."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        names = sorted(n for n in source.namelist() if not n.endswith(("/", ".so")))
        for folder in sorted({f"{p}/" for n in names for p in PurePosixPath(n).parents if str(p) != "."}):
            archive.writestr(zipfile.ZipInfo(folder, EPOCH), b"")
        for name in names:
            entry = zipfile.ZipInfo(name, EPOCH)
            archive.writestr(entry, source.read(name), zipfile.ZIP_DEFLATED)
    return out


def main(folder: Path) -> int:
    """Repack the one wheel in a folder; returns the exit status."""
    wheels = sorted(folder.glob("lakesift-*.whl"), key=lambda p: p.stat().st_mtime)
    if not wheels:
        sys.stderr.write(f"there is no lakesift-*.whl in {folder}; make one: make wheel\n")
        return 1
    sys.stdout.write(f"{repack(wheels[-1], folder / 'lakesift.zip')}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
