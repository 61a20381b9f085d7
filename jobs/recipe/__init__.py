"""The recipe: *what* to select, never where."""

from ..selectors.budget import Budget
from ..sources.source import Source
from .blocks import Documents, Target
from .keys import keys_of, load, shipped
from .parse import parse
from .recipe import Recipe, order

__all__ = ["Budget", "Documents", "Recipe", "Source", "Target", "keys_of", "load", "order", "parse", "shipped"]
