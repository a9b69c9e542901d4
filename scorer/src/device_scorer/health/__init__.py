"""The health of a fleet over many windows: history, incidents, owners and mutes.

Everything here is pure. The package report reads and writes the files.
"""
