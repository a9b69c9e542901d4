"""Simulated readings of a fleet, with known anomalies, and of the test device of an installation check.

The command line belongs to cli.
"""
