"""YAML says what it says: keys given twice, words that YAML 1.1 changes, numbers where text is meant, and bounds."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakesift.jobs.recipe import keys_of, load
from lakesift.jobs.recipe.keys import to_yaml
from lakesift.jobs.recipe.yaml_reader import read_yaml
from lakesift.jobs.rewards import rewards
from lakesift.jobs.selectors import selectors
from lakesift.udfs.constraints import hints_of, refusal
from lakesift.udfs.discovery import scorers
from lakesift.udfs.errors import RecipeError

PLAIN = """
name: x
documents: {table: docs}
scores:
  tokens: {kind: length_tokens}
select: {kind: stratified, column: lang, quota: {no: 3, en: 4}}
budget: {rows: 7}
"""


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("block", "key"),
    [
        ("where: tokens > 4\nwhere: tokens < 2", "where"),
        ("seed: 1\n'seed': 2", "seed"),
        ("targets:\n  t: {table: a}\n  t: {table: b}", "t"),
        ("targets: {t: {table: a, where: a, where: b}}", "where"),
        ("keep: {a: x, a: y}", "a"),
        ("report: {shares: [a], shares: [b]}", "shares"),
        ("controls: [{kind: random, kind: top_k}]", "kind"),
    ],
)
def test_a_key_given_twice_is_an_error_everywhere(tmp_path: Path, block: str, key: str) -> None:
    with pytest.raises(RecipeError, match=f"the key '{key}' stands twice, first in line \\d+; leave one out") as error:
        load(written(tmp_path, PLAIN + block))
    assert "\n" not in str(error.value)
    with pytest.raises(RecipeError, match=r"--set budget .*'rows' stands twice"):
        load(written(tmp_path, PLAIN), ("budget={rows: 1, rows: 2}",))


def test_keys_and_names_are_the_text_that_is_written(tmp_path: Path) -> None:
    assert load(written(tmp_path, PLAIN)).selector.quota == {"no": 3, "en": 4}  # type: ignore[attr-defined]
    quota = "{no: 1, On: 1, y: 1, 2024-05-01: 1, 007: 1, 1.50: 1, 1_0: 1, true: 1, 12:30: 1, 0x1F: 1, 1e3: 1}"
    text = PLAIN.replace("{no: 3, en: 4}", quota)
    keys = ["no", "On", "y", "2024-05-01", "007", "1.50", "1_0", "true", "12:30", "0x1F", "1e3"]
    assert list(load(written(tmp_path, text)).selector.quota) == keys  # type: ignore[attr-defined]
    more = "\ntargets: {no: {table: 2024, text: 007}, on: {table: off}}\nkeep: [yes, 1.50, 2024-05-01]\n"
    recipe = load(written(tmp_path, PLAIN + more))
    assert {k: (t.table, t.text) for k, t in recipe.targets.items()} == {"no": ("2024", "007"), "on": ("off", "text")}
    assert recipe.keep == {"yes": "`yes`", "1.50": "`1.50`", "2024-05-01": "`2024-05-01`"}
    files = "{table: docs, from: {files: [2024, 1_0.jsonl, no], format: csv, delimiter: '\t', header: [no, 1.0]}}"
    source = load(written(tmp_path, PLAIN.replace("{table: docs}", files))).documents.source
    assert source is not None
    assert (source.files, source.dialect.header) == (("2024", "1_0.jsonl", "no"), ("no", "1.0"))


def test_values_are_what_their_place_takes(tmp_path: Path) -> None:
    def settings(*values: str) -> Any:
        return load(written(tmp_path, PLAIN.replace("tokens:", "more: {kind: length_bytes}\n  tokens:")), values)

    for word, value in (("yes", True), ("on", True), ("no", False), ("Off", False), ("true", True), ("FALSE", False)):
        assert (
            settings("budget={tokens: 9, length: tokens}", f"budget.truncate_last={word}").budget.truncate_last is value
        )
    assert settings("budget.rows=1e3").budget.rows == 1000
    assert settings("budget.rows=1_000").budget.rows == 1000
    assert settings("budget.fraction=1e-3").budget.fraction == 0.001
    for wrong in ("010", "1:30", "0x10", "1.5", "yes", "1e-3", ".inf", ".nan", "2024-05-01", "~"):
        with pytest.raises(RecipeError, match="budget"):
            settings(f"budget.rows={wrong}")


@pytest.mark.parametrize(
    "line",
    [
        "where: text = 'a: b'",
        "where: `a b` > 1",
        'where: "a" || b = c',
        "where: *x",
        "where: %x",
        "where: [a] = b",
        "a:\n\tb",
    ],
)
def test_sql_that_yaml_reads_otherwise_is_told_how_to_be_written(tmp_path: Path, line: str) -> None:
    with pytest.raises(
        RecipeError, match=r"is not YAML in line [0-9]+.*put SQL that holds ': ' .* in single quotes"
    ) as error:
        load(written(tmp_path, PLAIN + line))
    assert "\n" not in str(error.value)
    with pytest.raises(RecipeError, match=r"the unknown key 'b\)'; put SQL that has commas in quotes"):
        load(written(tmp_path, PLAIN.replace("{table: docs}", "{table: docs, id: concat(a, b)}")))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed: " + "9" * 5000, "a number of 5,000 digits"),
        ("seed: 9223372036854775808", "seed is 9223372036854775808; .*; no number has more than 64 bits"),
        ("keep_versions: 1000000000000", "keep_versions is 1000000000000; a whole number from 1 to 36,500 is needed"),
        ("keep_versions: -3", "keep_versions is -3"),
        ("seed: 1e999", "1e999 is beyond all numbers"),
        ("where: " + "[" * 500, "nested too deep"),
        ("? [a]\n: b", "a key is a list or a block"),
        ("--- b", "another document"),
        ("x: !!python/object:os.system {}", "could not determine a constructor"),
    ],
)
def test_what_is_no_recipe_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence) as error:
        load(written(tmp_path, PLAIN + text))
    assert "\n" not in str(error.value)


def test_a_recipe_that_is_not_utf8_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes((PLAIN + "description: é").encode("cp1252"))
    with pytest.raises(RecipeError, match=r"is not UTF-8 from byte [0-9]+ on; save it as UTF-8"):
        load(str(tmp_path / "r.yaml"))


def test_set_replaces_what_cannot_stand_beside_it() -> None:
    raw = {"name": "x", "documents": {"table": "d", "from": {"files": ["a"], "format": "csv", "header": False}}}
    raw |= {"budget": {"tokens": 5, "length": "tokens", "truncate_last": True}}
    assert keys_of(raw, ("budget.rows=9",))["budget"] == {"rows": 9}
    assert keys_of(raw, ("budget.rows=9", "budget.fraction=0.5"))["budget"] == {"fraction": 0.5}
    assert keys_of({"budget": {"rows": 5}}, ("budget.tokens=9", "budget.length=t"))["budget"] == {
        "tokens": 9,
        "length": "t",
    }
    assert keys_of(raw, ("budget.tokens=6",))["budget"] == {"tokens": 6, "length": "tokens", "truncate_last": True}
    assert keys_of(raw, ("documents.from.sample=human_eval",))["documents"]["from"] == {"sample": "human_eval"}
    sample = {"documents": {"from": {"sample": "human_eval"}}}
    assert keys_of(sample, ("documents.from.files=a",))["documents"]["from"] == {"files": "a"}


def test_a_sample_beside_files_is_refused(tmp_path: Path) -> None:
    both = PLAIN.replace("{table: docs}", "{table: docs, from: {sample: human_eval, files: [a]}}")
    with pytest.raises(RecipeError, match="names a sample and files"):
        load(written(tmp_path, both))


def test_what_is_read_is_written_and_read_again() -> None:
    text = "a: [1_0, 1.50, true, null, 'no', 2024-05-01]\nb: {no: 1, 007: x}\n"
    raw = read_yaml(text, "x")
    assert read_yaml(to_yaml(raw), "x") == raw == yaml.safe_load(to_yaml(raw))


def test_no_parameter_takes_a_number_that_no_table_holds() -> None:
    """Over everything that discovery finds: whole numbers have 64 bits, other numbers are finite unless they say so."""
    classes = [*scorers().values(), *selectors().values(), *rewards().values()]
    checked = 0
    for cls in classes:
        for field in fields(cls):
            hint = hints_of(cls)[field.name]
            numeric = refusal(1, hint, field) is None or refusal(0.5, hint, field) is None
            if numeric and refusal("any text at all", hint, field) is not None:
                checked += 1
                for number in (10**30, -(10**30), 2**63, 10**400, float("nan")):
                    assert refusal(number, hint, field) is not None, (cls.__name__, field.name, number)
    assert checked > 50


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{table: d, from: {files: [a], delimiter: ';'}}", "delimiter is of csv, and format is 'jsonl'"),
        ("{table: d, from: {files: [a], format: csv, delimiter: ';;'}}", "delimiter is ';;'; one character is needed"),
        ("{table: d, from: {files: [a], format: csv, quote: ';', delimiter: ';'}}", "they must differ"),
        ("{table: d, from: {files: [a], format: csv, header: [a, a]}}", "names that differ are needed"),
    ],
)
def test_dialects_are_checked(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        load(written(tmp_path, PLAIN.replace("{table: docs}", text)))
