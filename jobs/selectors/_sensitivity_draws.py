"""What the sensitivity selectors share: clusters with their centres, losses, weighted draws, what is said of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.kernels.loss_estimate import Estimate
from ..ranking.sort_keys import column_of, hashed
from ..ranking.top import GROUPS, collect_pandas
from ..ranking.with_replacement import block_totals, draw_rows, with_running_weight
from .needs import CLUSTER, DISTANCE
from .selector import Values, picks

Floats = np.ndarray[Any, np.dtype[np.float64]]
#: Share of q, and that over the share of the rows, from which on a cluster is warned of.
MUCH, OVER = 0.2, 5


def clusters_of(rows: DataFrame, cluster: str, z: int) -> tuple[DataFrame, pd.DataFrame]:
    """Return the rows that have a cluster (id, cell, squared distance, dist^z), and one row per cluster, in order.

    The latter holds cell, id of the member nearest to the centre, number of rows, and the sum of their dist^z.
    """
    cell, square = column_of(f"{cluster}.{CLUSTER}"), column_of(f"{cluster}.{DISTANCE}")
    power = square if z == 2 else F.sqrt(square)
    shaped = rows.select("id", cell.alias("cell"), square.alias("square"), power.alias("power"))
    members = shaped.where("cell IS NOT NULL")
    nearest = F.min_by("id", F.struct("square", hashed(0), "id")).alias("id")
    centres = collect_pandas(
        members.groupBy("cell").agg(nearest, F.count("id").alias("rows"), F.sum("power").alias("power")).limit(GROUPS)
    )
    return members, centres.sort_values("cell", ignore_index=True)


def losses_of(rows: pd.DataFrame, name: str, values: Values) -> Floats:
    """Compute a score of some rows; NaN where it is undefined."""
    losses = rows["id"].map(values(name, rows["id"].tolist()).set_index("id")["value"])
    return losses.to_numpy(dtype=float, na_value=np.nan)


def weighted_draw(
    members: DataFrame, centres: pd.DataFrame, lipschitz: Floats, size: int, seed: int, mixing: float
) -> pd.DataFrame:
    """Return `size` draws by q = loss of the centre + L dist^z: picks in order of the first draw, weight 1 / (s p).

    Parameters
    ----------
    members : (id, cell, power)
    centres : (cell, loss)
    lipschitz : (k,) float64
    """
    table = pd.DataFrame({"cell": centres["cell"].astype("int32"), "base": centres["loss"], "slope": lipschitz})
    lines = members.sparkSession.createDataFrame(table, "cell int, base double, slope double")
    rows = members.join(F.broadcast(lines), "cell", "inner").withColumn("q", F.expr("base + slope * power"))
    sums = with_running_weight(rows, F.col("q"), seed)
    totals = block_totals(sums)
    count, total = int(totals["rows"].sum()), float(totals["total"].cumsum().iloc[-1]) if len(totals) else 0.0
    if not count:
        return picks(pd.Series([], dtype=object))
    if total == 0 or mixing > 0:  # no loss and no distance anywhere: uniform
        share = F.lit(0.0) if total == 0 else F.col("q") * F.lit((1 - mixing) / total)
        sums = with_running_weight(rows, share + F.lit((1.0 if total == 0 else mixing) / count), seed)
        totals = block_totals(sums)
        total = float(totals["total"].cumsum().iloc[-1])
    drawn = draw_rows(sums, totals, {"": size}, seed)
    weight = total / (size * drawn["weight"].to_numpy())
    return picks(drawn["id"]).assign(weight=weight, copies=drawn["copies"].to_numpy())


def said_of_shares(centres: pd.DataFrame, lipschitz: Floats) -> str:
    """Return which cluster has the largest share of q, "" without q.

    Parameters
    ----------
    centres : (cell, rows, loss, power)
    lipschitz : (k,) float64
    """
    q = (centres["rows"] * centres["loss"] + lipschitz * centres["power"]).to_numpy(dtype=float)
    if not len(q) or not 0 < q.sum() < math.inf:
        return ""
    at = int(q.argmax())
    share, rows = q[at] / q.sum(), centres["rows"].iloc[at] / centres["rows"].sum()
    said = f"cluster {centres['cell'].iloc[at]} has the largest share of q: {share:.0%}, with {rows:.0%} of the rows"
    if share > OVER * rows and share > MUCH:
        return f"{said}; a few rows may decide the draws: estimate: stratified does not depend on L"
    return said


def said_of_estimate(loss: str, made: Estimate, cost: str) -> str:
    """Return the estimate with its error, that of uniform draws and the cost in words."""
    error, uniform = 1.96 * made.error, 1.96 * made.uniform
    said = (
        f"sum of {loss!r} over {made.rows:,} rows: {made.total:.5g} +- {error:.2g} (95 %), mean "
        f"{made.total / made.rows:.5g} +- {error / made.rows:.2g}; {made.paid:,} losses were paid for ({cost}), and as "
        f"many uniform draws would have given +- {uniform:.2g}"
    )
    return f"{said}, less than this" if uniform < error else said
