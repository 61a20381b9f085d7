"""The life of a lake: first run, nothing new, increments, edits, damage. One saga: each test goes on from the last."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.run import run
from tests.jobs.conftest import World, pool, recipe
from tests.texts import human_eval


def steps(manifest: Manifest) -> dict[str, Any]:
    return {s.step if s.step != "ingest" else f"ingest {s.table}": s for s in manifest.steps}


def alignment(text: str, targets: list[str]) -> float:
    """ZIP-FIT, straight from the formula with gzip itself."""

    def size(t: str) -> int:
        return len(gzip.compress(t.encode(), 1))

    ncd = [(size(text + t) - min(size(text), size(t))) / max(size(text), size(t)) for t in targets]
    return 1 - float(np.mean(ncd))


@pytest.fixture(scope="module")
def first(world: World) -> Manifest:
    return run(world.lake, recipe())


def test_selection_equals_plain_python(world: World, first: Manifest) -> None:
    docs = pool(300)
    goals = human_eval()[:12:2]
    tokens = {d["id"]: len(__import__("re").findall(r"\w+|[^\w\s]+", d["text"])) for d in docs}
    eligible = {d["id"]: alignment(d["text"], goals) for d in docs if tokens[d["id"]] >= 20}
    rows = world.lake.read("selection_tiny").toPandas().sort_values("rank")
    best = sorted(eligible.values(), reverse=True)[:40]
    assert list(rows["rank"]) == list(range(1, 41))
    np.testing.assert_allclose(rows["alignment"], best, atol=1e-12)
    assert all(abs(eligible[i] - a) < 1e-12 for i, a in zip(rows["id"], rows["alignment"], strict=True))
    assert rows["gain"].tolist() == rows["alignment"].tolist()
    assert {d["id"]: d["text"] for d in docs}.items() >= dict(zip(rows["id"], rows["text"], strict=True)).items()
    assert steps(first)["select"].ineligible == 300 - len(eligible)
    scores = world.lake.read("scores_tiny").toPandas()
    assert sorted(scores["id"]) == [d["id"] for d in docs]
    assert dict(zip(scores["id"], scores["tokens"], strict=True)) == tokens


def test_every_row_is_accounted_for(first: Manifest) -> None:
    made = steps(first)
    for name in ("alignment", "tokens", "ratio"):
        step = made[f"score {name}"]
        assert (step.rows, step.computed, step.undefined) == (300, 300, 0)
    assert made["controls"].computed == 80
    assert made["compute"].computed == 900, "one pass over the documents"
    assert made["compute"].seconds is not None
    assert all(made[f"score {n}"].kernel is not None for n in ("alignment", "tokens", "ratio"))
    assert all("wrote version" in s.outcome for s in first.steps)


def test_nothing_new_writes_nothing(world: World, first: Manifest) -> None:
    before = world.versions()
    again = run(world.lake, recipe())
    assert again.noop
    assert again.run_id == first.run_id
    assert [s.outcome for s in again.steps] == [f"unchanged, version {before[s.table]}" for s in again.steps]
    assert world.versions() == before


def test_tables_open_elsewhere_and_speak(world: World, first: Manifest) -> None:
    import deltalake
    import polars

    for name in world.versions():
        table = deltalake.DeltaTable(str(world.root / name))
        assert table.protocol().min_reader_version == 1
        rows = table.to_pyarrow_table().num_rows
        assert polars.read_delta(str(world.root / name)).height == rows
        if name not in ("docs", "goals"):
            comments = [json.loads(table.schema().to_json())["fields"]]
            assert all(f["metadata"].get("comment") for f in comments[0]), name
    line = world.sql("DESCRIBE HISTORY {selection_tiny} LIMIT 1")[0]
    note = json.loads(line["userMetadata"])
    assert note["run_id"] == first.run_id
    assert note["counts"]["selected"] == 40
    row = world.sql("SELECT * FROM {runs}")[0]
    manifest = json.loads(row["manifest"])
    assert (row["run_id"], row["rows"], row["selection_version"]) == (first.run_id, 40, first.selection_version)
    assert manifest["inputs"]["documents"]["rows"] == 300
    assert manifest["versions"]["zlib"]
    model = world.sql("SELECT * FROM {models}")[0]
    assert model["fingerprint"] == first.fingerprints["alignment"]
    stored = np.load(__import__("io").BytesIO(model["state"]["targets"]), allow_pickle=False).tobytes()
    assert sorted(json.loads(stored)) == sorted(human_eval()[:12:2])


@pytest.mark.usefixtures("first")
def test_increment_computes_only_what_changed(world: World) -> None:
    new = [{"id": f"new-{i}", "module": "m9", "text": human_eval()[i]} for i in range(3)]
    world.put("docs", new, mode="append", files=1)
    top = world.sql("SELECT id FROM {selection_tiny} WHERE rank = 1")[0]["id"]
    changed = world.sql("SELECT id FROM {selection_tiny} WHERE rank = 2")[0]["id"]
    world.sql(f"DELETE FROM {{docs}} WHERE id = '{top}'")
    world.sql(f"UPDATE {{docs}} SET text = concat(text, '\n# more of it') WHERE id = '{changed}'")
    made = run(world.lake, recipe())
    for name in ("alignment", "tokens", "ratio"):
        assert steps(made)[f"score {name}"].computed == 4, name
        assert steps(made)[f"score {name}"].rows == 302
    chosen = {r["id"] for r in world.sql("SELECT id FROM {selection_tiny}")}
    assert top not in chosen
    assert {"new-0", "new-2"} & chosen
    assert world.sql("SELECT count(*) AS n, count(DISTINCT id) AS d FROM {scores_tiny}")[0]["n"] == 302


def test_optimize_of_the_input_recomputes_nothing(world: World) -> None:
    world.sql("OPTIMIZE {docs}")
    before = world.versions()
    made = run(world.lake, recipe())
    assert made.noop
    assert world.versions() == before


def test_a_then_b_then_a(world: World) -> None:
    start = world.versions()["selection_tiny"]
    first_rows = world.rows("selection_tiny")
    other = recipe(
        budget={"rows": 10},
        scores={"alignment": {"kind": "zipfit", "target": "goals", "level": 6}, "tokens": "length_tokens"},
    )
    b = run(world.lake, other)
    assert len(world.rows("selection_tiny")) == 10
    assert "ratio" not in world.lake.read("selection_tiny").columns
    a = run(world.lake, recipe())
    assert world.versions()["selection_tiny"] == start + 2
    assert world.rows("selection_tiny") == first_rows
    assert a.run_id != b.run_id
    assert steps(a)["score alignment"].computed == 0
    assert world.rows("selection_tiny", start) == first_rows
    assert len(world.rows("selection_tiny", start + 1)) == 10


DAMAGE = {
    "hashes_tiny": "DELETE FROM {hashes_tiny} WHERE id < 'doc-00100'",
    "memos": "DELETE FROM {memos} WHERE id < 'doc-00050'",
    "scores_tiny": "RESTORE TABLE {scores_tiny} TO VERSION AS OF 1",
    "selection_tiny": "DELETE FROM {selection_tiny} WHERE rank < 10",
    "controls_tiny": "RESTORE TABLE {controls_tiny} TO VERSION AS OF 1",
    "runs": "DELETE FROM {runs}",
    "models": "DELETE FROM {models}",
}


def mine(world: World, table: str, fingerprints: set[str]) -> list[tuple[Any, ...]]:
    """Rows of a table; of a memo, those of this recipe (others belong to recipes that heal them when they run)."""
    return [r for r in world.rows(table) if table != "memos" or fingerprints & {c for c in r if isinstance(c, str)}]


def test_damage_to_any_derived_table_heals(world: World) -> None:
    """All at once: each table alone is damaged in `make test-all`."""
    ours = set(run(world.lake, recipe()).fingerprints.values())
    undisturbed = {name: mine(world, name, ours) for name in DAMAGE if name not in ("runs", "models")}
    for damage in DAMAGE.values():
        world.sql(damage)
    run(world.lake, recipe())
    for name, rows in undisturbed.items():
        assert mine(world, name, ours) == rows, name
    assert world.sql("SELECT count(*) AS n FROM {memos} GROUP BY id, content_hash, fingerprint HAVING n > 1") == []
    assert run(world.lake, recipe()).noop


@pytest.mark.long
@pytest.mark.parametrize("table", DAMAGE)
def test_damage_to_one_table_heals(world: World, table: str) -> None:
    run(world.lake, recipe())
    undisturbed = world.rows("selection_tiny"), world.rows("scores_tiny"), world.rows("controls_tiny")
    world.sql(DAMAGE[table])
    run(world.lake, recipe())
    assert (world.rows("selection_tiny"), world.rows("scores_tiny"), world.rows("controls_tiny")) == undisturbed
    assert run(world.lake, recipe()).noop


def test_token_budget_is_the_longest_prefix_that_fits(world: World) -> None:
    world.lake.read("scores_tiny")
    ranked = world.sql(
        "SELECT id, tokens FROM {scores_tiny} WHERE tokens >= 20 ORDER BY alignment DESC, xxhash64(id, 42L), id"
    )
    budget = sum(r["tokens"] for r in ranked[:25]) + 5
    run(world.lake, recipe("tokens", budget={"tokens": budget, "length": "tokens"}, controls=[]))
    assert [r["id"] for r in world.sql("SELECT id FROM {selection_tokens} ORDER BY rank")] == [
        r["id"] for r in ranked[:25]
    ]
    run(world.lake, recipe("tokens", budget={"tokens": budget, "length": "tokens", "truncate_last": True}, controls=[]))
    used = [r["tokens_used"] for r in world.sql("SELECT tokens_used FROM {selection_tokens} ORDER BY rank")]
    assert (len(used), sum(used), used[-1]) == (26, budget, 5)


def test_same_selection_from_any_layout(world: World) -> None:
    """The same rows in 7 files, in another order, under another name: the same selection, nothing computed twice."""
    want = pd.DataFrame(world.rows("selection_tiny"))
    frame = world.lake.read("docs").orderBy("text").repartition(7)
    frame.write.format("delta").save(str(world.root / "shuffled"))
    world.spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "3")
    try:
        made = run(world.lake, recipe(documents={"table": "shuffled"}))
    finally:
        world.spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert steps(made)["score alignment"].computed == 0
    pd.testing.assert_frame_equal(pd.DataFrame(world.rows("selection_tiny")), want)
