"""The memory of the machine, or container, that the driver runs on."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: Where a container's limit is written: version 2 of control groups, and version 1.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_bytes() -> int | None:
    """Return the bytes of memory of this machine, or those that its container may use; None where nobody says."""
    known = []
    with suppress(OSError, ValueError, AttributeError):
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in _LIMITS:
        with suppress(OSError, ValueError):  # "max": no limit
            known.append(int(Path(limit).read_text(encoding="ascii")))
    return min(known, default=None)
