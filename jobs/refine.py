"""Refining: rows are chosen in rounds; what the rows of a round were worth sets the clusters' weights in the next.

Iterative Diversify-and-Conquer (arXiv 2409.11378, section 3.2). A round picks a part of the budget by the weights, from
rows that no round has chosen; commits all rows chosen so far; asks for rewards of some of them, which are rows of
`feedback`; and adds the weights that follow to `rounds`. Each of these decides from the tables what is left to do, so
that a refinement that was stopped anywhere goes on to the same rows. All rounds read the versions that the first one
read. Weights: udfs/kernels/refinement.py.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ..udfs.digests import digest
from ..udfs.errors import InputError, RecipeError
from ..udfs.fitted import FittedScore
from ..udfs.kernels.refinement import next_weights, rows_by_round, rows_to_score
from .inputs.opening import open_documents, open_input, open_targets
from .inputs.run import Hashes, Run, Summary
from .inputs.tables import declared_columns, shown_names
from .lake.commits import Commit
from .lake.manifest import Manifest
from .lake.tables import Lake
from .lake.tuning import compiled
from .ranking.sort_keys import cluster_of, hashed
from .ranking.top import collect_pandas, rows_of
from .recipe import Recipe
from .recipe.blocks import Refine
from .rewards.reward import Round
from .scoring.models import fitted_before
from .scoring.on_demand import OnDemand
from .scoring.progress import Phases
from .scoring.reward_inputs import RewardInputs
from .scoring.rounds import (
    Refinement,
    add_feedback,
    add_round,
    finished_rounds,
    read_feedback,
    rows_of_writer,
    weights_of,
)
from .select import commit_selection, count_rankable, eligible_rows, run_id
from .selectors.kmeans_quota import KMeansRandom
from .selectors.selector import PICKS, Pool

log = logging.getLogger("lakesift")


def standing(lake: Lake, recipe: Recipe) -> Commit | None:
    """Return the commit of the newest round of this very recipe; None if the selection is of anything else."""
    last = lake.last_write(f"selection_{recipe.name}")
    same = last is not None and last.says({"recipe_hash": recipe.digest(), "reward": _identity(recipe)})
    return last if same else None


def is_finished(lake: Lake, recipe: Recipe, commit: Commit) -> bool:
    """Tell whether the last round of a commit's refinement has its weights."""
    known = finished_rounds(lake, Refinement(recipe.name, commit.metadata["refinement"]))
    return bool((known["round"] == commit.metadata["rounds"]).any())


def reads_the_newest(lake: Lake, recipe: Recipe, commit: Commit) -> bool:
    """Tell whether documents and targets are still those that a commit's refinement reads."""
    states = commit.metadata["pins"]["states"]
    return None not in states.values() and states == _states(lake, recipe)


def _states(lake: Lake, recipe: Recipe) -> dict[str, str | None]:
    tables = [recipe.documents.table, *(target.table for target in recipe.targets.values())]
    return {table: open_input(lake, table, "refine")[1].data_version for table in tables}


def go_on(lake: Lake, recipe: Recipe, manifest: Manifest, commit: Commit) -> None:
    """Do what can be done of the refinement of a commit, with everything as its first round had it."""
    pins = commit.metadata["pins"]
    documents = open_documents(lake, recipe, pins["documents"])
    newest = lake.version(recipe.documents.table) if pins["documents"] is not None else None
    if newest != pins["documents"]:
        manifest.note(
            f"documents: version {pins['documents']} of {recipe.documents.table} is read, as in round 1; the newest is "
            f"{newest}"
        )
    manifest.inputs |= commit.metadata["inputs"]
    manifest.fingerprints |= commit.metadata["fingerprints"]
    hashes = Hashes(f"hashes_{recipe.name}", pins["hashes"], Summary(**pins["summary"]))
    run = Run(lake, recipe, documents, hashes, manifest, open_targets(lake, documents, pins["targets"]))
    with compiled(lake.spark, hashes.summary.documents):
        refine_rounds(run, fitted_before(lake, recipe, manifest.fingerprints), pins["scores"], pins)


def refine_rounds(
    run: Run,
    fitted: Mapping[str, FittedScore],
    scores_version: int,
    pins: Mapping[str, Any] | None = None,
    gone: str = "",
) -> None:
    """Do what can be done now: all rounds, or those before rewards are awaited.

    Parameters
    ----------
    pins : mapping, optional
        What the first round read, if it is read again.
    gone : str
        Why the refinement that the selection is of cannot go on, if that is known.

    Raises
    ------
    RecipeError
        If there are more rounds than rows, or fewer rows are scored than there are clusters.
    InputError
        If no row can be chosen, or the rewards of a round do not fit the rule.
    """
    rounds = Rounds(run, cast(Refine, run.recipe.refine), fitted, scores_version, pins or _pins(run, scores_version))
    rounds.note_replaced(gone)
    chosen = rounds.chosen_before()
    for number in range(int(chosen["round"].max()) if len(chosen) else 1, len(rounds.sizes) + 1):
        known = finished_rounds(run.lake, rounds.refinement)
        weights = weights_of(known, number - 1, "weight_next") if number > 1 else rounds.start
        if not len(chosen) or chosen["round"].max() < number:
            chosen = rounds.pick(number, weights, chosen)
        chosen = rounds.asked(number, chosen)
        rounds.commit(number, chosen)
        if (known["round"] == number).any():
            continue
        feedback = rounds.rewards(number, chosen)
        if feedback is None:
            return
        rounds.weigh(number, weights, chosen, feedback)


