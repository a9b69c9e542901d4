"""The scorer: it labels the sensor readings of one or many devices with their anomaly models.

The modules of this package are the ones that several of its subpackages use, such as windows, readings and errors. The
code of a single subpackage is in that subpackage. This file has the versions and no import, because the start of a pod
is measured in milliseconds.
"""

__version__ = "0.1.0"

SCIKIT_LEARN = "1.9.1"
"""The scikit-learn version that this scorer is pinned to and tested with. A constant saves a pod an import."""
