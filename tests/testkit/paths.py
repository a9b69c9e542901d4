"""The paths of the repository that tests read, and the path of the original project's data."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "fleetscore"
CRD = ROOT / "crds" / "fleetscore.dev_scoringruns.yaml"
EXAMPLES = ROOT / "examples"
# The readings and models of the original project. CONTRIBUTING names the variable.
ORIGINAL_DATA = Path(os.environ.get("FLEETSCORE_ORIGINAL_DATA") or ROOT.parent / "shared" / "data")
