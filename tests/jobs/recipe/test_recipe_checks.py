"""Rules across the blocks of a recipe: what scores read, what selectors work with, names and tables that are taken."""

from __future__ import annotations

from typing import Any

import pytest

from lakesift.jobs.recipe import order, parse
from lakesift.jobs.selectors import selectors
from lakesift.udfs.errors import RecipeError
from tests.jobs.recipe.test_recipe import GOOD, changed


def score(**block: Any) -> dict[str, Any]:
    """A recipe with vectors, clusters and one more score."""
    vector = {"vector": {"kind": "embedding", "encoder": "hashed_ngrams"}, "cells": {"kind": "kmeans", "k": 5}}
    return changed("scores", {**GOOD["scores"], **vector, "more": block})


READS = [
    ({"kind": "kmeans", "of": "tokens"}, "scores.more: kmeans reads 'tokens', which is bigint; a vector is needed"),
    ({"kind": "kmeans", "of": "text"}, "scores.more: kmeans reads 'text', which is text; a vector is needed: name a"),
    ({"kind": "leverage", "of": "cells"}, "leverage reads 'cells', which is struct<"),
    ({"kind": "length_tokens", "of": "cells"}, "length_tokens reads 'cells', which is struct<"),
    ({"kind": "embedding", "of": "vector"}, "embedding reads 'vector', which is array<float>; text is needed"),
    ({"kind": "compression_ratio", "of": "tokens"}, "which is bigint; text is needed: name a document input"),
    (
        {"kind": "embedding", "encoder": "column", "of": "tokens", "dimensions": 3},
        "reads the source column 'tokens', which a score is called, too; rename the score",
    ),
]


@pytest.mark.parametrize(("block", "said"), READS)
def test_scores_read_what_they_take(block: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(score(**block))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


RACES = [
    (
        {"by": "tokens"},
        "select: zipfit_race: by names 'tokens', which is of kind length_tokens; a score of kind zipfit",
    ),
    (
        {"by": "module"},
        "which is no score; a score of kind zipfit is needed; did you mean 'more'?",
    ),
    ({"by": "alignmnt"}, "did you mean 'alignment'?"),
    ({"by": "more"}, "which has chunk_bytes: 500; a score without chunk_bytes is needed: take it out of scores.more"),
]


@pytest.mark.parametrize(("select", "said"), RACES)
def test_a_race_needs_a_score_of_its_kind(select: dict[str, Any], said: str) -> None:
    raw = score(kind="zipfit", target="wanted", chunk_bytes=500)
    with pytest.raises(RecipeError) as caught:
        parse({**raw, "select": {"kind": "zipfit_race", **select}})
    assert said in str(caught.value)


def test_names_of_columns_that_a_selector_adds_are_taken() -> None:
    raw = changed("scores.Score_SD", {"kind": "length_bytes"})
    assert "Score_SD" in parse(raw).scores
    with pytest.raises(RecipeError, match=r"'Score_SD' cannot be a name, it is a column of the selection"):
        parse({**raw, "select": {"kind": "zipfit_race", "by": "alignment"}})


@pytest.mark.parametrize(
    "name", ["runs", "Models", "memos", "VECTORS", "rounds", "hashes_x", "Scores_mine", "a_REJECTED"]
)
def test_sources_are_not_ingested_into_tables_of_lakesift(name: str) -> None:
    block = {"table": name, "from": {"files": ["a.jsonl"]}}
    for path in ("documents", "targets.wanted"):
        with pytest.raises(RecipeError) as caught:
            parse(changed(path, block))
        assert str(caught.value) == (
            f"{path}: table {name!r} has a 'from:', and LakeSift writes tables of that name itself; choose another name"
        )
        parse(changed(path, {"table": name}))  # they may be read
    parse(changed("documents", {**block, "table": f"my_{name}s"}))


def test_a_condition_of_a_score_orders_scores() -> None:
    raw = changed("scores.alignment.where", "tokens > 9 AND module = 'a'")
    recipe = parse(raw)
    assert recipe.score_where == {"alignment": "tokens > 9 AND module = 'a'"}
    assert order(recipe) == ["tokens", "alignment"]
    assert recipe.digest() != parse(GOOD).digest()
    assert recipe.scores == parse(GOOD).scores, "it is no parameter of the scorer"
    raw["scores"]["tokens"]["where"] = "alignment > 0"
    with pytest.raises(RecipeError, match="alignment, tokens read each other in a circle"):
        parse(raw)


def test_on_demand_are_scores_that_nothing_else_reads() -> None:
    def on_demand(loss: str = "ratio", **changes: Any) -> set[str]:
        raw = score(kind="compression_ratio")
        raw["scores"]["ratio"] = {"kind": "compression_ratio"}
        select = {"kind": "sensitivity", "cluster": "cells", "loss": loss}
        return parse({**raw, "select": select, **changes}).on_demand_only()

    assert on_demand() == {"ratio"}
    assert on_demand("ratio.field") == {"ratio"}
    assert on_demand("module") == on_demand("tokens") == on_demand("cells.cluster") == set()
    assert on_demand(where="RATIO < 1") == set()
    assert on_demand(controls=[{"kind": "random", "by": "ratio"}]) == set()
    control = {"kind": "sensitivity", "cluster": "cells", "loss": "more"}
    assert on_demand(controls=[control]) == {"ratio", "more"}
    raw = changed("scores.tokens.where", "alignment > 0")
    assert parse({**raw, "select": {"kind": "zipfit_race", "by": "alignment"}}).on_demand_only() == set()


def test_a_control_may_be_named_twice() -> None:
    controls = ["length_matched", "random", "length_matched", {"kind": "random", "by": "tokens"}]
    recipe = parse(changed("controls", controls))
    assert list(recipe.controls) == ["length_matched", "random", "length_matched_3", "random_4"]
    assert recipe.controls["length_matched_3"] == recipe.controls["length_matched"]


def test_a_target_is_no_name_of_the_documents() -> None:
    """A fit calls them so: a score of a target would be one of the documents themselves."""
    for kind in ("zipfit", "dsir", "ngram_overlap"):
        with pytest.raises(RecipeError, match="there is no target 'documents'; "):
            parse(score(kind=kind, target="documents"))
    with pytest.raises(
        RecipeError, match="'documents' cannot be a name, it stands for the documents; rename the target"
    ):
        parse({**score(kind="length_bytes"), "targets": {**GOOD["targets"], "documents": {"table": "goals"}}})
    with pytest.raises(RecipeError, match="reads 'h', which is what a fit calls the hash of the id; rename it"):
        parse(score(kind="labels", of="h", encoder="hashed_ngrams"))


def test_what_matches_a_selection_is_a_control() -> None:
    matching = {kind for kind, cls in selectors().items() if cls.matches}
    assert matching == {"length_matched"}
    with pytest.raises(RecipeError, match="select: length_matched matches another selection; name it under controls:"):
        parse(changed("select", {"kind": "length_matched", "length": "tokens"}))
