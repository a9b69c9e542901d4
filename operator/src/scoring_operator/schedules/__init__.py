"""Schedules: the window of a firing, the run of a window, and the windows without a complete run.

The commands that create runs are in cli.
"""
