"""Creates tables, and tells the tables that LakeSift made from those of others, which it never writes.

What LakeSift made has the table property `lakesift.writer`, which its DDL sets (`plan --ddl` prints it) and which
overwrites, RESTORE, DELETE and OPTIMIZE leave there.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...udfs.errors import InputError
from .commits import Commit, Conflict, conflicts
from .schemas import RETENTION, WRITER, Table

if TYPE_CHECKING:
    from .tables import Lake


def create(lake: Lake, table: Table) -> None:
    """Create a table, or bring how long it keeps old versions up to date; a race with another creator is fine.

    Raises
    ------
    InputError
        If something of this name exists that LakeSift did not make.
    """
    for attempt in range(5):
        if newest_of_ours(lake, table.name):
            return _retain(lake, table)
        if lake.local and attempt == 4:  # no racing creator takes a second: a log without a commit is a crash's
            shutil.rmtree(Path(lake.root) / table.name / "_delta_log", ignore_errors=True)
        with suppress(Conflict), conflicts(table.name):
            lake.spark.sql(table.ddl(lake.ref(table.name)))
            if newest_of_ours(lake, table.name):
                return None
        time.sleep(0.2 * (attempt + 1))
    raise _foreign(lake, table.name)


def newest_of_ours(lake: Lake, name: str) -> Commit | None:
    """Return the newest commit of a table that LakeSift made, None if there is no table.

    Raises
    ------
    InputError
        If somebody else made the table.
    """
    newest = next(iter(lake.history(name, 1)), None)
    if newest and not is_ours(lake, name, newest):
        raise _foreign(lake, name)
    return newest


def is_ours(lake: Lake, name: str, newest: Commit) -> bool:
    """Tell whether LakeSift made a table: mostly its newest commit shows it; else its properties are asked for."""
    return newest.ours or WRITER in _properties(lake, name)


def _foreign(lake: Lake, name: str) -> InputError:
    return InputError(
        f"{name} in {lake.root} was not made by LakeSift, which writes only to its own tables: give another name to "
        f"the recipe or to its table, or drop {name}"
    )


def _retain(lake: Lake, table: Table) -> None:
    wanted = {key: value for key, value in table.properties if key in RETENTION}
    if wanted and not wanted.items() <= _properties(lake, table.name).items():
        pairs = ", ".join(f"'{key}' = '{value}'" for key, value in wanted.items())
        lake.spark.sql(f"ALTER TABLE {lake.ref(table.name)} SET TBLPROPERTIES ({pairs})")


def _properties(lake: Lake, name: str) -> dict[str, str]:
    return {r["key"]: r["value"] for r in lake.spark.sql(f"SHOW TBLPROPERTIES {lake.ref(name)}").collect()}
