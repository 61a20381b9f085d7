"""A data engineer's first weeks: 30 000 rows with an exam hidden in them, next month's, and what is said of both.

Every number is computed here again, by pandas, zlib and regular expressions.
"""

from __future__ import annotations

import re
import sys
import unicodedata
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from lakesift.jobs.commands.diff import diff
from lakesift.jobs.commands.explain import explain
from lakesift.jobs.commands.history import history
from lakesift.jobs.commands.report import report
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.run import run
from lakesift.jobs.sources.samples import SAMPLES
from tests.texts import human_eval

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

ROWS, TOKENS = 30_000, 100_000
#: How people's copies of a text differ from it.
SPELLINGS = (
    str,
    str.upper,
    lambda text: unicodedata.normalize("NFD", text.replace("e", "\u00e9")),
    lambda text: re.sub(r"(\w\w)(\w)", "\\1\u00ad\\2", text),
    lambda text: re.sub(r"(\w)(\w)", "\\1\u200b\\2", text),
    lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    lambda text: " ".join(text.split()),
    lambda text: f"> {text}\n\nsolve this, please, and explain each step as to a child",
    lambda text: re.sub(r"[^\w\s]", " ", text),
)
SHORT = [
    "What is 17 times 23?",
    "Name the capital of Burkina Faso.",
    "\u4e2d\u56fd\u7684\u9996\u90fd\u662f\u54ea\u91cc",
]


def corpus() -> pd.DataFrame:
    """Return ROWS rows out of packages: functions and topics, word problems, questions."""
    parts = []
    for sample in ("python_stdlib", "mixed_word_problems", "questions"):
        rows = pd.DataFrame([{"text": str(r.get("text") or r["prompt"])} for r in SAMPLES[sample].rows()])
        parts.append(rows.assign(source=sample).drop_duplicates("text"))
    rows = pd.concat(parts, ignore_index=True)
    while len(rows) < ROWS:  # a pool repeats itself
        more = rows.sample(min(len(rows), ROWS - len(rows)), random_state=len(rows))
        rows = pd.concat([rows, more.assign(source="copies")], ignore_index=True)
    rows = rows.head(ROWS)
    licences = [
        ["mit", "apache-2.0", "cc-by", "proprietary"][zlib.crc32(str(i).encode()) % 4] for i in range(len(rows))
    ]
    return rows.assign(id=[f"r{i:05}" for i in range(len(rows))], licence=licences)


def journey() -> Recipe:
    return parse({
        "name": "journey",
        "documents": {"table": "docs"},
        "targets": {
            "code": {"table": "exam", "where": "n % 2 = 0 AND n < 100", "held_out": "n % 2 = 1 AND n < 100"},
            "exam": {"table": "exam"},
        },
        "scores": {
            "alignment": {"kind": "zipfit", "target": "code", "level": 1}, "tokens": "length_tokens",
            "seen": {"kind": "ngram_overlap", "target": "exam"},
        },
        "where": "licence IN ('mit', 'apache-2.0', 'cc-by') AND tokens BETWEEN 20 AND 2000 AND seen = 0",
        "select": {"kind": "top_k", "by": "alignment"}, "budget": {"tokens": TOKENS, "length": "tokens"},
        "controls": ["random", "length_matched"], "keep": ["source", "text"], "report": {"shares": ["source"]},
    })  # fmt: skip


def sizes(texts: list[str]) -> list[int]:
    """Return gzip sizes at level 1."""
    made = []
    for text in texts:
        squeezer = zlib.compressobj(1, wbits=31)
        made.append(len(squeezer.compress(text.encode("utf-8", "replace")) + squeezer.flush()))
    return made


def alignment(text: str, targets: list[str]) -> float:
    """Return ZIP-FIT's mean of 1 - NCD (arXiv 2410.18194), from gzip."""
    own, others = sizes([text])[0], sizes(targets)
    both = sizes([text + target for target in targets])
    return float(np.mean([1 - (b - min(own, o)) / max(own, o) for o, b in zip(others, both, strict=True)]))


@pytest.mark.long
def test_the_first_weeks(spark: SparkSession, tmp_path: Path) -> None:
    lake, rows = Lake(spark, str(tmp_path / "lake")), corpus()
    exam = [*human_eval(100), *SHORT]
    planted = {f"exam{i}": SPELLINGS[i % len(SPELLINGS)](text) for i, text in enumerate([*human_eval(36), *SHORT])}
    hidden = pd.DataFrame({"id": [*planted], "text": [*planted.values()], "source": "web", "licence": "mit"})
    rows = pd.concat([rows.head(ROWS - len(hidden)), hidden], ignore_index=True).sample(frac=1, random_state=3)
    spark.createDataFrame(rows).repartition(7).write.format("delta").save(lake.path("docs"))
    goals = pd.DataFrame({"n": range(len(exam)), "text": exam})
    spark.createDataFrame(goals).coalesce(1).write.format("delta").save(lake.path("exam"))
    recipe = journey()

    first = run(lake, recipe)
    scores = lake.read("scores_journey").toPandas().set_index("id")
    check_exam(scores["seen"], planted)
    check_choice(lake, rows, scores, first.counts)
    goals_seen = [text for i, text in enumerate(exam) if i % 2 == 0 and i < 100]
    for key in rows["id"].head(8):
        text = rows.set_index("id")["text"][key]
        assert scores["alignment"][key] == pytest.approx(alignment(text, goals_seen), abs=1e-6), key
    told = report(lake, recipe)
    assert 0 < told.held_out_bits_per_byte["code"]["worth"]["times"] <= 4
    check_next_month(lake, recipe, rows)


