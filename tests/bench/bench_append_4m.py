"""`bench_append` at 4 000 000 rows, the median of three: the sizes that daily jobs live on. Two hours on two cores."""

from __future__ import annotations

from tests.bench.bench_append import compare
from tests.bench.lines import Line

BARS = {"append": 0.06, "delete": 0.10, "edit": 0.10, "nothing new": 0.02}


def main() -> list[Line]:
    """4 000 000 rows, three times."""
    return compare(4_000_000, BARS, repeats=3)


if __name__ == "__main__":
    main()
