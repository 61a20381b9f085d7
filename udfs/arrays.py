"""Names of the arrays that kernels and scorers take and return, by what they hold."""

from __future__ import annotations

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
