"""The checks of an installation: facts are gathered in parallel, and functions without I/O turn them into findings.

The requests are in cluster and store, and the output of the command is in cli.
"""
