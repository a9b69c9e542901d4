"""Scores one or many devices' sensor readings against their anomaly models."""

__version__ = "0.1.0"
