"""Bad rows and bad tables: each is counted or refused in one sentence, and nothing else is lost.

Wrong recipes are in test_recipe.py, bad files in test_ingest.py, what the machine lacks in test_platform.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lakesift.jobs import hashes
from lakesift.jobs.cli import user_message
from lakesift.jobs.fit import fit_on_targets
from lakesift.jobs.inputs.opening import open_documents, open_target, open_targets
from lakesift.jobs.inputs.run import Hashes, Run, Summary
from lakesift.jobs.lake.manifest import Manifest, Step
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from lakesift.udfs import discovery
from lakesift.udfs.errors import InputError, LakeSiftError
from tests.jobs.conftest import World, pool, recipe
from tests.texts import functions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

POOL = pool(60)
BIG = ("\n".join(functions(3000)) * 5)[:5_000_000]


def steps(manifest: Manifest) -> dict[str, Step]:
    return {s.step: s for s in manifest.steps}


@pytest.fixture(scope="module", autouse=True)
def scorers() -> Iterator[None]:
    """A second person's scorers, found in the tests' own package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(discovery._registered, "lakesift.scores", ["tests.odd_scores"])
        yield


def view(world: World, name: str, sql: str) -> str:
    """Make a view (an input without versions); returns the reference."""
    world.spark.sql(sql).createOrReplaceGlobalTempView(name)
    return f"global_temp.{name}"


# -- rows of a user's table --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dirty(world: World, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """One run over everything that a row can be, in a Delta table outside the lake, with a DAG of foreign scores."""
    outside = World(world.spark, tmp_path_factory.mktemp("outside"))
    odd: dict[Any, Any] = {"null": None, "empty": "", "big": BIG}
    rows = [*POOL, POOL[3], POOL[3], {"id": None, "text": "x"}, {"id": None, "text": None}]
    rows += [{"id": k, "text": v} for k, v in odd.items()]
    outside.put("dirty", [{"id": r["id"], "text": r["text"], "Rank": 7} for r in rows], files=3)
    outside.sql("INSERT INTO {dirty} SELECT 'torn', CAST(X'61FF62' AS STRING), 7")
    changes: dict[str, Any] = {
        "documents": {"table": f"delta.`{outside.root / 'dirty'}`"},
        "scores": {
            "alignment": {"kind": "zipfit", "target": "goals"},
            "total": {"kind": "digit_sum", "of": "vector"},
            "vector": {"kind": "digits"},
            "ends": {"kind": "ends"},
            "tokens": {"kind": "length_tokens"},
        },
        "where": "",
        "select": {"kind": "top_k", "by": "ends.last"},
        "budget": {"rows": 1000},
        "keep": {"source_rank": "Rank"},
        "report": {},
    }
    return run(world.lake, recipe("dirty", **changes))


TEXTS = {**{d["id"]: d["text"] for d in POOL}, "empty": "", "big": BIG}
UNREADABLE = {"null", "torn"}


def test_every_row_is_accounted_for(world: World, dirty: Manifest) -> None:
    made = steps(dirty)
    given = dirty.inputs["documents"]
    assert (given["rows"], given["null_ids"], given["duplicates"], given["conflicts"]) == (68, 2, 2, 0)
    assert (made["hashes"].rows, made["hashes"].rejected) == (68, 2)
    rejected = sorted(world.rows("rejected_dirty"), key=repr)
    assert rejected == [
        ("doc-00003", "2 more rows with this id and the same content"),
        (None, "id is null"),
        (None, "id is null"),
    ]
    without_digit = sum(not set("012") & set(t) for t in TEXTS.values())
    undefined = {"alignment": 2, "tokens": 2, "vector": 2 + without_digit, "total": 2 + without_digit}
    for label, count in undefined.items():
        step = made[f"score {label}"]
        assert (step.rows, step.computed, step.undefined) == (64, 64, count), label


