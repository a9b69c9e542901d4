"""Metrics, health probes and logs of the operator process.

Nothing here influences a decision.
"""
