"""dsir: weights and top-k of data-selection 1.0.3, weights computed by hand, a readable twin, what is refused."""

from __future__ import annotations

import json
import math
import pickle
import random
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_selection import HashedNgramDSIR

from lakesift.udfs.errors import InputError, RecipeError, ScoreError
from lakesift.udfs.kernels.scripts import spelling
from lakesift.udfs.scores.dsir import Counts, Dsir, DsirScorer
from tests.texts import ODD, functions, human_eval, stitched
from tests.udfs.kernels.test_ngram_buckets import HARD, buckets_of, words_of
from tests.udfs.scores.conftest import fit_locally


def raw_rows() -> list[str]:
    """Real functions of all lengths with other scripts among them; each has a token and is UTF-8."""
    odd = [text for text in (*ODD, *HARD) if text.strip() and "\ud800" not in text]
    odd = [text for text in odd if spelling(text) == text.lower()]  # where the package has the same words
    assert any(not text.isascii() for text in odd)
    return [*functions(300), *odd, *human_eval(60)[40:]]


def fitted(raw: Sequence[str], target: Sequence[str], **parameters: Any) -> DsirScorer:
    tables: Mapping[str, Any] = {"documents": {"text": raw}, "target": {"text": target}}
    made = fit_locally(Dsir(target="target", **parameters), tables)
    assert isinstance(made, DsirScorer)
    return made


def reference(raw: Sequence[str], target: Sequence[str], folder: Path, **parameters: Any) -> HashedNgramDSIR:
    """Return the package's own class, fitted and with its weights computed, in one process."""
    tables = {"raw": raw, "target": target}

    def load(path: str) -> list[dict[str, str]]:
        return [{"text": text} for text in tables[path]]

    made = HashedNgramDSIR(
        *(["raw"], ["target"], str(folder / "cache")),
        raw_load_dataset_fn=load,
        target_load_dataset_fn=load,
        num_proc=1,
        min_example_length=0,
        **parameters,
    )
    made.fit_importance_estimator(num_tokens_to_fit="all")
    made.compute_importance_weights()
    return made


def weights_of(made: HashedNgramDSIR) -> np.ndarray:
    return np.load(made.log_importance_weights_dir / "0.npy")


@pytest.mark.parametrize("buckets", [10_000, 500])
def test_weights_and_top_k_of_the_package(buckets: int, tmp_path: Path) -> None:
    assert version("data-selection") == "1.0.3"
    assert tuple(map(int, version("nltk").split(".")[:2])) >= (3, 10), "older ones make other tokens"
    raw, target = raw_rows(), human_eval(40)
    package, scorer = reference(raw, target, tmp_path, num_buckets=buckets), fitted(raw, target, buckets=buckets)
    np.testing.assert_array_equal(scorer.log_ratios, package.log_diff)
    ours, theirs = scorer.kernel()(raw), weights_of(package)
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)
    assert len(np.unique(theirs)) > 300
    assert theirs.min() < -10 < 10 < theirs.max()
    package.resample(str(tmp_path / "out"), 50, str(tmp_path / "chosen"), top_k=True)
    lines = (tmp_path / "out" / "0.jsonl").read_text(encoding="utf-8").splitlines()
    best = sorted(range(len(raw)), key=lambda i: -ours[i])[:50]
    assert Counter(json.loads(line)["text"] for line in lines) == Counter(raw[i] for i in best)


def test_no_tokens_is_undefined_where_the_package_says_0(tmp_path: Path) -> None:
    raw, target = ["to be", "", " \n", "or not"], ["to be"]
    theirs = weights_of(reference(raw, target, tmp_path))
    ours = fitted(raw, target).kernel()(raw)
    assert theirs[[1, 2]].tolist() == [0.0, 0.0]
    assert np.isnan(ours).tolist() == [False, True, True, False]
    np.testing.assert_allclose(ours[[0, 3]], theirs[[0, 3]], rtol=1e-14)