def test_scores_of_a_second_person_read_each_other(world: World, dirty: Manifest) -> None:
    rows = {r["id"]: r for r in world.sql("SELECT * FROM {scores_dirty}")}
    assert set(rows) == set(TEXTS) | UNREADABLE
    assert "vector" not in next(iter(rows.values())).asDict(), "arrays stay in their memo"
    vectors = {
        r["id"]: r["value"]
        for r in world.sql(
            f"SELECT id, vector AS value FROM {{memos}} WHERE fingerprint = '{dirty.fingerprints['vector']}'"
        )
    }
    assert set(vectors) == set(rows)
    for key in UNREADABLE:
        assert [rows[key][c] for c in ("alignment", "total", "tokens")] == [None] * 3
        assert vectors[key] is None
    for key, text in TEXTS.items():
        counts = [float(text.count(d)) for d in "012"]
        assert vectors[key] == (counts if sum(counts) else None)
        assert rows[key]["total"] == (sum(counts) or None)
        ends = {"first": ord(text[0]), "last": float(ord(text[-1]))} if text else None
        assert (rows[key]["ends"] and rows[key]["ends"].asDict()) == ends


def test_a_budget_above_the_pool_takes_every_row_that_has_the_score(world: World, dirty: Manifest) -> None:
    chosen = world.sql("SELECT * FROM {selection_dirty} ORDER BY rank")
    assert [r["rank"] for r in chosen] == list(range(1, 62))
    assert {r["id"] for r in chosen} == set(TEXTS) - {"empty"}
    assert [r["gain"] for r in chosen] == sorted((float(ord(t[-1])) for t in TEXTS.values() if t), reverse=True)
    assert {r["source_rank"] for r in chosen} == {7}
    assert dirty.notes == ["budget is 1,000 rows, 61 could be selected (0 ineligible, 3 unranked)"]


# -- ids that occur twice ----------------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {
    "targets": {}, "scores": {"tokens": {"kind": "length_tokens"}}, "select": {"kind": "top_k", "by": "tokens"},
    "where": "", "budget": {"rows": 1000}, "controls": [], "report": {},
}  # fmt: skip


def test_an_id_with_two_contents_stops_the_run_or_is_decided_by_hash(world: World) -> None:
    others = [{**POOL[3], "text": "another text"}, {**POOL[3], "text": "a third"}, {**POOL[5]}, {**POOL[5]}]
    rows = [*POOL[:20], *others]
    world.put("twice", rows)
    world.put("again", rows[::-1], files=7)
    with pytest.raises(InputError) as caught:
        run(world.lake, recipe("small", **SMALL, documents={"table": "twice"}))
    assert str(caught.value) == (
        "1 ids of twice occur more than once with different content ('doc-00003'); make ids unique, or set "
        "documents.duplicates: first_by_hash"
    )
    chosen = []
    for table in ("twice", "again"):
        documents = {"table": table, "duplicates": "first_by_hash"}
        made = run(world.lake, recipe("small", **SMALL, documents=documents))
        assert (made.inputs["documents"]["duplicates"], steps(made)["hashes"].rejected) == (4, 4)
        assert world.rows("rejected_small") == [
            ("doc-00003", "2 more rows with this id; the one with the smallest hash was taken"),
            ("doc-00005", "2 more rows with this id and the same content"),
        ]
        chosen.append(world.rows("selection_small"))
    assert chosen[0] == chosen[1]

    # An independent reading: of the three rows, that with the smallest hash of (id, hash of the text, module).
    def row_hash(row: Any) -> str:
        def written(value: str) -> bytes:
            return f"{len(value.encode())}:{value}".encode()

        text = hashlib.sha256(written(row["text"])).hexdigest()[:32]
        return hashlib.sha256(written(row["id"]) + text.encode() + written(row["module"])).hexdigest()[:32]

    rivals = world.sql("SELECT id, text, module FROM {twice} WHERE id = 'doc-00003'")
    smallest = min(rivals, key=row_hash)["text"]
    picked = {r["id"]: r["text"] for r in world.sql("SELECT id, text FROM {selection_small}")}
    assert picked == {d["id"]: d["text"] for d in POOL[:20]} | {"doc-00003": smallest}


