"""The main file for spark-submit: it takes a script, not a module. Arguments are those of the `lakesift` command."""

from lakesift.jobs.cli import main

main()
