"""Every table of a lake: columns with comments (unit, direction), NOT NULL, CHECK, partitioning, retention.

Reader-version-1 features only, so polars, deltalake, DuckDB and Spark 3.5 read every table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...udfs.errors import InputError
from ...udfs.quoting import quoted_name, quoted_text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Set explicitly, because managed runtimes switch some of them on for new tables.
PORTABLE = {
    "delta.enableDeletionVectors": "false",
    "delta.enableRowTracking": "false",
    "delta.columnMapping.mode": "none",
    "delta.checkpointPolicy": "classic",
}
#: Marks every table that LakeSift made, at its creation; overwrites, RESTORE, DELETE and OPTIMIZE leave it there.
WRITER = "lakesift.writer"
#: Days for which every table keeps its log. Reruns read in it which commit changed the data last; Delta's default of 30
#: days would forget that commit on a table that is only maintained. Data files have a retention of their own.
LOG_DAYS = 3650

#: Types that need a reader above version 1, or that Delta cannot hold at all.
RESERVED_TYPES = ("timestamp_ntz", "variant", "interval", "void", "geometry", "geography")


@dataclass(frozen=True)
class Col:
    """One column: name, Spark DDL type, comment, and whether null is refused."""

    name: str
    type: str
    comment: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """One table: `checks` are CHECK constraints by name, `properties` are Delta's."""

    name: str
    comment: str
    columns: tuple[Col, ...]
    partition: tuple[str, ...] = ()
    checks: tuple[tuple[str, str], ...] = ()
    properties: tuple[tuple[str, str], ...] = ()

    def ddl(self, ref: str) -> str:
        """Return CREATE TABLE IF NOT EXISTS for a table reference."""
        columns = ",\n".join(
            f"  {quoted_name(c.name)} {c.type}{' NOT NULL' if c.required else ''} COMMENT {quoted_text(c.comment)}"
            for c in self.columns
        )
        checks = {f"delta.constraints.{name}": rule for name, rule in self.checks}
        log = {RETENTION[1]: f"interval {LOG_DAYS} days"}
        properties = {**PORTABLE, WRITER: "lakesift", **log, **dict(self.properties), **checks}
        body = ",\n".join(f"  {quoted_text(k)} = {quoted_text(v)}" for k, v in properties.items())
        parts = f"\nPARTITIONED BY ({', '.join(self.partition)})" if self.partition else ""
        return (
            f"CREATE TABLE IF NOT EXISTS {ref} (\n{columns}\n) USING delta{parts}\n"
            f"COMMENT {quoted_text(self.comment)}\nTBLPROPERTIES (\n{body}\n)"
        )


#: The properties that keep data files and log, so that an old version stays readable.
RETENTION = ("delta.deletedFileRetentionDuration", "delta.logRetentionDuration")


def keeping(days: int) -> tuple[tuple[str, str], ...]:
    """Return the properties that keep old versions readable for so many days, and the log for `LOG_DAYS` at least."""
    return ((RETENTION[0], f"interval {days} days"), (RETENTION[1], f"interval {max(days, LOG_DAYS)} days"))


#: An append that has read what it adds to conflicts with one that got there first (managed runtimes default to less).
SERIALIZABLE = ("delta.isolationLevel", "Serializable")
ID = Col("id", "STRING", "id of the document", required=True)
HASH = Col("content_hash", "STRING", "128 bits of SHA-256 of the score's inputs, in hex", required=True)
#: The CHECK of tables whose ids are not declared NOT NULL.
ID_IS_THERE = ("id_is_there", "id IS NOT NULL")


