"""Kubernetes objects and the administrator's file, as values: ScoringRuns, fleets, names, conditions, intervals.

Decisions, manifests and I/O are in other packages.
"""
