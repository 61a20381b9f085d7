"""LakeSift from Python: which rows of a lakehouse to train on, why these, and the same answer next month.

    import lakesift as ls

    lake = ls.Lake("lake")
    result = ls.run(lake, "zipfit_code")
    result.selection.show()

Names are loaded on first use, because Spark's Python workers import this package, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .entry import Lake, advise, estimate, plan, recipe, refine, run, score, tune

__all__ = ["Lake", "advise", "estimate", "plan", "recipe", "refine", "run", "score", "tune"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import entry

        return getattr(entry, name)
    raise AttributeError(f"module 'lakesift' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
