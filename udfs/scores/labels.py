"""labels: the labels of a row as numbers, from a source column of names; the graph over the labels is fitted with it.

For MIG (arXiv 2504.13835): names are brought to one spelling, rare ones are dropped, near-synonyms merged, and labels
whose names have similar embeddings are neighbours (_label_model.py). New names need a refit; until then they are
unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from ..arrays import Ragged, offsets_of
from ..constraints import AtLeast
from ..errors import InputError, RecipeError
from ..scorer import DOCUMENT_INPUTS, Fold, Kernel, Takes, settings
from ._label_model import NAME_CHARACTERS, GraphEstimator, LabelModel
from ._label_names import NameCounts, Newer, Unknown, codes, ragged


class ReadsNames:
    """What `Labels` and what it fits have in common: they read a source column of lists, or of text to be cut."""

    of: str
    delimiter: str

    @property
    def takes(self) -> Takes:
        """Lists of names, or text with a delimiter."""
        return "text" if self.delimiter else "names"

    @property
    def columns(self) -> tuple[str, ...]:
        """The source column."""
        return () if self.of in DOCUMENT_INPUTS else (self.of,)


@dataclass(frozen=True, eq=False)
class LabelsScorer(ReadsNames, LabelModel):
    """Names to labels; fitted by Labels.

    Parameters
    ----------
    of : str
        The source column.
    delimiter : str
        What separates names in a text; "" if the column holds lists.
    fold_case : bool
    nulls : int
        Null elements that the fit met.
    """

    kind = "labels"
    seconds_per_row = 0.00001
    fitted: ClassVar[bool] = True
    ragged: ClassVar[bool] = True
    value = "array<int>"
    comment = "labels of the row, ascending, each once; no direction; empty if none is known, null for a null column"

    of: str = "labels"
    delimiter: str = ""
    fold_case: bool = False
    nulls: int = 0

    def notes(self) -> list[str]:
        """Return what a run says of names and graph."""
        left_out = [f"{self.nulls:,} null elements among the names were left out"] if self.nulls else []
        return [*super().notes(), *left_out]

    def unknown(self) -> tuple[Fold[Newer], Callable[[Newer], str]]:
        """Return the pass that finds names which are not known, and what it found in words, "" for nothing."""

        def said(found: Newer) -> str:
            rows, names = found
            count = f"{len(names):,}" if len(names) < Unknown.MOST else f"at least {len(names):,}"
            return f"{rows:,} of them carry {count} names that the model does not know" if rows else ""

        return Unknown(self.names, self.delimiter, self.fold_case), said

    def kernel(self) -> Kernel:
        """Return rows of names -> Ragged of int32 labels, ascending."""
        label_of = dict(zip(self.names, self.label.tolist(), strict=True))
        delimiter, fold_case = self.delimiter, self.fold_case

        def kernel(column: Any) -> Ragged:
            rows = ragged(column, delimiter)
            row, label = codes(rows, lambda name: label_of.get(name, -1), fold_case)
            return Ragged(label.astype(np.int32), offsets_of(np.bincount(row, minlength=len(rows))))

        return kernel


@dataclass(frozen=True)
class Labels(ReadsNames, GraphEstimator):
    """Counts the names, drops rare ones, merges near-synonyms, and connects similar ones.

    Parameters
    ----------
    of : str, default "labels"
        A source column: lists of names, or text with a delimiter.
    delimiter : str
        What separates names in a text, such as ",".
    fold_case : bool, default False
        Whether names that differ in case only are one.
    least : int, default 2
        Rows that a name must stand in.
    merge : float, default 0.05
        Names whose embeddings have at most this cosine distance, in chains, are one label; 0 merges none.
    encoder : {"wordllama", "minilm", "hashed_ngrams"}
        Of the names.
    neighbours : int, default 4
        Neighbours that a label has on average, from which the threshold T of the graph follows (ours).
    threshold : float, optional
        T itself, 0 to 1: cosine from which two labels are neighbours. The paper's .9 belongs to its encoder.

    Raises
    ------
    RecipeError
        If a parameter is not allowed.
    InputError
        From `fit`, if no name is frequent enough, or one has more than 1 000 characters.
    BoundError
        From `fit`, for more than about a million names, 50 000 labels or a million edges.

    Examples
    --------
    >>> rows = Ragged.of([["math", "sums"], ["math"], ["cooking", "sums"], ["cooking"]])
    >>> scorer = Labels(encoder="hashed_ngrams").fit(lambda fold, table: fold.add(fold.zero(), rows))
    >>> scorer.names, [row.tolist() for row in scorer.kernel()(rows)]
    (('cooking', 'math', 'sums'), [[1, 2], [1], [0, 2], [0]])
    """

    kind = "labels"
    value = LabelsScorer.value
    comment = LabelsScorer.comment
    ragged: ClassVar[bool] = True
    model_class = LabelsScorer

    of: str = "labels"
    delimiter: str = ""
    fold_case: bool = False
    least: Annotated[int, AtLeast(1)] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.of in DOCUMENT_INPUTS and not self.delimiter:
            raise RecipeError(
                f"labels: of is {self.of!r}, which is text; name a column of lists of names, or set delimiter"
            )

    def fit(self, fold: Callable[[Fold[Any], str], Any]) -> LabelsScorer:
        """Count, merge, connect."""
        counts, nulls, long = fold(NameCounts(self.delimiter, self.fold_case), "documents")
        if long:
            raise InputError(
                f"labels: column {self.of!r} has {long:,} names of more than {NAME_CHARACTERS:,} characters; names are "
                "short: name another column, or the delimiter between names"
            )
        fields, _ = self.graph(counts, self.least, f"labels: column {self.of!r} has")
        return LabelsScorer(
            self.of, settings=settings(self), delimiter=self.delimiter, fold_case=self.fold_case, nulls=nulls, **fields
        )
