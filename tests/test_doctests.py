"""Every example in a docstring of lakesift.udfs, lakesift.jobs and the twins of kernels is run and true."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
from pathlib import Path

import pytest


def _modules() -> list[str]:
    names = []
    for root in ("lakesift.udfs", "lakesift.jobs"):
        package = importlib.import_module(root)
        names += [root, *(m.name for m in pkgutil.walk_packages(package.__path__, f"{root}."))]
    # jobs/api is the package lakesift itself.
    return [
        *(n for n in names if not n.startswith("lakesift.jobs.api")),
        "lakesift",
        "lakesift.entry",
        "lakesift.lake",
        "lakesift.results",
    ]


def _twins() -> list[str]:
    return [f"tests.udfs.kernels.{path.stem}" for path in sorted(Path(__file__).parent.glob("udfs/kernels/twins_*.py"))]


@pytest.mark.parametrize("name", [*_modules(), *_twins()])
def test_examples_are_true(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError:
        if importlib.util.find_spec("pyspark") is None:
            pytest.skip("this module needs pyspark, which is not installed")
        raise
    failed, _ = doctest.testmod(module, verbose=False)
    assert failed == 0


def test_kernels_and_scores_have_examples() -> None:
    bare = []
    for name in _modules():
        if (".kernels." in name or ".scores." in name) and "._" not in name:
            tests = doctest.DocTestFinder().find(importlib.import_module(name))
            if not any(test.examples for test in tests):
                bare.append(name)
    assert bare == []
