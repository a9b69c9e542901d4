"""The health of a fleet over many windows: history, incidents, owners and mutes.

The package does no I/O. The package report reads and writes the files.
"""
