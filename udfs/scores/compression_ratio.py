"""compression_ratio: compressed bytes / raw bytes of a text (UTF-8, zlib level 6, the whole zlib stream).

Repetitive text has low values, short or noisy text high ones. Left out: other codecs, whose ratios are not comparable.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..kernels import codecs, compression
from ..scorer import Kernel, Scorer


@dataclass(frozen=True)
class CompressionRatio(Scorer):
    """Compressed bytes / raw bytes of a text.

    Parameters
    ----------
    of : str, default "text"
    library : str
        Version of zlib, on whose build the sizes depend; filled in by the driver, checked in `kernel()` (ScoreError).

    Range: above 0; short texts have values above 1. Empty text is undefined.

    Examples
    --------
    >>> CompressionRatio().kernel()(["a" * 1000, ""]).tolist()
    [0.017, nan]
    """

    kind = "compression_ratio"
    seconds_per_row = 0.00003
    comment = "compressed / raw bytes (UTF-8, zlib 6), > 0; lower is more repetitive; null for empty text"

    library: str = field(default_factory=codecs.library_version)

    def kernel(self) -> Kernel:
        """Return texts (n,) -> float64 (n,)."""
        codecs.check_library("gzip", self.library)
        return compression.ratio
