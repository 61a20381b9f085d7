"""`python -m lakesift`: the command line."""

import runpy

runpy.run_module("lakesift.jobs.cli", run_name="__main__")
