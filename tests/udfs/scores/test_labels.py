"""labels and tags: hand cases of counting, merging, unknown names; the graph; refusals."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakesift.udfs.arrays import Ragged
from lakesift.udfs.arrow import fold_batches, score_batch
from lakesift.udfs.errors import BoundError, InputError, LakeSiftError, PlatformError, RecipeError, ScoreError
from lakesift.udfs.kernels.vectors import unit_rows
from lakesift.udfs.models import encoders
from lakesift.udfs.scores import _label_model
from lakesift.udfs.scores._label_model import LabelModel
from lakesift.udfs.scores._label_names import NameCounts, Unknown
from lakesift.udfs.scores.embedding import Embedding
from lakesift.udfs.scores.labels import Labels, LabelsScorer
from lakesift.udfs.scores.tags import SmallestHashes, Tags, TagsScorer, terms
from lakesift.udfs.spark import _state_batch

TOY: dict[str, Any] = {"encoder": "hashed_ngrams", "merge": 0.0}


def fit(rows: list[list[str]], **parameters: Any) -> LabelsScorer:
    column = Ragged.of(rows)
    return Labels(**{**TOY, **parameters}).fit(lambda fold, _: fold.add(fold.zero(), column))


def labelled(scorer: LabelsScorer, rows: list[list[str]]) -> list[list[str]]:
    names: dict[int, str] = {label: name for label, name, _, _ in scorer.shown()["labels"]}
    return [[names[i] for i in row] for row in scorer.kernel()(Ragged.of(rows))]


def test_labels_are_counted_by_row_and_numbered_from_the_most_frequent() -> None:
    scorer = fit([["b", "a", "b"], ["a"], ["b", "c"], ["a"], []])
    assert scorer.shown()["labels"] == [(0, "a", 3, []), (1, "b", 2, [])]
    assert [row.tolist() for row in scorer.kernel()(Ragged.of([["b", "a", "b"], ["c"], [], ["new", "a"]]))] == [
        [0, 1], [], [], [0],
    ]  # fmt: skip
    assert fit([["b"], ["a"]], least=1).names == ("a", "b"), "ties in order of names"


def test_one_spelling() -> None:
    rows = [[" Cafe\u0301"], ["Caf\xe9 "], ["caf\xe9"], [""], ["  "]]
    assert fit(rows, least=1).names == ("Caf\xe9", "caf\xe9")
    assert fit(rows, least=1, fold_case=True).names == ("caf\xe9",)
    assert labelled(fit(rows, least=1, fold_case=True), [["CAF\xc9", "x"]]) == [["caf\xe9"]]


def test_a_delimiter_cuts_texts() -> None:
    texts = ["a, b", "b,,a ", "c"]
    scorer = Labels(of="text", delimiter=",", **TOY).fit(lambda fold, _: fold.add(fold.zero(), texts))
    assert scorer.names == ("a", "b")
    assert [row.tolist() for row in scorer.kernel()(["b;a", "a,zebra,b", ""])] == [[], [0, 1], []]
    assert (scorer.takes, scorer.columns) == ("text", ())
    assert (Labels(of="tags").takes, Labels(of="tags").columns) == ("names", ("tags",))


def test_near_synonyms_are_one_label_called_by_the_most_frequent_name() -> None:
    rows = [["news sports"]] * 2 + [["sports news"]] * 3 + [["recipes"]] * 4  # a mean of token vectors has no order
    scorer = fit(rows, encoder="wordllama", merge=0.05)
    assert scorer.shown()["labels"] == [(0, "sports news", 5, ["news sports"]), (1, "recipes", 4, [])]
    assert labelled(scorer, [["news sports"], ["recipes", "sports news"]]) == [
        ["sports news"],
        ["sports news", "recipes"],
    ]
    assert len(fit(rows, encoder="wordllama", merge=0.0).shown()["labels"]) == 3


def test_the_graph_is_that_of_all_pairs() -> None:
    names = [f"{a} {b}" for a in ("red", "green", "blue", "old") for b in ("car", "bus", "bike", "boat", "ship")]
    scorer = fit([[n] for n in names], least=1, encoder="wordllama", neighbours=3)
    vectors = unit_rows(encoders.load("wordllama")(scorer.names))
    grid = np.rint(vectors * np.float32(2048)).astype(np.int64)
    cosine = np.minimum(grid @ grid.T / 2**22, 1)
    above = np.sort(cosine[np.triu_indices(20, 1)])[::-1]
    assert scorer.threshold == above[29]  # 3 neighbours a label: 30 pairs
    edges = {(a, b): w for a, b, w in scorer.shown()["edges"]}
    assert edges == {
        (a, b): np.float32(cosine[a, b]) for a in range(20) for b in range(a + 1, 20) if cosine[a, b] >= above[29]
    }
    assert scorer.summary()["neighbours"] == 2 * len(edges) / 20
    assert fit([[n] for n in names], least=1, encoder="wordllama", threshold=0.9).threshold == 0.9


def test_what_a_run_says_of_it() -> None:
    lonely = fit([["x"], ["quite else"], ["third thing"]], least=1, threshold=1.0)
    assert lonely.notes() == [
        "3 labels of 3 names, 0 edges at cosine 1.000: 0.00 neighbours a label, 100 % without any",
        "more than half of the labels have no neighbour, so the graph does little: raise neighbours",
    ]
    few = fit([["car"], ["bus"], ["law"]], least=1, encoder="wordllama")
    assert few.notes()[-1].startswith(
        f"neighbours are hardly alike at cosine {few.threshold:.2f}, as with few labels: "
    )
    batch = pa.RecordBatch.from_arrays([pa.array([["a", None], None, [None, "a", None]])], ["labels"])
    scorer = Labels(least=1, **TOY).fit(lambda fold, _: fold_batches(fold, [batch]))
    assert scorer.names == ("a",)
    assert scorer.rows.tolist() == [2]
    assert "3 null elements among the names were left out" in scorer.notes()


def test_newer_names_are_counted() -> None:
    scorer = fit([["a"], ["a", "b"], ["b"]])
    fold, said = scorer.unknown()
    found = fold.add(fold.zero(), Ragged.of([["a"], ["new", "b"], ["newer", "new"], []]))
    assert said(found) == "2 of them carry 2 names that the model does not know"
    assert said(fold.zero()) == ""
    many, row = Unknown([], "", False), [str(i) for i in range(2000)]
    assert "at least 1,000 names" in said(many.add(many.zero(), Ragged.of([row])))


def test_nulls_and_lists_at_the_edge() -> None:
    scorer = fit([["a"], ["a", "b"], ["b"]])
    column = pa.array([["b", None, "a", "b"], None, [], ["zebra"], [None]])
    assert score_batch(scorer, [column]).to_pylist() == [[0, 1], None, [], [], []]
    assert score_batch(scorer, [column.slice(2)]).to_pylist() == [[], [], []]
    wide = [[f"n{i}" for i in range(10_000)]] * 2
    assert len(score_batch(fit(wide), [pa.array(wide[:1])]).to_pylist()[0]) == 10_000
    with pytest.raises(ScoreError, match="vectors have different lengths"):  # of a scorer that wants a matrix
        score_batch(TagsScorer(), [pa.array([[1.0], [1.0, 2.0]])])


def test_a_kernel_that_fails_on_a_list_names_its_row() -> None:
    class Fails(LabelsScorer):
        def kernel(self) -> Any:
            def kernel(rows: Ragged) -> Ragged:
                if "b" in rows.values:
                    raise ValueError("no b")
                return rows

            return kernel

    with pytest.raises(ScoreError, match=r"id 'two' fails on the value \['b'\]: ValueError: no b"):
        score_batch(Fails(), [pa.array([["a"], ["b"]])], pa.array(["one", "two"]))


@pytest.mark.parametrize(
    ("rows", "parameters", "error", "said"),
    [
        (
            [[], []],
            {},
            InputError,
            "labels: column 'labels' has no name, and least is 2: no label is left; lower least",
        ),
        ([["a"], ["b"]], {}, InputError, "has 2 names, the most frequent of which stands in 1 rows, and least is 2"),
        ([["a"], ["x" * 1_000_000]], {}, InputError, "'labels' has 1 names of more than 1,000 characters"),
        ([["a", "b"], ["a"]], {"threshold": 1.5}, RecipeError, "threshold is 1.5; a number from 0 to 1 is needed"),
        ([["a"]], {"merge": 1.0}, RecipeError, "merge is 1.0; a number from 0 and below 1 is needed"),
        ([["a"]], {"neighbours": 0}, RecipeError, "neighbours is 0; a whole number from 1"),
        (
            [["a"]],
            {"of": "text"},
            RecipeError,
            "of is 'text', which is text; name a column of lists of names, or set del",
        ),
    ],
)
def test_refusals(rows: list[list[str]], parameters: dict[str, Any], error: type[LakeSiftError], said: str) -> None:
    with pytest.raises(error, match=said):
        fit(rows, **parameters)


def test_too_many_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_label_model, "MOST_LABELS", 3)
    with pytest.raises(BoundError, match="4 names in at least 1 rows; a graph takes at most 3: raise least"):
        fit([["a", "b", "c", "d"]], least=1)
    with pytest.raises(BoundError, match=r"NameCounts holds [\d,]+ bytes; at most 64,000,000 reach the driver: a gr"):
        _state_batch(NameCounts("", False), ({"x" * 64_000_000: 1}, 0, 0))


@pytest.mark.parametrize("rows", [[["car"]] * 2, [["car", "bus"]] * 3])
@pytest.mark.parametrize("threshold", [None, 0.0, 1.0])
def test_fewer_labels_than_neighbours(rows: list[list[str]], threshold: float | None) -> None:
    scorer = fit(rows, threshold=threshold, encoder="wordllama")
    assert scorer.size == len(rows[0])
    assert len(scorer.a) == (scorer.size == 2 and threshold != 1.0)


# -- tags --------------------------------------------------------------------------------------------------------------

TEXTS = ["the red car", "the red bus", "the blue car", "the blue bus", "a green boat", "a green ship"] * 3


def tagged(**parameters: Any) -> TagsScorer:
    tables: dict[str, dict[str, Any]] = {"names": {"text": ["car", "bus", " car", ""]}, "nothing": {"text": [" "]}}
    tables["documents"] = {"h": np.arange(len(TEXTS)), "text": TEXTS}

    def fold(f: Any, table: str) -> Any:
        return f.add(f.zero(), *(tables[table][n] for n in (f.reads or ("text",))))

    return Tags(**{"least": 2, "most_rows": 0.5, "merge": 0.0, "threshold": 0.0, **parameters}).fit(fold)


def test_terms_by_hand() -> None:
    assert terms(TEXTS, 3, 0.4, 100) == {
        "blue": 6, "bus": 6, "car": 6, "green": 6, "red": 6, "the blue": 6, "the red": 6, "a green": 6,
        "blue bus": 3, "blue car": 3, "boat": 3, "green boat": 3, "green ship": 3, "red bus": 3, "red car": 3,
        "ship": 3,
    }  # fmt: skip
    assert terms(TEXTS, 7, 1.0, 100) == {"the": 12}
    assert [*terms(TEXTS, 1, 0.4, 2)] == ["a green", "blue"]


def test_tags_are_the_nearest_names() -> None:
    scorer = tagged(vocabulary="names", floor=0.0)
    assert (scorer.names, scorer.rows.tolist()) == (("bus", "car"), [1, 1])
    vectors = Embedding().kernel()(["a fast car", "the bus", "car"])
    assert [row.tolist() for row in scorer.kernel()(vectors)] == [[0, 1]] * 3
    nearest = tagged(vocabulary="names", floor=0.0, most=1)
    assert [row.tolist() for row in nearest.kernel()(vectors)] == [[1], [0], [1]]
    own = tagged(most=2, floor=0.2)
    assert {"car", "bus", "red car", "green boat"} <= set(own.names)
    (row,) = own.kernel()(Embedding().kernel()(["a green boat"]))
    assert "green boat" in {own.names[i] for i in row}
    undefined = np.full((1, 256), np.nan, np.float32)
    assert [row.tolist() for row in scorer.kernel()(undefined)] == [[]]


def test_the_sample_of_texts_is_one_of_smallest_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    from lakesift.udfs.scores import tags

    monkeypatch.setattr(tags, "_SAMPLE_BYTES", 20)
    fold = SmallestHashes()
    state = fold.add(fold.zero(), [5, -3, 9, 1], ["five is long", "three is long", "nine", "\ud800"])
    assert state == [(-3, b"three is long"), (5, b"five is long")]


@pytest.mark.parametrize(
    ("parameters", "error", "said"),
    [
        ({"vocabulary": "nothing"}, InputError, "target 'nothing' has no name; one a row is needed"),
        ({"least": 100}, InputError, "tags: the documents have no name, and least is 100"),
        ({"dimensions": 999}, RecipeError, "dimensions 999 is no width of encoder wordllama"),
        ({"floor": -0.5}, RecipeError, "floor is -0.5; a number from 0 to 1 is needed"),
    ],
)
def test_refusals_of_tags(parameters: dict[str, Any], error: type[LakeSiftError], said: str) -> None:
    with pytest.raises(error, match=said):
        tagged(**parameters)


def test_vectors_of_another_encoder_are_refused() -> None:
    with pytest.raises(RecipeError, match="'v' is made by encoder minilm with 384 dimensions, the names by wordllama"):
        Tags().check_read("v", Embedding(encoder="minilm"))
    Tags().check_read("v", Embedding())
    with pytest.raises(ScoreError, match="a vector of 8 values met names of 256"):
        tagged().kernel()(np.ones((1, 8), np.float32))


@pytest.mark.parametrize("score", [Labels(encoder="minilm"), Tags(encoder="minilm")], ids=str)
def test_no_encoder_installed(score: Labels | Tags, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(PlatformError, match=r"the package torch, .*; run pip install 'lakesift\[torch\]'") as caught:
        score.check_machine()
    assert "\n" not in str(caught.value)


def test_a_model_without_names_has_no_labels() -> None:
    assert LabelModel().size == 0
    assert LabelModel().shown() == {"labels": [], "edges": []}