def test_hashes_are_grouped_by_id_where_one_is_repeated(world: World) -> None:
    world.put("single", POOL[:30])
    world.put("double", [*POOL[:30], {**POOL[3], "text": "another text"}, POOL[5], {"id": None, "text": "x"}])
    ids = {}
    for table, grouped in (("single", [False]), ("double", [True, False])):
        run(world.lake, recipe(table, **SMALL, documents={"table": table, "duplicates": "first_by_hash"}))
        ids[table] = [r["id"] for r in world.sql(f"SELECT id FROM {{hashes_{table}}} ORDER BY id")]
        history = world.lake.history(f"hashes_{table}")
        assert [c.metadata["grouped"] for c in history if "grouped" in c.metadata] == grouped
    assert ids["single"] == ids["double"] == sorted(row["id"] for row in POOL[:30])


def test_hashes_that_a_killed_run_left_are_grouped_by_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("half", [*POOL[:30], POOL[5]])
    one = recipe("half", **SMALL, documents={"table": "half"})
    with monkeypatch.context() as patch:
        patch.setattr(hashes, "_repeats", _killed)
        with pytest.raises(KeyboardInterrupt):
            run(world.lake, one)
    assert run(world.lake, one).inputs["documents"]["duplicates"] == 1


def _killed(*_: object) -> bool:
    raise KeyboardInterrupt


# -- inputs without versions -------------------------------------------------------------------------------------------


def test_parquet_is_accepted_unpinned_and_its_changes_are_seen(world: World, tmp_path: Any) -> None:
    path = str(tmp_path / "rows")
    frame = world.spark.createDataFrame(
        [(d["id"], d["text"], i % 2 + 1) for i, d in enumerate(POOL[:20])], "id string, text string, `a b` int"
    )
    frame.write.parquet(path)
    changes: dict[str, Any] = {**SMALL, "where": "`a b` = 1", "documents": {"table": f"parquet.`{path}`"}}
    mine = recipe("small", **changes, keep={"a_b": "`a b`"})
    first = run(world.lake, mine)
    assert first.notes[0] == f"documents: parquet.`{path}` has no versions: not pinned, its digest is recorded"
    assert {r["a_b"] for r in world.sql("SELECT a_b FROM {selection_small}")} == {1}
    before = world.versions()
    again = run(world.lake, mine)
    assert world.versions() == before
    assert all(s.outcome.startswith("unchanged") for s in again.steps), again.table()
    frame.limit(1).selectExpr("'new' AS id", "text || ' ?' AS text", "1 AS `a b`").write.mode("append").parquet(path)
    run(world.lake, mine)
    assert {r["id"] for r in world.sql("SELECT id FROM {selection_small}")} == {"new", *(d["id"] for d in POOL[:20:2])}


def test_a_target_may_be_a_view(world: World) -> None:
    goals = view(world, "wishes", "SELECT 'def f(): pass' AS text")
    mine = recipe(targets={"goals": {"table": goals}})
    frame, identity = open_target(world.lake, open_documents(world.lake, mine), "goals")
    assert (identity.version, [r["text"] for r in frame.collect()]) == (None, ["def f(): pass"])


# -- what stops a run --------------------------------------------------------------------------------------------------

