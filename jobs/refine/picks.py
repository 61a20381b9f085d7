"""What a round picks, and which of the rows chosen so far it asks a reward of."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame

from ...udfs.errors import InputError, RecipeError
from ...udfs.fitted import FittedScore
from ...udfs.kernels.refinement import rows_by_round, rows_to_score
from ..inputs.run import Run
from ..ranking.top import rows_of
from ..recipe.blocks import Refine
from ..scoring.eligible import count_excluded, count_rankable, eligible_rows
from ..scoring.on_demand import OnDemand
from ..select import pool_of
from ..selectors._cluster_quota import ClusterQuota
from ..selectors.budget import rows_wanted
from ..selectors.selector import Pool

log = logging.getLogger("lakesift")


@dataclass(frozen=True)
class Picks:
    """The rows that can be chosen, their clusters, and how many each round adds."""

    run: Run
    settings: Refine
    fitted: Mapping[str, FittedScore]
    scores_version: int

    @cached_property
    def scores(self) -> DataFrame:
        """`scores_<recipe>`, pinned."""
        return self.run.lake.read(f"scores_{self.run.recipe.name}", self.scores_version)

    @cached_property
    def rows(self) -> DataFrame:
        """The eligible rows."""
        return eligible_rows(self.run, self.fitted, self.scores)

    @cached_property
    def counts(self) -> dict[str, Any]:
        """Documents, and those that cannot be chosen."""
        documents = self.run.hashes.summary.documents
        eligible, ranked, _ = count_rankable(self.rows, self.run.recipe)
        excluded = count_excluded(self.run, self.scores)
        counts = {"documents": documents, "ineligible": documents - eligible, "unranked": eligible - ranked}
        return counts | ({"excluded": excluded} if excluded else {})

    @cached_property
    def clusters(self) -> dict[str, int]:
        """Rows that can be chosen, by cluster."""
        return self._selector.sizes(self._pool(self.rows, 0, 0))

    @cached_property
    def sizes(self) -> list[int]:
        """Rows that each round adds."""
        recipe, documents, there = self.run.recipe, self.counts["documents"], sum(self.clusters.values())
        wanted = rows_wanted(recipe.budget, documents)
        if not there:
            raise InputError(f"no row of {documents:,} can be selected; widen where:, or look at scores_{recipe.name}")
        if wanted > there:
            self.run.manifest.note(f"budget is {wanted:,} rows, {there:,} can be selected")
        if self.settings.scored < len(self.clusters):
            raise RecipeError(
                f"refine: scored is {self.settings.scored} and {self._selector.cluster} has {len(self.clusters)} "
                "clusters; score a row of each at least, five are better"
            )
        return [int(n) for n in rows_by_round(min(wanted, there), self.settings.rounds)]

    @cached_property
    def start(self) -> dict[str, float]:
        """Weights of the first round."""
        if self.settings.start == "uniform":
            return dict.fromkeys(self.clusters, 1 / len(self.clusters))
        total = sum(self.clusters.values())
        return {cluster: rows / total for cluster, rows in self.clusters.items()}

    def pick(self, number: int, weights: Mapping[str, float], chosen: pd.DataFrame) -> pd.DataFrame:
        """Return the rows chosen so far, with those of a round."""
        log.info("round %d of %d: picking %s rows", number, len(self.sizes), f"{self.sizes[number - 1]:,}")
        left = rows_of(self.rows, chosen, "left_anti") if len(chosen) else self.rows
        pool = self._pool(left, self.sizes[number - 1], self.seed(number, "pick"))
        if number == 1:  # bit for bit the selector's own, in a recipe of the same salt
            quota: Any = {"uniform": "equal", "proportional": "proportional"}[self.settings.start]
        else:
            there = self._selector.sizes(pool)
            quota = {cluster: weights[cluster] for cluster in there}
            if dry := [cluster for cluster, weight in weights.items() if weight and cluster not in there]:
                named = f"clusters {', '.join(dry)} have" if len(dry) > 1 else f"cluster {dry[0]} has"
                self.run.manifest.note(f"round {number}: {named} no row left; the others take the share")
            if not any(quota.values()):
                raise InputError(
                    f"round {number}: every row of the clusters with weight has been chosen; set refine: floor above 0"
                )
        picked = replace(self._selector, quota=quota).select(pool)
        picked = picked.assign(rank=picked["rank"] + len(chosen), round=number)
        return pd.concat([chosen, picked], ignore_index=True) if len(chosen) else picked

    def asked(self, number: int, chosen: pd.DataFrame) -> pd.DataFrame:
        """Return the rows chosen so far with their cluster, and whether this round asks for a reward of them."""
        found = self._selector.members(self.rows, chosen, self.seed(number, "score")).set_index("id")
        chosen = chosen.assign(cluster=chosen["id"].map(found["cluster"]), asked=False)
        codes = pd.Categorical(chosen["cluster"], categories=list(self.clusters)).codes
        keys = chosen["id"].map(found["key"]).to_numpy(np.int64)
        chosen.loc[rows_to_score(codes.astype(np.int64), keys, self.settings.scored), "asked"] = True
        return chosen

    def seed(self, number: int, use: str) -> int:
        """Return the recipe's seed for the picks of round 1, another one for everything else."""
        recipe = self.run.recipe
        return recipe.seed if (number, use) == (1, "pick") else recipe.seed_of(number, use)

    @property
    def _selector(self) -> ClusterQuota:
        return cast(ClusterQuota, self.run.recipe.selector)

    def _pool(self, rows: DataFrame, budget: int, seed: int) -> Pool:
        pool = pool_of(self.run, self.fitted, rows, OnDemand(self.run, self.fitted, rows))
        return replace(pool, budget=budget, seed=seed)
