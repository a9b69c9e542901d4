"""Scores one or many devices' sensor readings against their anomaly models."""

__version__ = "0.1.0"

SCIKIT_LEARN = "1.9.1"
"""The version that this scorer is pinned to and tested with; a constant, since asking costs a pod an import."""
