"""Tables of a refinement: its rounds, the rewards of chosen rows, and what the language model keeps of a row."""

from __future__ import annotations

from .schemas import HASH, ID, SERIALIZABLE, Col, Table, keeping

#: Days for which rounds and feedback stay readable in every version.
_DAYS = 3650
_REFINEMENT = Col("refinement", "STRING", "hash of recipe, input digests, fingerprints, seed and reward", True)
_ROUND = Col("round", "INT", "from 1", True)


def rounds() -> Table:
    """One row per cluster and finished round."""
    columns = (
        Col("recipe", "STRING", "name of the recipe", True),
        _REFINEMENT,
        _ROUND,
        Col("cluster", "STRING", "value of the cluster, as text", True),
        Col("weight", "DOUBLE", "share of the round that the cluster was to have; sum 1 over the clusters", True),
        Col("rule", "STRING", "how weight_next follows: exp or eq6", True),
        Col("rows", "BIGINT", "rows of the cluster that can be chosen, in all", True),
        Col("chosen", "BIGINT", "rows of it that this round chose", True),
        Col("scored", "BIGINT", "rows of it that had a reward, among all chosen so far", True),
        Col("reward_mean", "DOUBLE", "mean reward of these, in the unit of the reward; null without scored rows"),
        Col("reward_shrunk", "DOUBLE", "the same shrunk to the mean over all clusters", True),
        Col("reward_deviation", "DOUBLE", "standard deviation of the rewards over all clusters", True),
        Col("weight_next", "DOUBLE", "weight in the next round; sum 1 over the clusters", True),
    )
    return Table("rounds", "weights and rewards of clusters by round", columns, (), (), (SERIALIZABLE, *keeping(_DAYS)))


def feedback() -> Table:
    """Rewards of chosen rows; whoever trains appends to it."""
    columns = (
        Col("recipe", "STRING", "name of the recipe", True),
        _REFINEMENT,
        _ROUND,
        Col("id", ID.type, "id of a row that the round asks about: asked in the selection", True),
        Col("reward", "DOUBLE", "larger: more is to be learnt from rows like it; null where it is undefined"),
        Col("source", "STRING", "whose reward it is", True),
        Col("at", "TIMESTAMP", "UTC; of rows with equal refinement, round, id and source the newest counts", True),
    )
    return Table("feedback", "rewards of chosen rows, by round", columns, properties=keeping(_DAYS))


def hidden(recipe: str) -> Table:
    """What a language model made of a row's prompt and completion below the layers that are trained; internal."""
    columns = (
        ID,
        Col("content_hash", HASH.type, "hash of prompt and completion", True),
        Col("model", "STRING", "hash of the model's files and of how the states are made", True),
        Col("states", "BINARY", "an array in the .npy format", True),
    )
    return Table(f"hidden_{recipe}", "states of rows that training starts from; made again where missing", columns)
