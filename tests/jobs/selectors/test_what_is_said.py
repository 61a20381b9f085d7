"""What selectors say of themselves, and what they take of a budget, without Spark."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from lakesift.jobs.selectors._sensitivity_draws import said_of_estimate, said_of_shares
from lakesift.jobs.selectors._strata import said_of_strata, strata_of
from lakesift.jobs.selectors.coverage import standardised
from lakesift.jobs.selectors.random_draw import Random
from lakesift.jobs.selectors.sensitivity import Sensitivity
from lakesift.jobs.selectors.zipfit_race import _note_length
from lakesift.udfs.kernels.loss_estimate import Estimate
from lakesift.udfs.kernels.sensitivity import draws_needed


def test_the_estimate_in_words() -> None:
    made = Estimate(total=580.0, error=10.0, uniform=12.0, rows=1000, paid=181)
    said = said_of_estimate("ratio", made, "20 centres, 100 probes and 61 drawn rows")
    assert said == (
        "sum of 'ratio' over 1,000 rows: 580 +- 20 (95 %), mean 0.58 +- 0.02; 181 losses were paid for (20 centres, "
        "100 probes and 61 drawn rows), and as many uniform draws would have given +- 24"
    )
    assert said_of_estimate("ratio", made._replace(uniform=5.0), "").endswith("+- 9.8, less than this")


@pytest.mark.parametrize(
    ("power", "lipschitz", "said"),
    [
        # q by cluster: 90 + 0, 20 + 0.
        ([9.0, 1.0], [0.0, 0.0], "cluster 3 has the largest share of q: 82%, with 90% of the rows"),
        # 90 + 9, 20 + 1000.
        ([9.0, 1.0], [1.0, 1000.0], "cluster 5 has the largest share of q: 91%, with 10% of the rows; a few rows may"),
        ([np.inf, 1.0], [1.0, 1.0], ""),
    ],
)
def test_the_largest_share_of_q_in_words(power: list[float], lipschitz: list[float], said: str) -> None:
    centres = pd.DataFrame({"cell": [3, 5], "rows": [90, 10], "loss": [1.0, 2.0], "power": power})
    found = said_of_shares(centres, np.array(lipschitz))
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_a_race_says_that_its_score_follows_length() -> None:
    """Columns: log C(x), a bound, two similarities; rows without a score do not count."""
    rng, said = np.random.default_rng(0), list[str]()
    size = rng.uniform(3, 8, 200)
    pairs = np.column_stack([size, np.ones(200), -size + rng.normal(0, 1, 200), -size])
    pairs[::10] = np.nan
    _note_length("near", pairs, said.append)
    expected = spearmanr(np.delete(size, np.s_[::10]), np.delete(pairs[:, 2:].mean(axis=1), np.s_[::10])).statistic
    start = f"near: its rank correlation with the compressed size of a row is {expected:.2f} among 180 rows, so it"
    assert said[0].startswith(start)
    _note_length("near", pairs[:33], said.append)  # 29 rows have a score
    pairs[:, 2:] = rng.normal(0, 1, (200, 2))
    _note_length("near", pairs, said.append)
    assert len(said) == 1


def test_what_is_taken_of_a_budget() -> None:
    needed = draws_needed(0.3, 0.1, 0.3)
    asked = Sensitivity("cells", "loss", eps=0.3, delta=0.1)
    assert (asked.wants(10_000), asked.wants(5)) == (needed, 5)
    assert Sensitivity("cells", "loss").wants(70) == Random().wants(70) == 70


def test_quality_has_no_unit() -> None:
    quality = np.random.default_rng(0).exponential(1, 50)
    np.testing.assert_allclose(standardised(1000 * quality - 7), standardised(quality), atol=1e-12)
    order = np.random.default_rng(1).permutation(50)
    assert standardised(quality[order]).tobytes() == standardised(quality)[order].tobytes()
    assert np.isnan(standardised(np.array([1.0, np.nan]))).any(), "the kernel refuses it by name"


GROUPS = pd.DataFrame({"group": ["=0", "=1", "=2", "=other", "=4"], "size": [90, 1, 5, 30, 5]})


@pytest.mark.parametrize(
    ("budget", "strata"),
    [
        (9, ["0", "1", "2", "other", "4"]),  # 2 of each but the one row of cluster 1
        (8, ["0", "other_", "2", "other", "other_"]),
        (6, ["0", "other_", "other_", "other", "other_"]),
        (4, ["0", "other_", "other_", "other_", "other_"]),
        (3, ["other_"] * 5),
        (1, ["other_"] * 5),
    ],
)
def test_the_smallest_clusters_are_one_stratum_under_a_small_budget(budget: int, strata: list[str]) -> None:
    found = strata_of(GROUPS, budget)
    assert found.tolist() == strata
    sizes = GROUPS["size"].groupby(found.to_numpy()).sum()
    assert sizes.clip(upper=2).sum() <= max(budget, 2)
    shuffled = GROUPS.sample(frac=1, random_state=1)
    assert strata_of(shuffled, budget).sort_index().tolist() == strata
    number = pd.Series(np.full(budget, 2))
    said = said_of_strata(GROUPS.assign(stratum=found), number)
    assert said.startswith(
        f"{budget} rows of {len(set(strata))} strata, 2 to 2 of each: sum(weight * value) / sum(weight)"
    )
    assert "over 131 rows" in said
    assert ("are one stratum" in said) == ("other_" in strata)
