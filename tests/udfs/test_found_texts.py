"""Known texts are found in whatever spelling a row has, and a pass over rows may be split anywhere."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from lakesift.udfs.found_texts import FoundTexts, text_key

KNOWN = ["The cat sat on the mat.", "Crème brûlée, s'il vous plaît", "東京は大きい。", "???", "def f(x): return x"]


@pytest.mark.parametrize(
    ("row", "known"),
    [
        ("the CAT sat\non the mat", 0),
        ("The c\u00adat sat on \u200bthe mat.", 0),
        ("Ｔｈｅ　ｃａｔ sat on the mat.", 0),
        (unicodedata.normalize("NFD", "Crème brûlée s'il vous plaît"), 1),
        ("CREME BRULEE S'IL VOUS PLAIT", 1),
        ("東京 は 大きい", 2),
        ("???", 3),
        ("def f(x): return y", None),
        ("The cat sat on the mat. So it did.", None),
        ("!!!", None),
        ("", None),
        ("\ud800", None),
    ],
)
def test_a_row_in_another_spelling_is_the_same_text(row: str, known: int | None) -> None:
    fold = FoundTexts([text_key(text) for text in KNOWN])
    found = fold.add(fold.zero(), [row], np.array([0]))
    assert np.flatnonzero(found[0]).tolist() == ([] if known is None else [known])
    assert not found[1].any()


def test_rows_may_be_split_and_come_in_any_order() -> None:
    rng = np.random.default_rng(0)
    fold = FoundTexts([text_key(text) for text in KNOWN])
    rows = [KNOWN[i] if i < 4 else f"another text {i}" for i in rng.integers(0, 8, 40)]
    chosen = rng.integers(0, 2, 40)
    whole = fold.add(fold.zero(), rows, chosen)
    assert whole[0].tolist() == [text in rows for text in KNOWN]
    assert whole[1].tolist() == [any(r == t and c for r, c in zip(rows, chosen, strict=True)) for t in KNOWN]
    order = rng.permutation(40)
    parts = [fold.add(fold.zero(), [rows[i] for i in part], chosen[part]) for part in np.split(order, [3, 3, 17])]
    merged = fold.merge(fold.merge(parts[2], parts[0]), fold.merge(parts[3], parts[1]))
    assert merged.tolist() == whole.tolist()
    assert not fold.zero().any(), "nothing is written into the state that was given"
