"""ngram_overlap: what is refused, what bounds it, and a decontaminated selection through Spark."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from lakesift.udfs.errors import BoundError, InputError, RecipeError, ScoreError
from lakesift.udfs.kernels.word_ngrams import Keys
from lakesift.udfs.scores.ngram_overlap import NgramOverlap, Ngrams
from tests.texts import functions, human_eval
from tests.udfs.scores.conftest import fit_locally

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "ngram_overlap: target is ''; the name of a target is needed"),
        ({"target": "t", "n": 0}, "n is 0; a whole number from 1 to 100 is needed; the default is 13"),
        ({"target": "t", "n": True}, "n is True; a whole number from 1"),
        ({"target": "t", "n": 101}, "n is 101"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        NgramOverlap(**parameters)


def test_a_target_without_ngrams_is_an_error() -> None:
    with pytest.raises(InputError, match="no text of target 't' holds a word"):
        fit_locally(NgramOverlap(target="t"), {"t": {"text": ["?!", "", "\u200b"]}})


#: A target text, and rows that hold it in another spelling.
FRENCH = "Quelle est la capitale de la République, demanda-t-il à l'élève distrait qui rêvait ?"
CHINESE = "今天天气很好,我们去公园里散步吧,然后一起吃晚饭。"
JAPANESE = "この文章は試験の問題として作られたもので、学習データには入れてはいけません。"
THAI = "ประโยคนี้เป็นข้อสอบที่ไม่ควรอยู่ในข้อมูลฝึก"
SHORT = "What is the capital of the Faroe Islands?"
WIDE = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in SHORT)
COPIES = {
    "decomposed": unicodedata.normalize("NFD", FRENCH),
    "upper case": FRENCH.upper(),
    "soft hyphens": FRENCH.replace("a", "a\u00ad"),
    "zero width": "\u200b".join(FRENCH),
    "without accents": "".join(c for c in unicodedata.normalize("NFD", FRENCH) if not unicodedata.combining(c)),
    "Chinese inside of text": f"例如:{CHINESE}(答案)",
    "Chinese with blanks": " ".join(CHINESE),
    "Japanese, half-width kana": JAPANESE.replace("データ", "ﾃﾞｰﾀ"),
    "Thai, decomposed": unicodedata.normalize("NFKD", THAI),
    "short, full width": WIDE,
    "short inside of text": f"Question: {SHORT} Answer: Tórshavn, which lies on Streymoy, in the North Atlantic.",
    "one word": "YES!",
}


def test_copies_are_found_in_every_spelling_and_other_rows_are_not() -> None:
    target = [FRENCH, CHINESE, JAPANESE, THAI, SHORT, "yes", "", "?!"]
    scorer = fit_locally(NgramOverlap(target="t"), {"t": {"text": target}})
    shares = dict(zip(COPIES, scorer.kernel()(list(COPIES.values())).tolist(), strict=True))
    assert [name for name, share in shares.items() if not share > 0] == []
    clean = ["yes, of course", "今天天气不好", "What is the capital of France?", *functions(20), *target[-2:]]
    assert not scorer.kernel()(clean).any()
    assert scorer.summary()["found_whole"] == 2
    whole, without = scorer.notes()
    assert whole.startswith("2 of 8 texts of the target have fewer than 13 words: they are found by their whole text")
    assert without == "2 of 8 texts of the target hold no word and cannot be found"
    assert scorer.read() == (8, 2)


def test_another_unicode_is_refused() -> None:
    scorer = fit_locally(NgramOverlap(target="t"), {"t": {"text": ["to be"]}})
    object.__setattr__(scorer, "unicode", "9.0.0")
    with pytest.raises(ScoreError, match=r"was defined with Unicode 9\.0\.0"):
        scorer.kernel()


def test_the_bound() -> None:
    most, fold = np.arange(2_000_000, dtype=np.uint64), Ngrams(13)
    assert fold.merge(Keys(most[::2], {}), Keys(most[1::2], {})).ngrams.tolist() == most.tolist()
    with pytest.raises(BoundError, match="at least 2000001 different n-grams"):
        fold.merge(Keys(most, {}), Keys(most[:0], {3: np.array([2**63], np.uint64)}))


def test_where_leaves_contaminated_rows_out(spark: SparkSession, tmp_path: Path) -> None:
    tests, clean = human_eval(20), functions(40)
    leaked = [f"# from a benchmark\n{text}" for text in tests[:7]]
    rows = [(f"clean-{i}", t) for i, t in enumerate(clean)] + [(f"leaked-{i}", t) for i, t in enumerate(leaked)]
    spark.createDataFrame(rows, "id string, text string").write.format("delta").save(str(tmp_path / "docs"))
    spark.createDataFrame([(t,) for t in tests], "text string").write.format("delta").save(str(tmp_path / "tests"))
    lake = Lake(spark, str(tmp_path))
    recipe = parse(
        {
            "name": "clean",
            "documents": {"table": "docs"},
            "targets": {"tests": {"table": "tests"}},
            "scores": {"seen": {"kind": "ngram_overlap", "target": "tests"}},
            "where": "seen = 0",
            "select": {"kind": "random"},
            "budget": {"rows": 100},
            "controls": [],
        }
    )
    manifest = run(lake, recipe)
    chosen = {r["id"] for r in lake.read("selection_clean").select("id").collect()}
    assert chosen == {f"clean-{i}" for i in range(40)}
    assert manifest.counts["ineligible"] == 7
    assert run(lake, recipe).noop
