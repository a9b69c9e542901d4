"""Python client of Fleetscore: runs, predictions, incidents and sensors of a fleet as pandas DataFrames."""

from fleetscore.contract.windows import Window
from fleetscore.errors import FleetscoreError
from fleetscore.fleet import Fleet

__version__ = "0.1.0"
__all__ = ["Fleet", "FleetscoreError", "Window"]
