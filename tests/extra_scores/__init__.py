"""A package outside LakeSift with one file: what a user writes to add a scorer."""
