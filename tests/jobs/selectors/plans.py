"""Reads executed plans: what would put unselected rows into one partition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyspark.sql import DataFrame

AGGREGATES = ("HashAggregate", "ObjectHashAggregate", "SortAggregate")


def _nodes(node: Any) -> Iterator[Any]:
    if node.nodeName() == "AdaptiveSparkPlan":
        node = node.initialPlan()
    yield node
    children = node.children()
    for i in range(children.size()):
        yield from _nodes(children.apply(i))


def _aggregated(node: Any) -> bool:
    """Whether its rows are those of an aggregate: nothing but projections lies between."""
    while node.nodeName() in ("Project", "AdaptiveSparkPlan"):
        node = node.initialPlan() if node.nodeName() == "AdaptiveSparkPlan" else node.children().apply(0)
    return node.nodeName() in AGGREGATES


def offences(frame: DataFrame) -> list[str]:
    """Return the operators that sort, number or gather rows globally which no aggregate has reduced before."""
    found = []
    for node in _nodes(frame._jdf.queryExecution().executedPlan()):
        name, first = node.nodeName(), node.children().apply(0) if node.children().size() else None
        single = name == "Exchange" and node.outputPartitioning().toString().startswith("SinglePartition")
        if (
            ((single or name in ("CollectLimit", "GlobalLimit")) and not _aggregated(first))
            or (name == "Sort" and getattr(node, "global")())
            or name == "TakeOrderedAndProject"
            or (name == "Window" and node.partitionSpec().isEmpty())
        ):
            found.append(node.toString().splitlines()[0])
    return found
