"""Made source files from a grammar of oddities, each with what it holds: names, packings, and how a case is written."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

Row = dict[str, Any]
BOM = b"\xef\xbb\xbf"


@dataclass
class Record:
    """One record of a file: the row that it says, or None where it is no row; `raw` is how it stands there."""

    said: Row | None
    raw: bytes | None = None


@dataclass
class MadeFile:
    """One file below the folder of its case; `linked` files lie elsewhere, and a link of this name leads to them."""

    name: str
    content: bytes
    records: list[Record] = field(default_factory=list)
    linked: bool = False


@dataclass
class Kind:
    """What all files of one ingest have in common."""

    form: str
    id_sql: str | None = "id"
    id_column: str = "id"
    delimiter: str = ""
    quote: str = '"'
    header: bool | tuple[str, ...] = True


# -- names and packings ----------------------------------------------------------------------------------------------

FOLDERS = ["", "a b/", "a:b/", "[x]/", "données/", "k=007/", "k=a%2Fb/l=x y/", "{1,2}/", "50%/", "a+b/", "deep/er/"]
STEMS = [
    *("plain", "a b", "12:30:00", "a[1]", "pièce-名", "%41", "a+b", "x#y", "why?", "{x}", "o'clock", 'q"q', "-rf", "ü"),
    *("back\\slash", "new\nline", "*", "~", "a=b", "$HOME", "`x`", "a.b.c", "\U0001f600", " lead", "trail ", "a&b;c"),
    "e\u0301",
]  # fmt: skip
ENDINGS = {"jsonl": [".jsonl", ".json", ".ndjson", ".JSONL"], "csv": [".csv", ".CSV"], "text": [".txt", ".md", ""]}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def packed(draw: random.Random, content: bytes, ending: str) -> tuple[bytes, str]:
    """A file as it may be packed: in one member or several, under the ending of another packing, or of none."""
    packing = draw.choice(["", "", "", *PACKERS])
    cuts = sorted(draw.randrange(len(content) + 1) for _ in range(draw.choice([0, 0, 1, 2]) if packing else 0))
    members = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    body = b"".join(map(PACKERS[packing], members))
    named = draw.choice(list(PACKERS)) if draw.random() < 0.15 else packing
    return body, ending + (named.upper() if draw.random() < 0.1 else named)


def file_name(draw: random.Random, number: int, index: int, ending: str) -> str:
    return f"{draw.choice(FOLDERS)}{draw.choice(STEMS)}-{number}-{index}{ending}"


def folder_columns(name: str) -> Row:
    """The columns that the folders of a file give, written once more."""
    pairs = [part.split("=", 1) for part in name.split("/")[:-1] if "=" in part]
    return {key: value.replace("%2F", "/") for key, value in pairs}


#: Beside the files of a case, and never read: names below a folder, by format the ending is added.
JUNK = (".hidden", "_SUCCESS", "_temporary/0/part-0", "a/.ipynb/x", "_committed_1", "README")


def made_case(number: int, kind: Kind, make: Callable[[random.Random, int, int, Kind], MadeFile]) -> list[MadeFile]:
    """The files of one case: the same for the same number and kind."""
    draw = random.Random(f"case {number}")
    made = [make(draw, number, index, kind) for index in range(draw.choice([1, 1, 2, 3]))]
    made[-1].linked = draw.random() < 0.1
    return made


def put(folder: Path, made: list[MadeFile], kind: Kind, junk: bool = False) -> None:
    """Write the files of a case into its folder."""
    for file in made:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.linked:
            target = folder.parent.parent / "elsewhere" / f"{folder.name}-{zlib.crc32(file.name.encode())}"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(file.content)
            path.symlink_to(target)
        else:
            path.write_bytes(file.content)
    for name in JUNK if junk and kind.form != "text" else ():
        path = folder / (f"{name}.{kind.form}" if name != "README" else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'{"id": "junk", "junk column": 1}\n')