def hashes(recipe: str, inputs: list[str]) -> Table:
    """One row per distinct id: a content hash per distinct set of score inputs, and the hash of all columns used."""
    columns = (
        replace(ID, required=False),
        Col("rows", "BIGINT", "rows of the documents table with this id"),
        Col("differs", "BOOLEAN", "whether those rows differ in content"),
        Col("row_hash", HASH.type, "the same of id, text and every source column the recipe names or keeps"),
        *(Col(name, HASH.type, HASH.comment) for name in inputs),
    )
    return Table(f"hashes_{recipe}", f"hashes of each document, for recipe {recipe}", columns, checks=(ID_IS_THERE,))


#: The table of every score ever computed.
MEMOS = "memos"


def memos() -> Table:
    """Every score ever computed, by fingerprint; internal, shared by recipes, never stale.

    Null in number, numbers and vector alike: the score is undefined for that content.
    """
    columns = (
        ID,
        HASH,
        Col("fingerprint", "STRING", "what identifies the values: kind, revision, parameters, fitted state", True),
        Col("number", "DOUBLE", "the value; 1 beside a vector"),
        Col("numbers", "ARRAY<DOUBLE>", "the value where it is several numbers: fields of a struct in order"),
        Col("vector", "ARRAY<FLOAT>", "the value where it is a vector"),
    )
    checks = (("number_is_a_number", "number IS NULL OR NOT isnan(number)"),)
    properties = (SERIALIZABLE, ("delta.dataSkippingStatsColumns", "id,content_hash"))
    return Table(MEMOS, "scores by id, content hash and fingerprint", columns, ("fingerprint",), checks, properties)


def scores(recipe: str, columns: list[Col], days: int) -> Table:
    """Exactly one row per document, one column per score: what SQL, notebooks and selectors read."""
    # CHECKs on scores would bind an edited recipe; the table memos has them.
    declared = (replace(ID, required=False), replace(HASH, required=False), *columns)
    comment = f"scores of recipe {recipe}, one row per document; null = undefined"
    return Table(f"scores_{recipe}", comment, declared, checks=(ID_IS_THERE,), properties=keeping(days))


FIXED = (
    Col("id", "STRING", "id of the document"),
    Col("rank", "BIGINT", "1 = picked first; dense"),
    Col("gain", "DOUBLE", "value ranked by, larger is better; null for random draws"),
    Col("weight", "DOUBLE", "weight of the row in a sum over the eligible documents; 1 unless the selector samples"),
    Col("copies", "BIGINT", "times drawn; 1 except for sampling with replacement"),
)
TOKENS_USED = Col("tokens_used", "BIGINT", "tokens of the row inside the budget; less than its length when truncated")


def selection(recipe: str, columns: tuple[Col, ...], days: int) -> Table:
    """The chosen rows of one run, with their scores and kept source columns: one commit a run."""
    checks = (
        ID_IS_THERE,
        ("rank_from_1", "rank >= 1"),
        ("gain_is_a_number", "gain IS NULL OR NOT isnan(gain)"),
        ("weight_not_negative", "weight >= 0"),
        ("copies_from_1", "copies >= 1"),
    )
    return Table(f"selection_{recipe}", f"rows chosen by recipe {recipe}", columns, (), checks, keeping(days))


def controls(recipe: str, days: int) -> Table:
    """What the controls of a run would have chosen."""
    columns = (
        Col("control", "STRING", "name of the control selector", True),
        Col("id", "STRING", "id of the document", True),
        Col("rank", "BIGINT", "1 = picked first; dense within a control", True),
    )
    return Table(f"controls_{recipe}", f"controls beside selection_{recipe}", columns, properties=keeping(days))


def rejected(recipe: str) -> Table:
    """Rows of the documents table that could not be scored, with the reason."""
    columns = (Col("id", "STRING", "id, where there is one"), Col("reason", "STRING", "why the row was left out", True))
    return Table(f"rejected_{recipe}", f"rows that recipe {recipe} left out", columns)


