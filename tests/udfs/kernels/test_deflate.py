"""Lengths of deflate streams by our C: hand-computed streams, equality with zlib on made and real text, and distrust.

Long fuzzing is marked `long`. Where the C was not built for want of a compiler, what needs it is skipped.
"""

from __future__ import annotations

import random
import shutil
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from lakesift.udfs.errors import ScoreError
from lakesift.udfs.kernels import codecs, deflate
from lakesift.udfs.kernels.codecs import GZIP_WRAPPER
from lakesift.udfs.kernels.compression import alignment
from lakesift.udfs.kernels.deflate import CHECKED, PROBE, gzip_sizes_after, lengths
from tests.texts import ODD, functions, human_eval, stitched

BUILT = deflate._library() is not None
needs_c = pytest.mark.skipif(not BUILT, reason="the C was not built: there is no compiler here")
LEVELS = range(1, 10)


def _zlib(data: bytes, level: int) -> int:
    stream = zlib.compressobj(level, zlib.DEFLATED, -15)
    return len(stream.compress(data) + stream.flush())


def _lengths(level: int, texts: Sequence[bytes], data: bytes) -> list[int]:
    function = lengths(level, texts)
    assert function is not None
    return function(data).tolist()


def test_it_is_built_where_there_is_a_compiler() -> None:
    assert BUILT or not (shutil.which("cc") or shutil.which("gcc")), "it did not compile: pip install -v -e . says why"


