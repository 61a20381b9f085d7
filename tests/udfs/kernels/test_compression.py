"""Compressed sizes: the state-copying path against whole compressions, the cut into parts, memory."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib

import numpy as np
import pytest

from lakesift.udfs.kernels.compression import COPY_FROM, _gzip_by_zlib, _parts, alignment, ratio
from tests.texts import ODD, functions, human_eval, stitched


def _edges() -> list[bytes]:
    """Return rows around every length at which something switches: copying, window sizes, deflate's buffers."""
    text = "\n".join(functions(1200)).encode()
    noise = random.Random(2).randbytes(120_000)
    lengths = (COPY_FROM - 1, COPY_FROM, 1786, 1787, 3800, 7900, 16_000, 32_000, 32_505, 32_507, 32_768, 65_274, 66_000)
    return [*(text[:n] for n in lengths), noise[:33_000], noise[:65_300], noise, text[:100_000], text[:250_000]]


@pytest.mark.parametrize("level", range(1, 10))
def test_copied_state_gives_the_size_of_the_whole_gzip_member(level: int) -> None:
    targets = [t.encode() for t in ["", "x", *human_eval(2)]]
    targets += [b"\n".join(targets) * 40] if level in (1, 6, 9) else []
    sizes = _gzip_by_zlib(level, targets)
    rows = _edges() if level in (1, 6, 9) else _edges()[:9]
    for row in rows:
        assert sizes(row) == [len(gzip.compress(row + target, level)) for target in (*targets, b"")]


@pytest.mark.parametrize("reach", [1024, 1900, 2047, 4000, 8100, 16_200, 32_400])
def test_a_smaller_window_still_reaches_the_start_of_the_row(reach: int) -> None:
    noise = bytes(random.Random(reach).choices(range(64), k=max(reach, COPY_FROM + 50)))
    row, target = noise[50:], noise[:50] + noise[50:150]
    expected = len(gzip.compress(row + target, 1))
    assert _gzip_by_zlib(1, [target])(row)[0] == expected
    assert expected < len(gzip.compress(row, 1)) + 70, "150 bytes of six bits: the repeated 100 were found"


def test_parts_are_the_fewest_of_equal_length() -> None:
    data = bytes(range(250))
    for limit in (1, 7, 100, 249, 250, 251):
        parts = _parts(data, limit)
        lengths = [len(part) for part in parts]
        assert b"".join(parts) == data
        assert max(lengths) <= limit
        assert max(lengths) - min(lengths) <= 1
        assert len(parts) == -(-250 // limit)
    assert _parts(data, 0) == [data]
    assert _parts(b"", 10) == [b""]


def test_a_cut_row_is_the_mean_or_best_of_its_parts() -> None:
    targets, text = human_eval(3), "\n".join(functions(20))[:3000]
    parts = alignment("gzip", 1, targets)([text[:1000], text[1000:2000], text[2000:]])
    for how, expected in (("mean", parts.mean()), ("max", parts.max())):
        kernel = alignment("gzip", 1, targets, 1000, how)
        np.testing.assert_allclose(kernel([text, text[:1000]]), [expected, parts[0]], rtol=0, atol=1e-15)


def test_the_order_of_targets_does_not_matter_to_the_last_bit() -> None:
    targets, rows = human_eval(20), functions(20)
    forward, backward = alignment("gzip", 1, targets)(rows), alignment("gzip", 1, targets[::-1])(rows)
    assert forward.tobytes() == backward.tobytes()


def test_ratio_is_the_whole_zlib_stream() -> None:
    for text in [*ODD, *functions(50)]:
        value = ratio([text])[0]
        if text == "" or "\ud800" in text:
            assert np.isnan(value)
        else:
            stream = zlib.compressobj(6)
            raw = text.encode()
            assert value == len(stream.compress(raw) + stream.flush()) / len(raw)


def test_memory_does_not_grow_with_rows_times_targets() -> None:
    peaks = []
    for count in (20, 320):
        rows, kernel = stitched(200, count), alignment("gzip", 1, human_eval(40))
        kernel(rows[:2])
        tracemalloc.start()
        kernel(rows)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 300 rows x 40 targets of one Python int each would be 336 kB.
    assert peaks[1] - peaks[0] < 50_000
