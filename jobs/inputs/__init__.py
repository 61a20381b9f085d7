"""The documents and targets of a recipe: opened, pinned and checked before any Spark job."""
