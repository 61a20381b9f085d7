"""Wrong recipes fail before Spark starts: each sentence holds the offending value and what is allowed or to be done."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from lakesift.jobs.commands.catalog import catalog
from lakesift.jobs.recipe import load, order, parse, shipped
from lakesift.udfs.errors import RecipeError

GOOD: dict[str, Any] = {
    "name": "good",
    "documents": {"table": "docs"},
    "targets": {"wanted": {"table": "wanted"}},
    "scores": {"alignment": {"kind": "zipfit", "target": "wanted", "level": 1}, "tokens": {"kind": "length_tokens"}},
    "select": {"kind": "top_k", "by": "alignment"},
    "budget": {"rows": 5},
    "controls": ["random", "length_matched"],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return GOOD with one key set, or removed where the value is ...; a path is "scores.alignment.level"."""
    raw = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    place = raw
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return raw


WRONG = [
    # path, value, what the sentence must hold: the offending value, then what is allowed or what to do
    ("docments", {"table": "x"}, ["'docments'", "did you mean 'documents'?"]),
    ("documents.tabel", "x", ["'tabel'", "did you mean 'table'?"]),
    ("documents", ..., ["no 'documents'", "add it"]),
    ("documents", "docs", ["'docs'", "table"]),
    ("documents.table", ..., ["no 'table'", "add it"]),
    ("documents.id", 7, ["id is 7", "SQL expression"]),
    ("documents.duplicates", "keep", ["'keep'", "error, first_by_hash"]),
    ("documents.from", {"files": []}, ["documents.from", "files: [path, ...]"]),
    ("documents.from", {"files": ["a"], "format": "josnl"}, ["'josnl'", "did you mean 'jsonl'?"]),
    ("documents.from", {"sample": "python_stdlb"}, ["'python_stdlb'", "did you mean 'python_stdlib'?"]),
    ("documents", {"table": "main.data.rows", "from": {"files": ["a"]}}, ["'main.data.rows'", "letters, digits and _"]),
    ("name", "Bad Name", ["'Bad Name'", "lower-case letters"]),
    ("targets.wanted.txt", "x", ["'txt'", "did you mean 'text'?"]),
    ("targets", {}, ["no target 'wanted'", "allowed:"]),
    ("scores.alignment.kind", "zipfti", ["'zipfti'", "did you mean 'zipfit'?"]),
    ("scores.alignment", {"target": "wanted"}, ["scores.alignment", "kind"]),
    ("scores.alignment.levle", 1, ["'levle'", "did you mean 'level'?"]),
    ("scores.alignment.level", 0, ["level", "0", "1"]),
    ("scores.alignment.level", "six", ["scores.alignment (zipfit): level is 'six'", "a whole number is needed"]),
    ("scores.alignment.level", True, ["level is True", "a whole number is needed"]),
    ("scores.alignment.chunk_bytes", -1, ["chunk_bytes is -1", "a whole number from 0 is needed"]),
    ("scores.alignment.target", ..., ["scores.alignment (zipfit) needs target"]),
    ("scores.alignment.target", "", ["target is ''", "the name of a target is needed"]),
    ("scores.alignment.target", "wantd", ["no target 'wantd'", "did you mean 'wanted'?"]),
    ("scores.alignment.codec", "brotly", ["'brotly'", "gzip"]),
    ("scores.alignment.of", "prompt", ["'prompt'", "add prompt"]),
    ("scores.alignment.of", "txet", ["'txet'", "did you mean 'text'?"]),
    ("scores.rank", {"kind": "length_bytes"}, ["'rank'", "tokens_used"]),
    ("scores.Gain", {"kind": "length_bytes"}, ["'Gain'", "gain"]),
    ("scores", {"two words": {"kind": "length_bytes"}}, ["'two words'", "letters, digits and _"]),
    ("scores", ["zipfit"], ["['zipfit']", "block of name"]),
    ("scores.Tokens", {"kind": "length_bytes"}, ["'Tokens'", "'tokens'", "differ in case only", "rename the score"]),
    (
        "scores",
        {"length_bytes": {"kind": "compression_ratio"}},
        ["is of kind compression_ratio", "rename it"],
    ),
    ("scores.tokens.where", 3, ["scores.tokens: where is 3", "text is needed"]),
    ("scores.tokens.where", "tokens > 3", ["scores.tokens", "'tokens > 3'", "names the score itself"]),
    ("where", ["tokens"], ["['tokens']", "text is needed"]),
    ("select.kind", "topk", ["'topk'", "did you mean 'top_k'?"]),
    ("select", {"kind": "top_k"}, ["needs by"]),
    ("select.order", "up", ["'up'", "asc"]),
    ("select", {"kind": "stratified", "column": "m", "quota": "eqal"}, ["'eqal'", "did you mean 'equal'?"]),
    ("select", ..., ["no 'select'", "add it"]),
    ("budget", {}, ["budget", "rows, fraction, tokens"]),
    ("budget", {"rows": 5, "fraction": 0.1}, ["['rows', 'fraction']", "exactly one"]),
    ("budget.rows", 0, ["rows is 0", "a whole number from 1"]),
    ("budget.rows", 1.5, ["rows is 1.5", "a whole number from 1"]),
    ("budget.rows", True, ["rows is True", "a whole number from 1"]),
    ("budget", {"fraction": 1.2}, ["fraction is 1.2", "above 0 and at most 1"]),
    ("budget", {"fraction": float("nan")}, ["fraction is nan", "above 0 and at most 1"]),
    ("budget", {"tokens": 10}, ["tokens and length go together"]),
    ("budget", {"tokens": 10, "count": "tokens"}, ["'count'", "allowed: fraction, length"]),
    ("budget", {"rows": 10, "length": "tokens"}, ["tokens and length go together"]),
    ("budget", {"tokens": 10, "length": "token"}, ["'token'", "did you mean 'tokens'?"]),
    ("budget", {"tokens": 10, "length": "alignment"}, ["'alignment', which is double", "allowed: tokens"]),
    ("budget", {"tokens": 10, "length": "tokens", "truncate_last": "never"}, ["'never'", "true or false is needed"]),
    ("budget.row", 5, ["'row'", "did you mean 'rows'?"]),
    ("budget.rows", None, ["rows is None", "a whole number from 1"]),
    ("controls", "random", ["'random'", "[random, length_matched]"]),
    ("controls", ["randum"], ["'randum'", "did you mean 'random'?"]),
    ("controls", [["random"]], ["['random']", "allowed: "]),
    ("controls", [{"kind": "random", "bye": "tokens"}], ["'bye'", "did you mean 'by'?"]),
    ("keep", "module", ["'module'", "a list of source columns"]),
    ("seed", "x", ["seed is 'x'", "a whole number"]),
    ("seed", 2**63, ["seed is 9223372036854775808", "a whole number from"]),
    ("keep_versions", 0, ["keep_versions is 0", "a whole number from 1"]),
    ("report", {"share": ["kind"]}, ["'share'", "did you mean 'shares'?"]),
    ("report", {"shares": "kind"}, ["report: shares is 'kind'", "a list (each text)"]),
    ("documents.from", {"files": [[7]]}, ["documents.from: files is [[7]]", "a list (each text)"]),
    ("documents.from", {"sample": ["python_stdlib"]}, ["no sample ['python_stdlib']"]),
]


