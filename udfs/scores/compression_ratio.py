"""compression_ratio: compressed by raw bytes of a text (UTF-8, zlib level 6, the whole zlib stream).

Low marks repetition, high marks short or noisy text. Leaves out other codecs: a ratio is comparable within one only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..kernels import codecs, compression
from ..scorer import Kernel, Scorer


@dataclass(frozen=True)
class CompressionRatio(Scorer):
    """Compressed by raw bytes.

    Parameters
    ----------
    of : str, default "text"
    library : str
        The zlib whose build decides the sizes; filled where the scorer is made, checked where it runs (ScoreError).

    Range: above 0; short texts lie above 1. Empty text is undefined.

    Examples
    --------
    >>> CompressionRatio().kernel()(["a" * 1000, ""]).tolist()
    [0.017, nan]
    """

    kind = "compression_ratio"
    comment = "compressed / raw bytes (UTF-8, zlib 6), > 0; lower is more repetitive; null for empty text"

    library: str = field(default_factory=codecs.library_version)

    def kernel(self) -> Kernel:
        """Return texts (n,) -> float64 (n,)."""
        codecs.check_library("gzip", self.library)
        return compression.ratio
