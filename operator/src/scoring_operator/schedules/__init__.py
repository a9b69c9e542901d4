"""Schedules: the window of a CronJob firing, the run of a window, and the windows that lack a run.

The commands that create runs live in cli.
"""
