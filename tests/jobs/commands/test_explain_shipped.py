"""Every shipped recipe on a pool of about 2 000 rows: what is decided of each row is what was selected, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import lakesift as ls
from lakesift.jobs.commands.chosen_again import why_no_order
from lakesift.jobs.inputs.opening import check_machine
from lakesift.jobs.recipe import keys_of, parse, shipped
from lakesift.udfs.errors import InputError, PlatformError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Budgets beside the recipe's own, as parts of it.
PARTS = (0.3, 1.5)


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> ls.Lake:
    return ls.Lake(str(tmp_path_factory.mktemp("shipped")), spark=spark)


def of_2000_rows(name: str) -> dict[str, Any]:
    """Return the keys of a recipe; the pool of functions is the one of 2 000."""
    keys = keys_of(name, (), lambda uri: uri)
    if keys["documents"].get("from", {}).get("sample") == "python_stdlib":
        keys["documents"] |= {"table": "stdlib_2000", "from": {"sample": "python_stdlib_2000"}}
    keys["controls"] = ["random"]
    return keys


@pytest.mark.long
@pytest.mark.parametrize("name", shipped())
def test_every_row_has_the_decision_that_the_selection_shows(lake: ls.Lake, name: str) -> None:
    keys = of_2000_rows(name)
    recipe = parse(keys)
    try:
        check_machine(recipe)
    except PlatformError as error:
        pytest.skip(str(error))
    if recipe.documents.source and recipe.documents.source.files:
        pytest.skip(f"{name} reads {recipe.documents.source.files}, which is not shipped")
    made = (ls.refine if recipe.refine else ls.run)(lake, keys)
    chosen = set(made.selection.toPandas()["id"])
    counts = getattr(made, "result", made).manifest.counts
    rows = lake.decisions(name).toPandas()
    assert len(rows) == rows["id"].nunique() == counts["documents"]
    assert set(rows["id"][rows["decision"] == "selected"]) == chosen
    by = rows["decision"].value_counts().to_dict()
    assert by.get("ineligible", 0) == counts["ineligible"]
    assert by.get("undefined", 0) == counts["unranked"]
    assert rows["reason"].str.len().gt(0).all()
    some = rows.sort_values("id").groupby("decision").head(100)
    told = lake.explain(name, *some["id"])
    assert {row.id: row.decision for row in told.rows} == dict(zip(some["id"], some["decision"], strict=True))
    if why_no_order(recipe):
        with pytest.raises(InputError, match="budget"):
            lake.at(name, 10)
        return
    for part in PARTS:
        budget = round(part * len(chosen))
        other = lake.at(name, budget)
        again = ls.run(lake, {**keys, "budget": {"rows": budget}})
        assert other.picks["id"].tolist() == again.selection.orderBy("rank").toPandas()["id"].tolist()
        assert lake.at(name, len(chosen)).picks["id"].isin(chosen).all()
