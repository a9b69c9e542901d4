"""Every decision about a run, as functions from values to values.

The functions do no I/O and read no clock. The controller observes, calls the planner, and applies the plan.
"""