@dataclass(frozen=True)
class Rounds:
    """The rounds of one refinement, one phase a method."""

    run: Run
    settings: Refine
    fitted: Mapping[str, FittedScore]
    scores_version: int
    pins: Mapping[str, Any]

    @cached_property
    def refinement(self) -> Refinement:
        """The recipe, and the hash of recipe, input digests, fingerprints, seed and reward."""
        return Refinement(self.run.recipe.name, digest([run_id(self.run), _identity(self.run.recipe)]))

    @cached_property
    def rows(self) -> DataFrame:
        """The eligible rows."""
        scores = self.run.lake.read(f"scores_{self.run.recipe.name}", self.scores_version)
        return eligible_rows(self.run, self.fitted, scores)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Documents, and those that cannot be chosen."""
        documents = self.run.hashes.summary.documents
        eligible, ranked, _ = count_rankable(self.rows, self.run.recipe.selector)
        return {"documents": documents, "ineligible": documents - eligible, "unranked": eligible - ranked}

    @cached_property
    def clusters(self) -> dict[str, int]:
        """Rows that can be chosen, by cluster."""
        return self._selector.sizes(self._pool(self.rows, 0, 0))

    @cached_property
    def sizes(self) -> list[int]:
        """Rows that each round adds."""
        recipe, documents, there = self.run.recipe, self.counts["documents"], sum(self.clusters.values())
        wanted = recipe.budget.rows or max(1, int(documents * (recipe.budget.fraction or 0) + 0.5))
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

    def note_replaced(self, gone: str) -> None:
        """Note why the refinement that the selection is of does not go on."""
        last = self.run.lake.last_write(f"selection_{self.run.recipe.name}")
        if last is None or last.metadata.get("refinement") in (None, self.refinement.key):
            return
        if not gone and not last.says({"recipe_hash": self.run.recipe.digest()}):
            gone = "the recipe was edited"
        elif not gone and not last.says({"reward": _identity(self.run.recipe)}):
            gone = "files or device of the reward are others"
        why = gone or "its documents, targets or models have changed"
        self.run.manifest.note(f"a new refinement begins, in place of {last.metadata['refinement']}: {why}")

    def chosen_before(self) -> pd.DataFrame:
        """Return the rows that the selection holds of this refinement."""
        state = self.run.lake.state(f"selection_{self.run.recipe.name}")
        columns = [*PICKS, "round"]
        if state.last_write is None or not state.last_write.says({"refinement": self.refinement.key}):
            return pd.DataFrame({name: [] for name in columns})
        table = self.run.lake.read(f"selection_{self.run.recipe.name}", state.version)
        return table.select(*columns).toPandas().sort_values("rank", ignore_index=True)

    def pick(self, number: int, weights: Mapping[str, float], chosen: pd.DataFrame) -> pd.DataFrame:
        """Return the rows chosen so far, with those of a round."""
        log.info("round %d of %d: picking %s rows", number, len(self.sizes), f"{self.sizes[number - 1]:,}")
        left = rows_of(self.rows, chosen, "left_anti") if len(chosen) else self.rows
        pool = self._pool(left, self.sizes[number - 1], self._seed(number, "pick"))
        if number == 1:  # bit for bit the selector's own
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
        cluster = cluster_of(self.rows, self._selector.cluster).cast("string").alias("cluster")
        key = hashed(self._seed(number, "score")).alias("key")
        found = collect_pandas(rows_of(self.rows, chosen).select("id", cluster, key)).set_index("id")
        chosen = chosen.assign(cluster=chosen["id"].map(found["cluster"]), asked=False)
        codes = pd.Categorical(chosen["cluster"], categories=list(self.clusters)).codes
        keys = chosen["id"].map(found["key"]).to_numpy(np.int64)
        chosen.loc[rows_to_score(codes.astype(np.int64), keys, self.settings.scored), "asked"] = True
        return chosen

    def commit(self, number: int, chosen: pd.DataFrame) -> None:
        """Make the selection hold the rows chosen so far."""
        run, key = self.run, self.refinement.key
        run.manifest.run_id = digest([key, number])
        run.manifest.selection_version = commit_selection(
            run,
            self.fitted,
            self.scores_version,
            declared_columns(run.recipe, shown_names(run.recipe)),
            lambda: self.rows,
            lambda: (chosen[[*PICKS, "round", "asked"]].astype({"round": "int32"}), self._said(number, len(chosen))),
            f"round {number}",
            lambda last: last.says({"refinement": key}) and last.metadata["round"] > number,
        )

    def rewards(self, number: int, chosen: pd.DataFrame) -> pd.DataFrame | None:
        """Return the rewards of the rows that a round asks about, id and reward; None while they are awaited."""
        run, reward = self.run, self.settings.reward
        found = read_feedback(run.lake, self.refinement, number, reward.writer, chosen)
        if found.absent:
            log.info("round %d: rewards of %s rows by %s", number, f"{int(chosen['asked'].sum()):,}", reward.kind)
            scores = run.lake.read(f"scores_{run.recipe.name}", self.scores_version)
            inputs = RewardInputs(run, self.fitted, scores, self.refinement, number)
            seed, progress = self._seed(number, "reward"), Phases(f"round {number}")
            made = reward.rewards(Round(number, seed, chosen, inputs, run.manifest.note, progress))
            if made is not None:
                absent = pd.DataFrame({"id": found.absent}).merge(made, on="id", how="left")
                add_feedback(run.lake, self.refinement, number, reward.writer, absent)
                found = read_feedback(run.lake, self.refinement, number, reward.writer, chosen)
        for note in found.notes:
            run.manifest.note(note)
        return None if found.absent else found.rewards

    def weigh(self, number: int, weights: Mapping[str, float], chosen: pd.DataFrame, rewards: pd.DataFrame) -> None:
        """Add the clusters of a round, with the weights of the next, to `rounds`."""
        settings, names = self.settings, list(self.clusters)
        clusters = chosen.set_index("id")["cluster"]
        defined = rewards.dropna(subset=["reward"]).sort_values("id")
        if defined.empty:
            fact = f"none of {len(rewards):,} rewards by {settings.reward.writer} is a number"
            raise InputError(f"round {number}: {fact}; append corrected rows to feedback, the newest count")
        codes = pd.Categorical(defined["id"].map(clusters), categories=names).codes.astype(np.int64)
        found = next_weights(
            [weights[name] for name in names], codes, defined["reward"].to_numpy(float), rule=settings.rule,
            step=settings.step, floor=settings.floor, shrink=settings.shrink, ids=defined["id"].tolist(), names=names,
        )  # fmt: skip
        if len(found.few):
            few = ", ".join(names[i] for i in found.few)
            self.run.manifest.note(f"round {number}: fewer than 5 rows were scored in clusters {few}")
        now = chosen[chosen["round"] == number]["cluster"].value_counts()
        lines = pd.DataFrame({
            "cluster": names, "weight": found.weight, "rule": settings.rule, "rows": list(self.clusters.values()),
            "chosen": [int(now.get(name, 0)) for name in names], "scored": found.scored,
            "reward_mean": found.reward_mean, "reward_shrunk": found.reward_shrunk,
            "reward_deviation": found.deviation, "weight_next": found.weight_next,
        })  # fmt: skip
        read = rows_of_writer(self.run.lake, self.refinement, settings.reward.writer)
        said = {"feedback_rows": read.where(F.col("round") == number).count(), "notes": self._notes(number)}
        add_round(self.run.lake, self.refinement, number, lines, said)

    @property
    def _selector(self) -> KMeansRandom:
        return cast(KMeansRandom, self.run.recipe.selector)

    def _pool(self, rows: DataFrame, budget: int, seed: int) -> Pool:
        scorers = {name: score.scorer for name, score in self.fitted.items()}
        return Pool(rows, budget, seed, scorers, OnDemand(self.run, self.fitted, rows), self.run.manifest.note)

    def _seed(self, number: int, use: str) -> int:
        """Return the recipe's seed for the picks of round 1, another one for everything else."""
        seed = self.run.recipe.seed
        return seed if (number, use) == (1, "pick") else int(digest([seed, number, use])[:15], 16)

    def _notes(self, number: int) -> list[str]:
        return [note for note in self.run.manifest.notes if note.startswith((f"round {number}:", "feedback of"))]

    def _said(self, number: int, selected: int) -> dict[str, Any]:
        """Return what the commit of a round says of itself: all that a later one needs to go on."""
        run = self.run
        known = {"refinement": self.refinement.key, "round": number, "rounds": len(self.sizes), "pins": self.pins}
        known |= {"recipe_hash": run.recipe.digest(), "reward": _identity(run.recipe)}
        return known | {"counts": {**self.counts, "selected": selected}, "notes": list(run.manifest.notes)}


def _pins(run: Run, scores_version: int) -> dict[str, Any]:
    """Return what a run reads, as the commits of all its rounds say it."""
    return {
        "documents": run.documents.state.version, "hashes": run.hashes.version, "scores": scores_version,
        "summary": asdict(run.hashes.summary), "targets": {name: t.state.version for name, t in run.targets.items()},
        "states": {run.recipe.documents.table: run.documents.state.data_version}
        | {run.recipe.targets[name].table: t.state.data_version for name, t in run.targets.items()},
    }  # fmt: skip


def _identity(recipe: Recipe) -> str:
    reward = cast(Refine, recipe.refine).reward
    return digest([reward.kind, reward.identity()])
