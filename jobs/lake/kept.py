"""What a command has finished that a stop or an error does not take away: units of work, each a commit of its own."""

from __future__ import annotations

from .text_table import printable

_units: dict[str, tuple[int, int]] = {}


def begin() -> None:
    """Forget what earlier commands of this process finished."""
    _units.clear()


def finished(what: str, rows: int) -> None:
    """Note that one more unit of a kind of work is committed, with this many rows.

    Examples
    --------
    >>> begin()
    >>> kept()
    'finished units are kept'
    >>> finished("length", 60)
    >>> finished("length", 1_000)
    >>> finished("quality", 7)
    >>> kept()
    '3 finished units are kept (1,060 rows of length; 7 rows of quality)'
    >>> begin()
    """
    units, before = _units.get(what, (0, 0))
    _units[what] = units + 1, before + rows


def kept() -> str:
    """Return what is kept, in numbers where they are known; callable from any thread."""
    done = dict(_units)  # in one step: another thread may add to it
    if not done:
        return "finished units are kept"
    units = sum(count for count, _ in done.values())
    rows = "; ".join(f"{count:,} rows of {what}" for what, (_, count) in done.items())
    return f"{units:,} finished unit{'s are' if units > 1 else ' is'} kept ({rows})"


def stopped() -> str:
    """Return the sentence of a command that is stopped, on one line."""
    return printable(f"stopped; {kept()}, run again to go on")
