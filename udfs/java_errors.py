"""What lies at the bottom of an error of the JVM: its chain of causes, read from the text that Python gets."""

from __future__ import annotations

import re

#: A line that opens a stack trace or one of its causes: "Caused by: java.io.IOException: No space left on device".
_THROWN = re.compile(r"^(?:: |Caused by: )?((?:[a-z_]\w*\.)+[A-Z][\w$]*)(?:: (.*))?$", re.M)
#: The same inside the message of a stage that failed: "... (TID 3) (host executor driver): java.io.IOException: ...".
_IN_TASK = re.compile(r"\(TID \d+\)[^:\n]*: ((?:[a-z_]\w*\.)+[A-Z][\w$]*)(?:: (.*))?$", re.M)


def causes(text: str) -> list[tuple[str, str]]:
    """Return (class without its package, first line of the message) of every throwable in a text, innermost first.

    Examples
    --------
    >>> causes("x: y\\n: org.apache.spark.SparkException: Job aborted\\n\\tat a.b\\nCaused by: java.io.EOFException")
    [('EOFException', ''), ('SparkException', 'Job aborted')]
    """
    thrown = [*_IN_TASK.finditer(text), *_THROWN.finditer(text)]
    inner_first = sorted(thrown, key=lambda match: -match.start())
    pairs = [(match[1].rsplit(".", 1)[1], (match[2] or "").strip()) for match in inner_first]
    return list(dict.fromkeys(pairs))
