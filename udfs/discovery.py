"""Finds scorers, selectors and rewards by scanning their packages: our own, those of entry points, and registered ones.

A new scorer is one new file. A module name in a recipe is never imported.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from importlib import metadata
from types import ModuleType

from .errors import LakeSiftError
from .scorer import Estimator, Scorer

_registered: dict[str, list[str]] = {"lakesift.scores": [], "lakesift.selectors": [], "lakesift.rewards": []}


def register(package: str | ModuleType, group: str = "lakesift.scores") -> None:
    """Add a package (a name or an imported module) to those that `discover` scans in this process.

    Executors discover nothing: they receive scorers by pickle, so the package must be importable there.
    """
    name = package if isinstance(package, str) else package.__name__
    if name not in _registered[group]:
        _registered[group].append(name)


def _modules(package: str) -> list[ModuleType]:
    root = importlib.import_module(package)
    if not hasattr(root, "__path__"):
        return [root]
    names = sorted(m.name for m in pkgutil.iter_modules(root.__path__) if not m.name.startswith("_"))
    return [root, *(importlib.import_module(f"{package}.{n}") for n in names)]


def discover(package: str, group: str, bases: tuple[type, ...]) -> dict[str, type]:
    """Return kind -> class for every subclass of `bases` in these packages with a `kind` and not marked `fitted`.

    Raises
    ------
    LakeSiftError
        If two classes have the same kind.
    """
    entry_points = [e.value for e in metadata.entry_points(group=group)]
    classes: dict[str, type] = {}
    for name in dict.fromkeys([package, *entry_points, *_registered[group]]):
        for module in _modules(name):
            for _, cls in inspect.getmembers(module, inspect.isclass):
                kind = "" if getattr(cls, "fitted", False) else getattr(cls, "kind", "")
                ours = cls.__module__ == module.__name__ and issubclass(cls, bases)
                if ours and kind and classes.setdefault(kind, cls) is not cls:
                    raise LakeSiftError(
                        f"two classes claim kind {kind!r}: {classes[kind]} and {cls}; rename one of them"
                    )
    return dict(sorted(classes.items()))


def scorers() -> dict[str, type]:
    """Return every scorer and estimator by kind; the scorer that an estimator fits is not listed."""
    return discover("lakesift.udfs.scores", "lakesift.scores", (Scorer, Estimator))
