"""Kubernetes objects and the administrator's file, as values: ScoringRuns, fleets, names, conditions, intervals.

Code that decides, writes manifests or does I/O lives elsewhere.
"""