def test_by_hand() -> None:
    # documents: to, be, to be, or, not, or not, once each; target: to twice, be, to be
    scorer = fitted(["To be", "or not"], ["to be", "TO"])
    seen, unseen = math.log(1 / 6 + 1e-8), math.log(1e-8)
    to, be = math.log(2 / 4 + 1e-8) - seen, math.log(1 / 4 + 1e-8) - seen
    found = scorer.kernel()(["to be", "to", "be to", "not", "TO,to", ""])
    expected = [to + be + be, to, be + to, unseen - seen, 2 * to, math.nan]  # what neither side has adds nothing
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_per_token_and_one_spelling() -> None:
    raw, target = [*functions(60), *ODD], human_eval(20)
    by_row, by_token = (fitted(raw, target, per=per).kernel()(raw) for per in ("row", "token"))
    tokens = [len(words_of(text)) for text in raw]
    np.testing.assert_allclose(by_token, by_row / np.where(tokens, tokens, np.nan), rtol=1e-14)
    weigh = fitted(["été à l'école", "漢字仮名"], ["l'École", "漢字"]).kernel()
    one, two = weigh(["école 漢字", unicodedata.normalize("NFD", "ÉCOLE\u00ad 漢\u200b字")])
    assert one == two
    object.__setattr__(other := fitted(raw, target), "unicode", "9.0.0")
    with pytest.raises(ScoreError, match=r"was defined with Unicode 9\.0\.0"):
        other.kernel()


def test_equal_to_a_readable_twin() -> None:
    raw, target, buckets = [*functions(40), *ODD, *HARD], human_eval(15), 700
    p, q = (Counter(b for text in side for b in buckets_of(text, buckets)) for side in (target, raw))
    n, m = p.total(), q.total()

    def weight(text: str) -> float:
        found = buckets_of(text, buckets)
        terms = (math.log(p[b] / n + 1e-8) - math.log(q[b] / m + 1e-8) for b in found)
        return math.fsum(terms) if found else math.nan

    found = fitted(raw, target, buckets=buckets).kernel()(raw)
    np.testing.assert_allclose(found, [weight(text) for text in raw], rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("seed", range(4))
def test_planted_rows_of_equal_length_come_first(seed: int) -> None:
    tasks = random.Random(seed).sample(human_eval(164), 164)
    body = "\n".join(tasks[60:])
    raw = [*stitched(500, 200), *(body[i * 500 : (i + 1) * 500] for i in range(30))]
    found = fitted(raw, tasks[:60]).kernel()(raw)
    first = set(np.argsort(-found)[:30].tolist())
    assert len(first & set(range(200, 230))) >= 15, "4 are expected by chance"


def test_it_learns_from_what_it_scores_and_from_both_tables() -> None:
    estimator = Dsir(of="completion", target="t", fit_where="lang = 'en'", buckets=64)
    assert (estimator.fits_on, estimator.inputs) == (("documents", "t"), ("completion",))
    tables: dict[str, Any] = {"documents": {"completion": ["a b"], "text": ["c d"]}, "t": {"text": ["a c"]}}
    scorer = fit_locally(estimator, tables)
    assert scorer.of == "completion"
    np.testing.assert_array_equal(scorer.log_ratios, fitted(["a b"], ["a c"], buckets=64).log_ratios)


def test_counts_are_exact_and_pickle_within_the_bound() -> None:
    fold, rows = Counts(1_000_000), [*functions(30), *ODD]
    whole = fold.add(fold.zero(), rows)
    assert whole.sum() == sum(len(buckets_of(row, 1_000_000)) for row in rows)
    parts = fold.merge(fold.add(fold.add(fold.zero(), rows[20:]), rows[5:9]), fold.add(fold.zero(), rows[:5]))
    np.testing.assert_array_equal(fold.merge(fold.add(fold.zero(), rows[9:20]), parts), whole)
    assert len(pickle.dumps(whole, protocol=5)) <= fold.limit_bytes
    assert len(pickle.dumps(fold)) < 500


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "dsir: target is ''; the name of a target is needed"),
        (
            {"target": "t", "buckets": 1},
            "buckets is 1; a whole number from 2 to 1,000,000 is needed; the default is 10000",
        ),
        ({"target": "t", "buckets": 1_000_001}, "buckets is 1000001"),
        ({"target": "t", "buckets": True}, "buckets is True"),
        ({"target": "t", "buckets": 100.0}, r"buckets is 100\.0"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        Dsir(**parameters)


@pytest.mark.parametrize("empty", [[], ["", " \n"], ["\ud800 lone"]])
def test_tables_without_tokens(empty: list[str]) -> None:
    with pytest.raises(InputError, match="no text of target 'target' holds a word"):
        fitted(["a b"], empty)
    with pytest.raises(InputError, match="no text of the documents holds a word"):
        fitted(empty, ["a b"])
