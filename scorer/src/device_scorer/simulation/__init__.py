"""Simulated readings of a fleet, with known anomalies.

The command line lives in cli.
"""
