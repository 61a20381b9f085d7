"""What is counted of a frame while it is written, without another query."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

log = logging.getLogger("lakesift")

#: Seconds after a write within which its measures arrive; some engines never deliver them for a write.
DELIVERY_SECONDS = 10.0


def measuring(frame: DataFrame, *measures: Column) -> tuple[DataFrame, Callable[[], dict[str, Any]]]:
    """Return the frame, and a function that gives the measures by name after it was written, {} if they never came.

    A task that is run twice, because an executor was lost with what it had computed, is measured twice.
    """
    from pyspark.sql import Observation

    observation = Observation()

    def delivered() -> dict[str, Any]:
        found: dict[str, Any] = {}
        thread = threading.Thread(target=lambda: found.update(_get(observation)), daemon=True)
        thread.start()
        thread.join(DELIVERY_SECONDS)  # where the write was skipped, `get` blocks for ever
        return dict(found)

    return frame.observe(observation, *measures), delivered


def _get(observation: Any) -> dict[str, Any]:
    try:
        return dict(observation.get)
    except Exception as error:  # Connect raises where nothing was delivered
        log.debug("no measures of this write: %s", error)
        return {}
