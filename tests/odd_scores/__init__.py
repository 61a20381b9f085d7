"""Scorers of other shapes than one number of one text, and ones that misbehave: for the edge and whole runs."""
