"""Every decision about a run, as functions from values to values.

Nothing here does I/O or reads a clock; the controller observes and applies.
"""