def check_exam(seen: pd.Series[float], planted: dict[str, str]) -> None:
    """Every hidden row is found, in whatever spelling; rows that were not hidden and are found share 13 words."""
    missed = [key for key in planted if not seen[key] > 0]
    assert not missed, missed
    others = seen[seen > 0].index.difference([*planted])
    assert len(others) < 5, list(others)


def check_choice(lake: Lake, rows: pd.DataFrame, scores: pd.DataFrame, counts: dict[str, Any]) -> None:
    """The eligible rows, and the best of them within the tokens, counted by hand."""
    by_id = rows.set_index("id").join(scores[["alignment", "tokens", "seen"]])
    counted = by_id["text"].map(lambda text: len(re.findall(r"\w+|[^\w\s]+", text)))
    plain = by_id["source"] != "web"
    assert (counted[plain] == by_id["tokens"][plain]).mean() > 0.99  # scripts without blanks count otherwise
    eligible = by_id[
        by_id["licence"].isin(["mit", "apache-2.0", "cc-by"]) & by_id["tokens"].between(20, 2000) & (by_id["seen"] == 0)
    ]
    assert counts["documents"] == ROWS
    assert counts["ineligible"] == ROWS - len(eligible)
    assert [clause for clause, _ in counts["excluded"]] == [
        "licence IN ('mit', 'apache-2.0', 'cc-by')", "tokens BETWEEN 20 AND 2000", "seen = 0",
    ]  # fmt: skip
    chosen = lake.read("selection_journey").toPandas()
    assert chosen["tokens_used"].sum() <= TOKENS
    ordered = eligible.sort_values("alignment", ascending=False)
    within = ordered[ordered["tokens"].cumsum() <= TOKENS]
    cut = within["alignment"].min()
    sure = within.index[within["alignment"] > cut]  # of equal ones at the cut a hash decides
    assert set(sure) <= set(chosen["id"])
    assert (by_id.loc[chosen["id"], "alignment"] >= cut - 1e-12).mean() > 0.99


def check_next_month(lake: Lake, recipe: Recipe, rows: pd.DataFrame) -> None:
    """900 rows come, 1 % goes, 1 % is edited: only these are computed, and both commands say in words what happened."""
    spark, table = lake.spark, f"delta.`{lake.path('docs')}`"
    new = rows.sample(900, random_state=9)
    new = new.assign(id=[f"n{i}" for i in range(900)], text=[f"{t}\n# as of {i}" for i, t in enumerate(new["text"])])
    spark.createDataFrame(new).coalesce(1).write.format("delta").mode("append").save(lake.path("docs"))
    spark.sql(f"DELETE FROM {table} WHERE pmod(hash(id), 100) = 7").collect()
    edited = spark.sql(f"UPDATE {table} SET text = concat(text, ' # edited') WHERE pmod(hash(id), 100) = 8").collect()
    second = run(lake, recipe)
    steps = {step.step: step for step in second.steps}
    left = spark.read.format("delta").load(lake.path("docs")).count()
    added = spark.sql(f"SELECT count(*) n FROM {table} WHERE id LIKE 'n%' AND pmod(hash(id), 100) <> 8").collect()[0].n
    assert second.counts["documents"] == left
    assert steps["score alignment"].computed == edited[0].num_affected_rows + added

    said, change = str(history(lake, recipe.name)), diff(lake, recipe, [])
    sys.stdout.write(f"\n{said}\n\n{change}\n\n{explain(lake, recipe, ['exam3', 'r00001', 'r00002'])}\n")
    old = spark.sql(
        f"SELECT count(*) n, count_if(text LIKE '% # edited') e FROM {table} WHERE id NOT LIKE 'n%'"
    ).collect()[0]
    assert f"{left - old.n:,} added, {ROWS - old.n:,} deleted, {old.e:,} edited" in said
    assert sum(change.went_by_reason.values()) == change.went
    assert sum(change.came_by_reason.values()) == change.came
    assert change.went + change.stayed == len(lake.read("selection_journey", 1).toPandas())
    assert "seen = 0" in str(explain(lake, recipe, ["exam3"]))
    third = run(lake, recipe)
    assert third.noop


if __name__ == "__main__":
    pytest.main([__file__, "-m", "long", "-s"])
