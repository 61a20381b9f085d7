"""Shared fixtures: one Spark session for the whole run, started by the first test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import setuptools  # noqa: F401 - before a package imports distutils, which setuptools replaces

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOCAL = """
spark.master local[2,4]
spark.driver.memory 3g
spark.driver.extraJavaOptions {java}
spark.sql.codegen.factoryMode NO_CODEGEN
spark.sql.ui.explainMode simple
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
spark.sql.shuffle.partitions 2
spark.databricks.delta.snapshotPartitions 1
spark.sql.sources.parallelPartitionDiscovery.parallelism 2
spark.ui.enabled false
spark.ui.showConsoleProgress false
spark.log.level ERROR
spark.sql.warehouse.dir {warehouse}
"""


def local_conf(warehouse: Path) -> str:
    """A configuration for tests: two cores, small shuffles, the collector and compilers of `local`, a warehouse."""
    from lakesift.jobs.lake.session import read_conf

    return LOCAL.format(warehouse=warehouse, java=read_conf("local")["spark.driver.extraJavaOptions"])


@pytest.fixture(scope="session")
def spark_conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration, with the warehouse in a temporary folder."""
    folder = tmp_path_factory.mktemp("spark")
    path = folder / "test.conf"
    path.write_text(local_conf(folder / "warehouse"))
    return path


@pytest.fixture(scope="session")
def spark(spark_conf: Path) -> Iterator[SparkSession]:
    """The session of the test run (a JVM start costs seconds: one for all)."""
    from lakesift.jobs.lake.session import session

    made = session(str(spark_conf))
    yield made
    made.stop()


#: Files that take minutes in all: they come first, so that two processes end at about the same time.
SLOW = ("test_faults", "test_refine_faults", "test_refine", "test_mig_runs", "test_changes", "test_signals", "test_fit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files, slow ones first, otherwise as they were collected."""
    places = {name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: places.get(item.path.stem, len(SLOW)))
