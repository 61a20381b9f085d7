"""Exact ranking on Spark and on the driver: what selectors are built from."""
