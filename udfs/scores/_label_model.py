"""What the scores `labels` and `tags` have in common: names counted, near-synonyms merged, the graph over them.

Source: MIG, arXiv 2504.13835, section 3 (the graph) and its data preparation (rare labels dropped, near-synonyms merged
by DBSCAN); that the threshold follows from a number of neighbours is ours (docs/methods.md).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..arrays import Ints, Matrix
from ..constraints import Between, Range
from ..errors import BoundError, InputError
from ..kernels.label_graph import MOST_LABELS, components, isolated, neighbour_graph, representatives
from ..kernels.vectors import unit_rows
from ..models import encoders
from ..scorer import DocumentEstimator, Scorer

#: Characters of the longest name; what is longer is a text.
NAME_CHARACTERS = 1_000
#: Bytes of the names and counts of one partial of a fit.
NAMES_BYTES = 64_000_000
#: Share of labels without a neighbour above which the graph is as good as none.
MOSTLY_ISOLATED = 0.5
#: Cosine below which two names are hardly alike.
HARDLY_ALIKE = 0.3


def plain_name(name: str, fold_case: bool) -> str:
    """Return a name in the one spelling that is compared: NFC, no blanks around it.

    Examples
    --------
    >>> plain_name("  Cafe\\u0301 ", False), plain_name("Maths", True)
    ('Café', 'maths')
    """
    plain = unicodedata.normalize("NFC", name.strip())
    return plain.casefold() if fold_case else plain


@dataclass(frozen=True, eq=False)
class LabelModel(Scorer):
    """K labels with their names and the graph over them; what `mig` works with.

    Parameters
    ----------
    names : tuple of str
        Every known name, by label and then from the most frequent one down; the first of a label is its name.
    label : (len(names),) int64
        Label 0 to K - 1 of each name; label 0 is the most frequent one.
    rows : (len(names),) int64
        Rows of the fit that carry the name.
    a, b : (E,) int32
        Edges between labels, a < b.
    weight : (E,) float32
        Cosine of the two names, above 0 and at least `threshold`.
    threshold : float
        The T of the graph: given, or found.
    settings : str
        Parameters of the fit as JSON.
    """

    names: tuple[str, ...] = ()
    label: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    rows: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    a: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    b: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    weight: Matrix = field(default_factory=lambda: np.empty(0, np.float32))
    threshold: float = 1.0
    settings: str = ""

    @property
    def size(self) -> int:
        """Number of labels, K."""
        return int(self.label.max()) + 1 if len(self.label) else 0

    def summary(self) -> dict[str, Any]:
        """Return counts of names, labels and edges, T, neighbours a label and the share without any."""
        alone, mean = isolated(self.size, self.a, self.b)
        counts = {"names": len(self.names), "labels": self.size, "edges": len(self.a)}
        return counts | {"threshold": self.threshold, "neighbours": round(mean, 3), "isolated": round(alone, 4)}

    def notes(self) -> list[str]:
        """Return what a run says of the graph; a warning if most labels have no neighbour."""
        found = self.summary()
        said = [
            f"{found['labels']:,} labels of {found['names']:,} names, {found['edges']:,} edges at cosine "
            f"{self.threshold:.3f}: {found['neighbours']:.2f} neighbours a label, {100 * found['isolated']:.0f} % "
            "without any"
        ]
        if found["isolated"] > MOSTLY_ISOLATED:
            said.append("more than half of the labels have no neighbour, so the graph does little: raise neighbours")
        if self.threshold < HARDLY_ALIKE and len(self.a):
            said.append(
                f"neighbours are hardly alike at cosine {self.threshold:.2f}, as with few labels: lower neighbours, "
                "set threshold, or alpha: 0 in mig"
            )
        return said

    def shown(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return labels (label, name, rows, other names) and edges (a, b, weight), for SQL."""
        others: dict[int, list[str]] = {}
        shown: list[tuple[Any, ...]] = []
        rows = np.bincount(self.label, self.rows, self.size).astype(np.int64).tolist()
        for name, label in zip(self.names, self.label.tolist(), strict=True):
            if label in others:
                others[label].append(name)
            else:
                others[label] = []
                shown.append((label, name, rows[label], others[label]))
        edges = zip(self.a.tolist(), self.b.tolist(), self.weight.tolist(), strict=True)
        return {"labels": shown, "edges": [*edges]}


@dataclass(frozen=True)
class GraphEstimator(DocumentEstimator):
    """What the estimators of a LabelModel have in common: how names become labels and a graph; see `Labels`."""

    merge: Annotated[float, Range(0, 1, open_high=True)] = 0.05
    encoder: Literal["wordllama", "minilm", "hashed_ngrams"] = "wordllama"
    neighbours: Annotated[int, Between(1, 1000)] = 4
    threshold: Annotated[float, Between(0, 1)] | None = None

    def check_machine(self) -> None:
        """Raise PlatformError if the encoder's packages or files are missing here."""
        encoders.check_machine(self.encoder)

    def graph(
        self, counts: Mapping[str, int], least: int, what: str, dimensions: int = 0
    ) -> tuple[dict[str, Any], Matrix]:
        """Return the fields of a LabelModel, and the vectors (K, d) of its labels, from names and their rows.

        Raises
        ------
        InputError
            If no name stands in `least` rows.
        BoundError
            If there are more than 50 000 such names, or too many edges.
        """
        kept = _frequent(counts, least, what)
        rows = np.array([counts[name] for name in kept], np.int64)
        vectors, first = unit_rows(encoders.load(self.encoder, dimensions)(kept)), np.arange(len(kept))
        if self.merge:
            first = representatives(components(vectors, self.merge), rows, kept)
        total = np.bincount(first, rows, len(kept))
        heads = sorted(set(first.tolist()), key=lambda i: (-total[i], kept[i]))
        number = {head: label for label, head in enumerate(heads)}
        label = np.array([number[i] for i in first.tolist()], np.int64)
        # Of each label its own name first; the others stay in order of frequency.
        order = np.lexsort([np.arange(len(kept)), first != np.arange(len(kept)), label])
        found = neighbour_graph(vectors[heads], self.neighbours if self.threshold is None else None, self.threshold)
        names = {"names": tuple(kept[i] for i in order.tolist()), "label": label[order], "rows": rows[order]}
        edges = {"a": found.a, "b": found.b, "weight": found.weight, "threshold": found.threshold}
        return names | edges, vectors[heads]


def _frequent(counts: Mapping[str, int], least: int, what: str) -> list[str]:
    """Return the names that stand in at least so many rows, the most frequent first."""
    kept = sorted((name for name, rows in counts.items() if rows >= least), key=lambda n: (-counts[n], n))
    if not kept:
        most = max(counts.values(), default=0)
        found = f"{len(counts):,} names, the most frequent of which stands in {most:,} rows" if counts else "no name"
        raise InputError(f"{what} {found}, and least is {least}: no label is left; lower least")
    if len(kept) > MOST_LABELS:
        raise BoundError(
            f"{what} {len(kept):,} names in at least {least} rows; a graph takes at most {MOST_LABELS:,}: raise least, "
            "or fit on fewer rows with fit_where"
        )
    return kept
