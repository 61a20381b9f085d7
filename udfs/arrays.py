"""Names of the arrays that kernels and scorers take and return, by what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Vectors as they are stored, (n, d).
Matrix = NDArray[np.float32]
#: Vectors of float32 or float64, (n, d).
Rows = NDArray[np.floating]
Ints = NDArray[np.int64]
#: Places of rows in a matrix or a list.
Positions = NDArray[np.int64]
Clusters = NDArray[np.int32]
#: Numbers of groups, of any integer type.
Labels = NDArray[np.integer]
Flags = NDArray[np.bool_]
Hashes = NDArray[np.uint64]


def offsets_of(lengths: Any) -> Ints:
    """Return where lists of such lengths begin in one flat array, and where the last one ends, (n + 1,) int64.

    Examples
    --------
    >>> offsets_of([2, 0, 1]).tolist()
    [0, 2, 2, 3]
    """
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Ragged:
    """n rows of lists of uneven length: row i is values[offsets[i]:offsets[i + 1]].

    `values` is a list of str or an array; `offsets` (n + 1,) rise from 0; `nulls` counts the elements that were null,
    which are left out.

    Examples
    --------
    >>> rows = Ragged(np.array([7, 8, 9]), np.array([0, 2, 2, 3]))
    >>> len(rows), [row.tolist() for row in rows], rows[1:3].offsets.tolist()
    (3, [[7, 8], [], [9]], [0, 0, 1])
    """

    values: Any
    offsets: Ints
    nulls: int = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.offsets) - 1

    def __getitem__(self, place: Any) -> Any:
        """Return one row, or for a slice of step 1 those rows, whose `nulls` are not known."""
        if isinstance(place, slice):
            first, last, _ = place.indices(len(self))
            ends = self.offsets[first : max(first, last) + 1]
            return Ragged(self.values[ends[0] : ends[-1]], ends - ends[0])
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        first = place % len(self)
        return self.values[self.offsets[first] : self.offsets[first + 1]]

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]]) -> Ragged:
        """Return lists of str, or of whole numbers, as rows."""
        flat = [value for row in rows for value in row]
        text = bool(flat) and isinstance(flat[0], str)
        return cls(flat if text else np.array(flat, np.int64), offsets_of([len(row) for row in rows]))