def runs() -> Table:
    """One row per finished run that changed something."""
    sequence = "1 for the first run of a recipe, then up: the order of runs, whatever clocks say"
    columns = (
        Col("run_id", "STRING", "hash of recipe, input digests, fingerprints, seed; may recur", True),
        Col("recipe", "STRING", "name of the recipe", True),
        Col("sequence", "BIGINT", sequence, True),
        Col("finished_at", "TIMESTAMP", "UTC", True),
        Col("selection_version", "BIGINT", "version of selection_<recipe> that holds the result", True),
        Col("rows", "BIGINT", "rows selected", True),
        Col("manifest", "STRING", "JSON: inputs with versions and digests, fingerprints, counts, packages", True),
    )
    return Table("runs", "what was run, from what, and what came out", columns, properties=keeping(3650))


LABELS = "of labels and tags: every label, its name, rows of the fit that carry it, names that were merged into it"
EDGES = "of labels and tags: pairs of labels that are neighbours, a < b, and the cosine of their names, 0 to 1"


def models() -> Table:
    """Fitted state as data: arrays in the .npy format, never pickle."""
    columns = (
        Col("fingerprint", "STRING", "fingerprint of the scorer that was fitted", True),
        Col("kind", "STRING", "kind of the scorer", True),
        Col("fit_key", "STRING", "estimator, fit table and what it reads, hashed; null if fitted on targets alone"),
        Col("sequence", "BIGINT", "1 for the first model of a fit_key, then up: the newest is used", True),
        Col("params", "STRING", "JSON: parameters of the fitted scorer without its arrays", True),
        Col("state", "MAP<STRING, BINARY>", "fitted fields as .npy bytes"),
        Col("summary", "STRING", "JSON: what the fitted state shows, such as the curve and clusters of k-means", True),
        Col("labels", "ARRAY<STRUCT<label INT, name STRING, rows BIGINT, merged ARRAY<STRING>>>", LABELS),
        Col("edges", "ARRAY<STRUCT<a INT, b INT, weight FLOAT>>", EDGES),
        Col("fitted_on", "STRING", "JSON: tables and versions it learnt from", True),
        Col("fitted_at", "TIMESTAMP", "UTC", True),
    )
    return Table("models", "fitted scorers", columns, properties=(SERIALIZABLE, *keeping(3650)))


def trials() -> Table:
    """What each subset of rows that `tune` and `advise` compared was worth; a search of `tune` goes on from here."""
    columns = (
        Col("recipe", "STRING", "name of the recipe", True),
        Col("run", "STRING", "hash of rows, labels and scores, and of tune: the same search again", True),
        Col("learner", "STRING", "the classifier, logistic or finetune; byte_5gram of advise", True),
        Col("seed", "BIGINT", "1 for the first draw of rows, then up", True),
        Col(
            "method",
            "STRING",
            "score whose interval it is, combined, length, random, or all rows; of advise the method",
            True,
        ),
        Col("share", "DOUBLE", "share of the rows that is kept; of advise of their bytes", True),
        Col("position", "BIGINT", "place of the interval from the low end up, or number of the draw", True),
        Col("interval", "STRING", "the quantiles between which the scores lie", True),
        Col("split", "STRING", "validation, or test (tune: of winners only)", True),
        Col("rows", "BIGINT", "rows kept", True),
        Col("metric", "DOUBLE", "on the split: accuracy of the classifier, 0 to 1; of byte_5gram bits per byte", True),
    )
    return Table("trials", "subsets of rows that tune and advise compared", columns, properties=keeping(3650))


def cast_to(table: Table, frame: DataFrame) -> DataFrame:
    """Return the frame cast to exactly the declared columns, with comments; Delta would fill missing ones."""
    from pyspark.sql import functions as F

    wanted, got = {c.name for c in table.columns}, set(frame.columns)
    if wanted != got:
        raise InputError(f"table {table.name} needs columns {sorted(wanted)}; the frame has {sorted(got)}")
    return frame.select(
        *(F.col(quoted_name(c.name)).cast(c.type).alias(c.name, metadata={"comment": c.comment}) for c in table.columns)
    )