def test_the_good_recipe_is_good() -> None:
    recipe = parse(GOOD)
    assert (recipe.length_name(), list(recipe.controls)) == ("tokens", ["random", "length_matched"])


@pytest.mark.parametrize(("path", "value", "held"), WRONG, ids=lambda v: str(v)[:40])
def test_wrong_recipes_say_what_is_wrong(path: str, value: Any, held: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(changed(path, value))
    sentence = str(caught.value)
    assert all(part in sentence for part in held), sentence
    assert "\n" not in sentence


def test_scores_that_read_each_other_are_a_circle() -> None:
    raw = changed("scores", {"a": {"kind": "length_bytes", "of": "b"}, "b": {"kind": "length_bytes", "of": "a"}})
    with pytest.raises(RecipeError, match="a, b read each other in a circle"):
        parse({**raw, "select": {"kind": "top_k", "by": "a"}})


def test_scores_come_after_those_they_read() -> None:
    raw = changed("scores", {"b": {"kind": "kmeans", "of": "a"}, "a": {"kind": "embedding"}})
    assert order(parse({**raw, "select": {"kind": "random"}})) == ["a", "length_bytes", "b"]


def test_a_length_is_added_where_none_is_named() -> None:
    recipe = parse(changed("scores.tokens", ...))
    assert (list(recipe.scores), recipe.length_name()) == (["alignment", "length_bytes"], "length_bytes")
    assert recipe.controls["length_matched"].needs[0].name == "length_bytes"


def test_a_table_is_ingested_for_whoever_names_its_files() -> None:
    source = {"format": "jsonl", "files": "rows.jsonl"}
    raw = changed("documents", {"table": "docs", "id": "", "from": source})
    raw["targets"] = {"wanted": {"table": "docs"}}  # the same table, and nothing about files
    tables = parse(raw).ingested()
    assert list(tables) == ["docs"]
    assert tables["docs"] == (parse(raw).documents.source, None)
    raw["targets"]["wanted"]["from"] = {**source, "files": "others.jsonl"}
    with pytest.raises(RecipeError, match="'docs' has two different 'from:'"):
        parse(raw).ingested()


def test_identity_changes_with_what_decides_the_result_and_with_nothing_else() -> None:
    same = parse(GOOD).digest()
    assert parse({**changed("seed", 42), "description": "words", "report": {"shares": ["kind"]}}).digest() == same
    others = [("seed", 43), ("budget.rows", 6), ("where", "tokens > 1"), ("scores.alignment.level", 2), ("keep", [])]
    others += [("documents.text", "upper(text)"), ("targets.wanted.where", "id > 1"), ("select.order", "asc")]
    others += [("controls", []), ("documents.duplicates", "first_by_hash")]
    made = {parse(changed(path, value)).digest() for path, value in others}
    assert len(made | {same}) == len(others) + 1


@pytest.mark.parametrize(
    ("setting", "held"),
    [
        ("budget.rows", ["'budget.rows'", "key.sub=value"]),
        ("budget.rows=many", ["'many'", "a whole number from 1"]),
        ("name.x=1", ["'name'", "not a block"]),
        ("budgt.rows=3", ["'budgt'", "did you mean 'budget'?"]),
        ("budget.rows=[1", ["'[1'", "--set budget.rows is not YAML"]),
    ],
)
def test_wrong_settings(setting: str, held: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        load("zipfit_code", (setting,))
    assert all(part in str(caught.value) for part in held), str(caught.value)


def test_settings_override_and_add_keys() -> None:
    recipe = load("zipfit_code", ("budget.rows=7", "where=tokens >= 3", "documents.prompt=text"))
    assert (recipe.budget.rows, recipe.where, recipe.documents.prompt) == (7, "tokens >= 3", "text")


def test_recipes_come_from_names_paths_and_uris(tmp_path: Path) -> None:
    text = shipped()["zipfit_code"].read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    same = load("zipfit_code").digest()
    assert load(str(path)).digest() == same
    assert load("s3://bucket/mine.yaml", read_uri={"s3://bucket/mine.yaml": text}.__getitem__).digest() == same
    with pytest.raises(RecipeError, match="did you mean 'zipfit_code'"):
        load("zipfit_cod")
    path.write_text("name: [")
    with pytest.raises(RecipeError, match=r"mine\.yaml is not YAML"):
        load(str(path))
    path.write_text("- name")
    with pytest.raises(RecipeError, match="holds list, not a block of keys"):
        load(str(path))


def test_shipped_recipes_parse_and_are_listed() -> None:
    listed = str(catalog("recipes"))
    for name in shipped():
        assert load(name).name == name
        assert any(line.split()[0] == name and len(line.split()) > 5 for line in listed.splitlines())


def test_lists_show_kinds_parameters_and_what_is_needed() -> None:
    scores = next(line for line in str(catalog("scores")).splitlines() if line.startswith("zipfit "))
    assert all(part in scores for part in ("a target", "double", "target (needed)", "level=", "larger is closer"))
    kmeans = next(line for line in str(catalog("scores")).splitlines() if line.startswith("kmeans "))
    assert all(
        part in kmeans for part in ("k=100 (from 1, or auto)", "(each from 2)", "centres='means' (means, points)")
    )
    top_k = next(line for line in str(catalog("selectors")).splitlines() if line.startswith("top_k "))
    assert all(part in top_k for part in ("by (needed)", "order='desc' (desc, asc)", "The rows with the best score"))
