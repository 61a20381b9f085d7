"""What the code of an earlier commit makes of the same documents: seconds of a first run, and the values of scores.

`SINCE=commit python -m tests.bench since`; 3643c39 by default, from before changes of documents were followed. That
commit is unpacked beside this one, its native code is built, and both run the same recipes, each in its own process:

* a first run over 400 000 rows of Parquet (those of the bench `append`): the median of two, in turn;
* scores that need no model file to be fetched, over functions, once ASCII alone and once with texts in other scripts
  and spellings beside them: how many rows have another value, to the last bit. Scores of which CHANGELOG says that
  values changed outside of ASCII are asked of the former alone, since `dsir` and `leverage` learn from all documents.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import pandas as pd

from lakesift.jobs.lake.session import session
from tests.bench.bench_append import ROWS, Folder, raw
from tests.bench.lines import Line, line, table
from tests.texts import functions, human_eval

SINCE = os.environ.get("SINCE", "3643c39")
ROOT = Path(__file__).resolve().parents[2]
#: Of the earlier wall: as noisy as a run of a minute and a half is.
BAR = 0.9
REPEATS = 2
DOCUMENTS, TARGETS = 300, 12
#: Texts whose tokens, entropies and n-grams are others since units of scripts without blanks are characters.
OTHERS = (
    "Ünïcode näïve café",
    "数据选择是一个重要的问题，我们需要研究。",
    "ยินดีต้อนรับ",
    "кириллица и ещё",
    "emoji 😀 text 😀😀",
    "ﬁne ﬂow",
    unicodedata.normalize("NFD", "näïve café résumé"),
    "data\u00adsoft hyphen zero\u200bwidth",
    "１２３ ｆｕｌｌ",
)
SCORES: dict[str, Any] = {
    "ratio": "compression_ratio",
    "bytes": "length_bytes",
    "zipfit": {"kind": "zipfit", "target": "goal"},
    "zipfit_in_chunks": {"kind": "zipfit", "target": "goal", "chunk_bytes": 512},
    "vector": {"kind": "embedding", "encoder": "wordllama"},
    "leverage": {"kind": "leverage", "of": "vector"},
}
#: Scores whose values changed outside of ASCII (CHANGELOG).
OF_ASCII: dict[str, Any] = {
    "tokens": "length_tokens",
    "words": {"kind": "length_tokens", "unit": "whitespace"},
    "entropy": "information_entropy",
    "entropy_of_characters": {"kind": "information_entropy", "unit": "character"},
    "entropy_of_all": {"kind": "information_entropy", "whole": True},
    "overlap": {"kind": "ngram_overlap", "target": "goal"},
    "ngrams": {"kind": "embedding", "encoder": "hashed_ngrams"},
    "leverage_of_ngrams": {"kind": "leverage", "of": "ngrams"},
    "dsir": {"kind": "dsir", "target": "goal"},
}


def unpacked(folder: Path) -> Path:
    """Return a folder in which `lakesift` is the package as of SINCE, its native code built."""
    place = folder / "since" / "lakesift"
    place.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", SINCE], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=place, input=archive, check=True)
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(build, cwd=place, check=True, stdout=subprocess.DEVNULL)
    return place.parent


def ran(job: dict[str, Any], package: Path | None, folder: Path) -> float:
    """Run a recipe in a process of its own, by the package in a folder or by this one; seconds of the run."""
    told = folder / "job.json"
    told.write_text(json.dumps(job), encoding="utf-8")
    environment = os.environ | ({"PYTHONPATH": str(package)} if package else {})
    command = [sys.executable, str(Path(__file__).parent / "since_run.py"), str(told)]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["package"]).resolve() == (ROOT if package is None else package / "lakesift").resolve()
    print(f"{'now' if package is None else SINCE}: {found['seconds']:.1f} s; {found['steps']}", flush=True)
    return float(found["seconds"])


def first_runs(package: Path, folder: Path) -> Line:
    """Compare a first run over 400 000 rows, in turn."""
    spark = session()
    documents = Folder(spark, folder, ROWS)
    spark.stop()
    recipe = raw(documents.source)
    walls: dict[Path | None, list[float]] = {package: [], None: []}
    for turn in range(REPEATS):
        for who, found in walls.items():
            found.append(ran({"lake": str(folder / f"lake_{turn}_{who is None}"), "recipe": recipe}, who, folder))
    now, then = (statistics.median(walls[who]) for who in (None, package))
    return line(f"first run, {ROWS:,} rows of a folder, s", now, then, BAR)


def values(name: str, texts: list[str], scores: dict[str, Any], package: Path, folder: Path) -> list[Line]:
    """Compare the value of every score of some documents; ours and rival are rows, and rows whose value is the same."""
    goals = human_eval(TARGETS)
    for table_name, rows in (("docs", texts), ("goal", goals)):
        written = pd.DataFrame({"id": [f"{table_name}{i:04}" for i in range(len(rows))], "text": rows})
        written.to_json(folder / f"{table_name}.jsonl", orient="records", lines=True)
    recipe = {
        "name": name,
        "documents": {"table": "docs", "from": {"files": [str(folder / "docs.jsonl")], "format": "jsonl"}},
        "targets": {"goal": {"table": "goal", "from": {"files": [str(folder / "goal.jsonl")], "format": "jsonl"}}},
        "scores": scores,
        "select": {"kind": "top_k", "by": "zipfit"},
        "budget": {"rows": 20},
        "controls": [],
    }
    frames = []
    for who in (package, None):
        out = folder / f"{name}_{who is None}.pkl"
        ran({"lake": str(folder / f"{name}_{who is None}"), "recipe": recipe, "out": str(out)}, who, folder)
        frames.append(pd.read_pickle(out))
    then, now = frames
    assert list(then["id"]) == list(now["id"])
    assert len(now) == len(texts)
    lines = []
    for score in (s for s in scores if s in now.columns):
        same = int((now[score].map(repr) == then[score].map(repr)).sum())
        assert now[score].notna().any(), score
        lines.append(line(f"{score}, {name}: rows, same since {SINCE}", len(texts), same, 1.0))
    return lines


def main() -> list[Line]:
    """Print one line a score and one for the first run."""
    ascii_texts = [text for text in functions(DOCUMENTS) if text.isascii()]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        package = unpacked(place)
        lines = values("ascii", ascii_texts, SCORES | OF_ASCII, package, place)
        lines += values("any", [*ascii_texts, *OTHERS], SCORES, package, place)
        lines.append(first_runs(package, place))
    print(table(lines))
    return lines


if __name__ == "__main__":
    main()
