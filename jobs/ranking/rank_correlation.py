"""Spearman's rank correlation of two columns on the driver."""

from __future__ import annotations

import pandas as pd

#: Rank correlation with length, of either sign, from which a note says it, and the fewest rows that are worth a word.
STRONG, FEWEST_ROWS = 0.5, 30


def rank_correlation(frame: pd.DataFrame, x: str, y: str) -> float:
    """Return Spearman's correlation of two columns over rows that have both; NaN below two rows or if one is constant.

    Ranks and Pearson, because pandas needs scipy for method="spearman" of two columns; ties share their mean rank.
    """
    ranks = frame[[x, y]].dropna().rank()
    return float(ranks.corr().to_numpy()[0, 1])
