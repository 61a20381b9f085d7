"""`bench_two_rounds` at a million rows: drawn from 200 000 vectors of real text, with noise. Half an hour."""

from __future__ import annotations

from tests.bench.bench_two_rounds import compare
from tests.bench.lines import Line


def main() -> list[Line]:
    """1 000 000 rows, once."""
    return compare(1_000_000)


if __name__ == "__main__":
    main()
