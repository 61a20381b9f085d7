"""Refining: rows chosen in rounds, by weights of clusters that follow from rewards."""

from ..scoring.pinned import begun
from .rounds import go_on, refine_rounds

__all__ = ["begun", "go_on", "refine_rounds"]
