"""The scorer: it labels the sensor readings of one or many devices with their anomaly models."""

__version__ = "0.1.0"

SCIKIT_LEARN = "1.9.1"
"""The scikit-learn version that this scorer is pinned to and tested with. A constant saves a pod an import."""
