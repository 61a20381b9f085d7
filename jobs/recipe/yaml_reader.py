"""Reads YAML so that it says what it says: what other readers change or drop in silence is text here, or an error.

A key given twice is an error. Keys are text as they are written (`no`, `on`, 2024-05-01, 007), and so are values that
only YAML 1.1 takes for something else: yes and no, dates, 1:30, 010. A number keeps how it was written, so that it is
that text where text is meant. `true`, `false`, `null` and `~` are what they are; `null` and `~` are so as keys, too.
Anchors and merge keys (<<) work; tags of Python do not.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from ...udfs.errors import RecipeError

#: How SQL is written that YAML would read otherwise.
QUOTING = "put SQL that holds ': ' or ' #', or begins with a quote, `, [, {, *, &, !, % or @, in single quotes"


class Whole(int):
    """A whole number that knows how it was written."""

    text: str


class Real(float):
    """A number that knows how it was written."""

    text: str


class _Loader(yaml.SafeLoader):
    """SafeLoader with the numbers of YAML 1.2 and keys that are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of a node; raises ConstructorError on a key given twice, or one that is no plain value."""
        seen: dict[str, yaml.Mark] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is a list or a block; names are needed", key.start_mark
                )
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                problem = f"the key {key.value!r} stands twice, first in line {seen[key.value].line + 1}; leave one out"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen[key.value] = key.start_mark
            if key.tag != "tag:yaml.org,2002:null":
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


def _whole(_: yaml.SafeLoader, node: yaml.ScalarNode) -> Whole:
    digits = node.value.replace("_", "")
    if len(digits) > 400:
        problem = f"a number of {len(digits):,} digits is longer than any that is allowed"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    number = Whole(digits)
    number.text = node.value
    return number


def _real(_: yaml.SafeLoader, node: yaml.ScalarNode) -> Real:
    words = node.value.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan")
    number = Real(words)
    number.text = node.value
    if math.isinf(number) and "inf" not in words:
        raise yaml.constructor.ConstructorError(None, None, f"{node.value} is beyond all numbers", node.start_mark)
    return number


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?((0|[1-9][0-9_]*)?\.[0-9]+|(0|[1-9][0-9_]*)\.?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_constructor("tag:yaml.org,2002:float", _real)


def read_yaml(text: str, name: str) -> Any:
    """Return what YAML says.

    Raises
    ------
    RecipeError
        If it is not YAML, a key stands twice, or it is nested too deep; `name` says where it comes from.
    """
    try:
        return yaml.load(text, _Loader)
    except RecursionError:
        raise RecipeError(f"{name} is nested too deep; a recipe has a handful of levels") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{name} {_fault(error, text)}") from error


def _fault(error: yaml.YAMLError, text: str) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    if mark is None:
        return f"is not YAML: {problem}"
    lines = text.splitlines()
    shown = lines[mark.line].strip()[:80] if mark.line < len(lines) else ""
    place = f"in line {mark.line + 1}" + (f", {shown!r}" if shown else "")
    if isinstance(error, yaml.constructor.ConstructorError) and getattr(error, "context", None) is None:
        return f"{place}: {problem}"  # one of our own
    if "mapping values are not allowed" in problem:
        problem = "a colon and a blank stand inside a value"
    return f"is not YAML {place}: {problem}; {QUOTING}, as in where: 'a = ''x: y'''"


def as_text(value: Any) -> Any:
    """Return a number, true or false as the text that was written, lists and the like with all that they hold.

    Examples
    --------
    >>> as_text(read_yaml("[1_0, 1.50, true, a, null]", "x"))
    ['1_0', '1.50', 'true', 'a', None]
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return getattr(value, "text", str(value))
    if isinstance(value, list | tuple):
        return type(value)(map(as_text, value))
    return value


def plain(value: Any) -> Any:
    """Return a value without the memory of how its numbers were written.

    Examples
    --------
    >>> [type(item).__name__ for item in plain(read_yaml("[1, 1.5, x]", "x"))]
    ['int', 'float', 'str']
    """
    if isinstance(value, Whole | Real):
        return int(value) if isinstance(value, Whole) else float(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return type(value)(map(plain, value)) if isinstance(value, list | tuple) else value
