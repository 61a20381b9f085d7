"""What the report says of scores: fields of structs, the share undefined, a window that leaves fewer undefined."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lakesift as ls
from tests.jobs.conftest import World

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WORDS = ["tide", "moss", "lamp", "road", "bell", "corn", "silk", "rope", "dust", "pine", "salt", "wool"]


def text(words: int) -> str:
    """`words` words: so many tokens."""
    return " ".join(WORDS[i % len(WORDS)] + str(i) for i in range(words))


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> ls.Lake:
    world = World(spark, tmp_path_factory.mktemp("short"))
    world.put("docs", [{"id": f"d{i}", "tag": f"t{i}", "text": text(i)} for i in range(1, 41)])
    return ls.Lake(str(world.root), spark)


def recipe(**scores: Any) -> dict[str, Any]:
    return {
        "name": "short" + str(len(scores)),
        "documents": {"table": "docs"},
        "scores": {"tokens": {"kind": "length_tokens"}, **scores},
        "select": {"kind": "random"},
        "budget": {"rows": 5},
    }


def test_a_window_that_fits_is_named(lake: ls.Lake) -> None:
    raw = recipe(words={"kind": "information_entropy", "window": 20})
    ls.run(lake, raw)
    report = lake.report(raw)
    assert report.undefined == {"tokens": 0.0, "words": pytest.approx(19 / 40)}  # 1 to 19 of 1 to 40 tokens
    (hint,) = report.hints
    assert hint == (
        "words is undefined in 48% of the pool, mostly texts shorter than its window; window: 9 leaves at most a fifth"
    )
    assert f"hint: {hint}" in str(report)
    better = {**raw, "scores": {**raw["scores"], "words": {"kind": "information_entropy", "window": 9}}}
    ls.run(lake, better)
    report = lake.report(better)
    assert report.undefined["words"] == pytest.approx(8 / 40)
    assert report.hints == ()


def test_other_units_are_told_without_a_number(lake: ls.Lake) -> None:
    raw = recipe(words={"kind": "information_entropy", "window": 200, "unit": "byte"}, more={"kind": "length_bytes"})
    ls.run(lake, raw)
    (hint,) = lake.report(raw).hints
    assert hint.endswith("take a smaller window, or whole: true")


def test_fields_of_a_struct_are_scores_of_their_own(lake: ls.Lake) -> None:
    raw = recipe(
        vector={"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 16},
        cells={"kind": "kmeans", "k": 2},
        ngram={"kind": "ngram_entropy", "fit_bytes": 10_000},
    )
    ls.run(lake, raw)
    report = lake.report(raw)
    fields = ["ngram.ngram_entropy_bits", "ngram.nll_bits", "ngram.bytes_scored"]
    assert [n for n in report.quantiles if n.startswith("ngram")] == fields
    assert report.undefined["ngram.ngram_entropy_bits"] == pytest.approx(1 / 40)  # "tide0" has fewer than 8 bytes
    assert report.correlation_with_length["ngram.bytes_scored"] == pytest.approx(1.0)
    assert "ngram.nll_bits: quantiles" in str(report)


@pytest.mark.long
def test_the_mix_of_strata_is_shown_before_and_after(lake: ls.Lake) -> None:
    """Strata of one row, of an interval over a cluster: each is inside of its own quantiles."""
    select = {"kind": "interval", "bounds": {"tokens": ["q0.1", "q0.9"]}, "stratum": "tag"}
    raw = {**recipe(), "name": "single", "select": select}
    assert ls.run(lake, raw).rows == 5
    shares = lake.report(raw).shares
    assert set(shares) == {"tag"}
    assert shares["tag"]["selection"] == dict.fromkeys(shares["tag"]["selection"], 1 / 5)
    vectors = {
        "vector": {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 16},
        "cells": {"kind": "kmeans", "k": 2},
    }
    raw = {**recipe(**vectors), "name": "cells", "select": {**select, "stratum": "cells"}, "budget": {"rows": 20}}
    ls.run(lake, raw)
    mix = lake.report(raw).shares["cells"]
    assert set(mix["pool"]) == {"0", "1"}
    assert mix["selection"]["0"] == pytest.approx(mix["pool"]["0"], abs=0.06)


@pytest.mark.long
def test_the_page_says_what_the_tables_hold(lake: ls.Lake, tmp_path: Path) -> None:
    """Texts of 1 to 40 words, the longest are wanted: d39 to d34, after d40 and the four shortest are left out."""
    pytest.importorskip("matplotlib")
    vector = {"vector": {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 16}}
    raw: dict[str, Any] = {
        **recipe(**vector),
        "name": "paged",
        "where": "tokens >= 5 AND tag <> 't40'",
        "select": {"kind": "top_k", "by": "tokens"},
        "controls": ["random"],
        "report": {"shares": ["tag"]},
        "keep": ["text"],
    }
    ls.run(lake, raw)
    report = ls.run(lake, {**raw, "budget": {"rows": 6}}).report()
    assert report.content is not None
    content = report.content()
    assert content.excluded == (("tokens >= 5", 4), ("tag <> 't40'", 1))
    assert content.numbers is not None
    assert content.numbers.cut == 34
    assert {y for _, y in content.numbers.points["selection"]} == set(range(34, 40))
    assert len(content.numbers.points["pool"]) == 40
    chosen, below, some = content.examples.values()
    assert [(e.id, e.rank, e.score) for e in chosen] == [(f"d{40 - r}", r, 40.0 - r) for r in range(1, 7)]
    assert [(e.id, e.rank) for e in below] == [(f"d{i}", None) for i in range(33, 23, -1)]
    assert below[0].text == text(33)
    assert len({e.id for e in some}) == 10
    assert [gain for _, gain in content.gains] == [39, 38, 37, 36, 35, 34]
    assert content.map is not None
    assert {s: len(p) for s, p in content.map.points.items()} == {"pool": 40, "selection": 6, "random": 6}
    changes = content.changes
    assert not isinstance(changes, str)
    assert (changes.version, dict(changes.went), sum(changes.came.values()), changes.stayed) == (1, {}, 1, 5)
    assert changes.cut == (35.0, 34.0)
    assert any("budget" in said for said in changes.said)
    assert "rows: 6" in content.recipe
    assert set(content.manifest["versions"]) > {"lakesift", "python"}
    report.save(str(tmp_path / "report.html"))
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == report.to_html()
    first = lake.report({**raw, "budget": {"rows": 6}}, 1).content
    assert first is not None
    assert str(first().changes).startswith("This is the first version")
    assert "content" not in report.to_dict()
