"""A report as one page of HTML: what it shows as plain data (content.py), and its rendering, which needs no Spark."""