STOPPED: dict[str, tuple[dict[str, Any], str]] = {
    "empty table": ({"documents": {"table": "empty"}}, "table empty has no row with an id"),
    "no row eligible": (
        {"documents": {"table": "few"}, "where": "tokens > 1000000"},
        "no row of 5 can be selected (5 ineligible, 0 unranked); widen where:, or look at scores_small",
    ),
    "infinity": (
        {"documents": {"table": "few"}, "scores": {"tokens": "length_tokens", "m": {"kind": "mortal", "poison": "p"}}},
        "score 'm' (mortal) of id 'i' is infinite; a score must be finite, or NaN for undefined",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STOPPED)
def test_stopped_in_one_sentence(world: World, case: str) -> None:
    world.put("few", [{"id": c, "text": f"{c} is here"} for c in "abcd"] + [{"id": "i", "text": "poison"}])
    world.spark.createDataFrame([], "id string, text string").write.format("delta").mode("overwrite").save(
        str(world.root / "empty")
    )
    changes, said = STOPPED[case]
    with pytest.raises(Exception) as caught:
        run(world.lake, recipe("small", **{**SMALL, **changes}))
    assert said in (user_message(caught.value) or repr(caught.value))


def refused(world: World, **changes: Any) -> str:
    """Return the sentence with which the documents are refused: nothing has run, nothing is written."""
    before = world.versions()
    with pytest.raises(LakeSiftError) as caught:
        open_documents(world.lake, recipe(**{"report": {}, **changes}))
    assert world.versions() == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


COLUMNS: dict[str, tuple[str, str]] = {
    # SQL of one more column, what the sentence holds: the column, what is wrong, what to do
    "fixed": ("1 AS Rank", "'Rank' collides with a fixed column of the selection; leave it out with keep: [...] or "
              "rename it, keep: {source_rank: '`Rank`'}"),
    "label": ("1 AS Tokens", "'Tokens' collides with the score 'tokens'; leave it out"),
    "space": ("1 AS `my words`", "'my words' has a character that Delta refuses (one of space ,;{}()= tab); leave it "
              "out with keep: [...] or rename it, keep: {source_my_words: '`my words`'}"),
    "nested space": ("named_struct('a b', 1) AS s", "'s' has the field 's.a b', with a character that Delta refuses"),
    "ntz": ("timestamp_ntz'2020-01-01' AS t", "'t' is timestamp_ntz, which tables of reader version 1 cannot hold; "
            "leave it out with keep: [...] or cast it, keep: {t: 'CAST(`t` AS TIMESTAMP)'}"),
    "interval": ("INTERVAL 1 DAY AS t", "'t' is interval day, which"),
    "void": ("array(NULL) AS t", "'t' is array<void>, which tables of reader version 1 cannot hold"),
}  # fmt: skip


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_that_a_selection_cannot_hold(world: World, case: str) -> None:
    column, said = COLUMNS[case]
    table = view(world, "odd", f"SELECT 'a' AS id, 'x' AS text, {column}")
    assert f"the source column {said}" in refused(world, documents={"table": table})
    documents = open_documents(world.lake, recipe(documents={"table": table}, keep=["text"], report={}))
    assert documents.keep == {"text": "`text`"}


def test_a_field_may_be_called_like_a_type(world: World) -> None:
    table = view(
        world, "fields", "SELECT 'a' AS id, 'x' AS text, named_struct('interval', 1, 'variant', map('void', 2)) AS s"
    )
    assert "s" in open_documents(world.lake, recipe(documents={"table": table}, report={})).keep


def test_a_source_column_may_hold_what_quotes_names(world: World) -> None:
    table = view(world, "ticks", "SELECT 'a' AS id, 'x' AS text, 7 AS `a``b`")
    wanted = parse({
        "name": "ticks",
        "documents": {"table": table},
        "scores": {"tokens": {"kind": "length_tokens"}},
        "select": {"kind": "top_k", "by": "tokens"},
        "budget": {"rows": 1},
    })  # fmt: skip
    run(world.lake, wanted)
    assert world.lake.read("selection_ticks").select("`a``b`").collect()[0][0] == 7


def test_columns_that_differ_in_case(world: World, spark: SparkSession) -> None:
    spark.createDataFrame([("a", "x", 1, 2)], "id string, text string, n int, N int").createOrReplaceGlobalTempView(
        "cases"
    )
    assert "table global_temp.cases has two columns 'n' that differ in case only" in refused(
        world, documents={"table": "global_temp.cases"}
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("missing", "there is no table missing (delta.`"),
        ("delta.`/no/such`", "there is no table delta.`/no/such`"),
        ("parquet.`/no/such`", "there is no table parquet.`/no/such`"),
        ("global_temp.missing", "there is no table global_temp.missing"),
        ("no.such.catalog", "the table 'no.such.catalog' cannot be looked up: "),
        ("one.two.three.four", "the table 'one.two.three.four' cannot be looked up: the name has too many parts"),
        ("delta./no/quotes", "the table 'delta./no/quotes' cannot be looked up: "),
    ],
)
def test_documents_that_are_not_there(world: World, table: str, said: str) -> None:
    assert said in refused(world, documents={"table": table})


