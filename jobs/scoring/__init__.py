"""Scores by fingerprint: memos, values on demand, fitted models, progress."""