@needs_c
@pytest.mark.parametrize("how", ["truncated", "empty", "garbage", "no digest", "another digest", "whole"])
def test_a_file_that_is_not_whole_is_not_loaded(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = next(deflate.NATIVE.glob("deflate_sizes*.so"))
    content, digest = built.read_bytes(), built.with_name(f"{built.name}.sha256").read_text()
    broken = {"truncated": content[: len(content) // 2], "empty": b"", "garbage": b"\x7fELF" + content[9:]}
    (tmp_path / built.name).write_bytes(broken.get(how, content))
    if how != "no digest":
        noted = "0" * 64 if how == "another digest" else digest
        (tmp_path / f"{built.name}.sha256").write_text(noted)
    monkeypatch.setattr(deflate, "NATIVE", tmp_path)
    deflate._library.cache_clear()
    try:
        assert (deflate._library() is None) == (how != "whole")
        sizes = codecs.size_function("gzip", 1)
        a, b = alignment("gzip", 1, ["to be or not"])(["to be", "that is"]).tolist()
        assert a > b
        assert sizes(b"to be") > 0
    finally:
        monkeypatch.undo()
        deflate._library.cache_clear()


@needs_c
@pytest.mark.parametrize("level", LEVELS)
def test_streams_computed_by_hand(level: int) -> None:
    # A fixed block is 3 bits of head, 8 or 9 a literal (9 from byte 144 on), 7 for a match code with its extra bits and
    # 5 for the distance, 7 for the end.
    literals = [b"", b"a", b"abc", b"\xff\xff"]
    assert _lengths(level, literals, b"") == [-(-bits // 8) for bits in (10, 18, 34, 28, 10)]
    # Position 0 is never matched: two literals, one match of 258 at distance 1, nothing of it in extra bits.
    assert _lengths(level, [b"a" * 258], b"aa")[0] == _lengths(level, [b""], b"a" * 260)[0]
    # Noise is stored: a byte of head, 4 of length.
    noise = random.Random(0).randbytes(500)
    assert _lengths(level, [noise[200:]], noise[:200]) == [505, 205]


class Made:
    """Texts that reach every branch: noise, few symbols, steep frequencies, periods, runs, real text."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.real = "\n".join(functions(1500)).encode()

    def text(self, most: int) -> bytes:
        r = self.random
        n = int(10 ** r.uniform(0, np.log10(most))) if r.random() < 0.9 else r.randrange(4)
        fibonacci = [1.618**i for i in range(24)]  # the deepest trees: codes above the longest that is allowed
        made: list[Callable[[], bytes]] = [
            lambda: r.randbytes(n),
            lambda: bytes(r.choices(b"ab", k=n)),
            lambda: bytes(r.choices(range(24), fibonacci, k=n)),
            lambda: bytes(r.choices(range(0, 240, 10), fibonacci, k=n)),
            lambda: (r.randbytes(r.randrange(1, 400)) * n)[:n],
            lambda: b"".join(bytes([r.randrange(256)]) * r.randrange(1, 300) for _ in range(9))[:n],
        ]
        start = r.randrange(len(self.real) - n)
        return r.choice(made)() if r.random() < 0.6 else self.real[start : start + n]

    def pairs(self, most: int) -> tuple[bytes, list[bytes]]:
        """A text and what may follow it: often a piece of it, so that matches run over the seam."""
        r, x = self.random, self.text(most)
        texts = [b"", self.text(most), x]
        for _ in range(6):
            at = r.randrange(len(x) + 1)
            texts.append(x[at : at + r.randrange(300)] + self.text(most)[: r.randrange(1, 400)])
        return x, texts


def _compare(made: Made, level: int, most: int) -> int:
    x, texts = made.pairs(most)
    found, unknown = _lengths(level, texts, x), 0
    for text, length in zip([*texts, b""], found, strict=True):
        if length == -1:
            assert len(x + text) > 16_382, "one block holds 16 382 symbols, and 32 506 bytes are within reach"
            unknown += 1
        else:
            assert length == _zlib(x + text, level), (level, x, text)
    return len(found) - unknown


@needs_c
@pytest.mark.parametrize("level", LEVELS)
def test_equal_to_zlib_on_made_text(level: int) -> None:
    made = Made(level)
    assert (
        sum(_compare(made, level, 4_000) for _ in range(120)) + sum(_compare(made, level, 25_000) for _ in range(6))
        > 1100
    )


@needs_c
@pytest.mark.long
def test_equal_to_zlib_for_two_minutes() -> None:
    made, end, compared = Made(20), time.monotonic() + 120, 0
    while time.monotonic() < end:
        compared += _compare(made, made.random.randrange(1, 10), made.random.choice([300, 3_000, 30_000]))
    assert compared > 50_000


@needs_c
@pytest.mark.parametrize("level", [1, 4, 6, 9])
def test_every_cut_of_a_text_gives_the_length_of_the_whole(level: int) -> None:
    text = (functions(3)[2] * 3).encode()[:700]
    whole = _zlib(text, level)
    assert {_lengths(level, [text[cut:]], text[:cut])[0] for cut in range(len(text) + 1)} == {whole}


@needs_c
def test_what_is_out_of_reach_is_unknown() -> None:
    # No three bytes come twice: every byte is a literal.
    literals, run = b"".join(bytes([i >> 7, 128 + (i & 127)]) for i in range(8192)), b"a" * 40_000
    assert _lengths(1, [literals[:16_382], literals[:16_383]], b"") == [_zlib(literals[:16_382], 1), -1, 2]
    assert _lengths(6, [run[:1], run[:2]], run[:32_505]) == [_zlib(run[:32_506], 6), -1, _zlib(run[:32_505], 6)]
    assert _lengths(6, [b"a"], run) == [-1, -1]
    assert _lengths(6, [b"a"], b"a" * (deflate.LONGEST + 1)) == [-1, -1]


@needs_c
@pytest.mark.parametrize("level", [1, 6, 9])
def test_alignment_is_the_same_without_it(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*ODD, *functions(30), *stitched(6000, 3), "".join(functions(1500))[:70_000]]
    with_c = alignment("gzip", level, human_eval(20))(rows)
    assert gzip_sizes_after(level, [b"x"]) is not None
    monkeypatch.setenv("LAKESIFT_DEFLATE", "zlib")
    assert gzip_sizes_after(level, [b"x"]) is None
    assert alignment("gzip", level, human_eval(20))(rows).tobytes() == with_c.tobytes()


def test_six_levels_differ_on_the_probe() -> None:
    assert len({_zlib(PROBE, level) for level in range(1, 7)}) == 6


@needs_c
@pytest.mark.parametrize("level", [1, 3, 4, 5])
def test_another_deflate_is_found_out_before_the_first_row(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "deflated", lambda data, level: zlib.compress(data, level + 1, wbits=-15))
    assert gzip_sizes_after(level, [b"a"]) is None


@needs_c
def test_a_wrong_size_stops_the_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = lengths

    def wrong(level: int, texts: Sequence[bytes]) -> deflate.Lengths | None:
        function = honest(level, texts)
        return function and (lambda data: function(data) + (len(data) > 99))

    monkeypatch.setattr(deflate, "lengths", wrong)
    sizes = gzip_sizes_after(1, [b"def f(x): return x"])
    assert sizes is not None
    good = sizes(b"short")
    assert good is not None
    assert good.tolist() == [_zlib(b"shortdef f(x): return x", 1) + GZIP_WRAPPER, _zlib(b"short", 1) + GZIP_WRAPPER]
    rows = [b"%d" % i * 100 for i in range(2 * CHECKED)]
    with pytest.raises(ScoreError, match=r"[12]00 and 18 bytes .* LAKESIFT_DEFLATE=zlib"):
        list(map(sizes, rows))
    many = gzip_sizes_after(1, [b"%d" % i for i in range(CHECKED)])
    assert many is not None
    for row in rows:
        with pytest.raises(ScoreError):  # every row has a pair that is compared
            many(row)


def test_without_the_library_zlib_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deflate, "_library", lambda: None)
    assert lengths(1, [b"a"]) is None
    assert gzip_sizes_after(1, [b"a"]) is None