def asked_where(sql: str) -> dict[str, Any]:
    """A score with a condition of its own, beside a vector and another score."""
    scores = {"n": "length_tokens", "vector": {"kind": "embedding"}, "tokens": {"kind": "length_tokens", "where": sql}}
    return {"scores": scores, "select": {"kind": "top_k", "by": "tokens"}, "where": ""}


VECTOR: dict[str, Any] = {
    "scores": {"vector": {"kind": "embedding", "encoder": "hashed_ngrams"}, "tokens": "length_tokens"},
    "select": {"kind": "k_center"},
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"where": "tokens"}, "where: 'tokens' is bigint; a condition (boolean) is needed"),
        ({"where": "tokns > 1"}, "where: 'tokns > 1' does not fit its table, whose columns are id, module, text"),
        ({"where": "count(*) > 1"}, "where: 'count(*) > 1' does not fit"),
        ({"where": "size(vector) > 1", **VECTOR}, "where: 'size(vector) > 1' does not fit"),
        (asked_where("text"), "scores.tokens: where: 'text' is string; a condition (boolean) is needed"),
        (asked_where("modul = 1"), "scores.tokens: where: 'modul = 1' does not fit"),
        (asked_where("n > 1 AND size(vector) > 1"), "scores.tokens: where: 'n > 1 AND size(vector) > 1' does not fit"),
        ({"documents": {"table": "docs", "text": "txet"}}, "documents.text: 'txet' does not fit its table, whose"),
        ({"documents": {"table": "docs", "text": "explode(array(text))"}}, "documents.text: 'explode(array(text))'"),
        ({"documents": {"table": "docs", "id": "max(id)"}}, "documents.id: 'max(id)' does not fit"),
        ({"keep": ["modul"]}, "keep: modul: '`modul`' does not fit"),
        ({"keep": {"m": "modul"}}, "keep: m: 'modul' does not fit"),
        ({"report": {"shares": ["modul"]}}, "report: shares names 'modul', which is no column of docs; did you mean"),
        ({"select": {"kind": "top_k", "by": "module"}}, "select: top_k: by names 'module', which is string; a number"),
        ({"select": {"kind": "top_k", "by": "alignmnt"}}, "by names 'alignmnt', which is no score and no column of"),
        ({"budget": {"tokens": 9, "length": "ratio"}}, "budget: length is 'ratio', which is double; a score"),
    ],
)  # fmt: skip
def test_expressions_that_do_not_fit(world: World, changes: dict[str, Any], said: str) -> None:
    assert said in refused(world, **changes)


TARGETS: list[tuple[dict[str, Any], str]] = [
    ({"table": "missing"}, "targets.goals: there is no table missing ("),
    ({"where": "n"}, "targets.goals.where: 'n' is bigint; a condition (boolean) is needed"),
    ({"held_out": "m = 1"}, "targets.goals.held_out: 'm = 1' does not fit its table, whose columns are n, text"),
    ({"text": "concat(prompt, solution)"}, "targets.goals.text: 'concat(prompt, solution)' does not fit"),
    ({"where": "n > 99"}, "target 'goals' has no texts, so there is nothing to align with; at least one row"),
    ({"text": "CAST(NULL AS STRING)"}, "target 'goals' has no texts"),
]


@pytest.mark.parametrize(("target", "said"), TARGETS)
def test_targets_that_cannot_be_fitted_on(world: World, target: dict[str, Any], said: str) -> None:
    mine = recipe(targets={"goals": {"table": "goals", **target}})
    documents = replace(open_documents(world.lake, recipe()), recipe=mine)
    hashes = Hashes("hashes_tiny", 0, Summary(1, 1, 0, 0, 0, "", {}))

    def fit() -> None:
        targets = open_targets(world.lake, documents)
        fit_on_targets(Run(world.lake, mine, documents, hashes, Manifest("tiny", ""), targets))

    with pytest.raises(LakeSiftError) as caught:
        fit()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
