"""The CRDs of the Prometheus operator from its Go module, which is pinned by its hash."""

import json
import subprocess
from pathlib import Path

from localcluster.progress import StepProgress
from localcluster.toolchain import golang

MODULE = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
HASH = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
KINDS = ("podmonitors", "prometheusrules", "servicemonitors")


def monitoring_crds() -> list[Path]:
    """Return the files of the CRDs that the chart has objects of."""
    command = [str(golang.install_toolchain(StepProgress())), "mod", "download", "-json", MODULE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")  # outside of any module
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["Sum"] == HASH
    folder = Path(found["Dir"]) / "example" / "prometheus-operator-crd"
    return [folder / f"monitoring.coreos.com_{kind}.yaml" for kind in KINDS]
