"""Rewards: one file = one source of rewards; a new file in this folder is found without any other change."""

from __future__ import annotations

from ...udfs.discovery import discover
from .reward import Reward


def rewards() -> dict[str, type]:
    """Return every reward by kind."""
    return discover("lakesift.jobs.rewards", "lakesift.rewards", (Reward,))
