"""advise: what to use for this pool, from facts of a sample and from what was measured on other pools."""
