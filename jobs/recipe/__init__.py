"""The recipe: *what* to select, never where."""

from .parse import Budget, Documents, Recipe, Source, Target, load, order, parse, shipped

__all__ = ["Budget", "Documents", "Recipe", "Source", "Target", "load", "order", "parse", "shipped"]
