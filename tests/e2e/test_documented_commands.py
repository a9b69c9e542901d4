"""The shell blocks of README, quickstart and the operations pages work as they are written.

test_demo.py runs the blocks of the mode `demo`, tests/deploy/test_walk.py the guide to AKS.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster.addons.azurite import Azurite
from localcluster.cluster import Cluster
from localcluster.toolchain import images
from localcluster.toolchain.tools import ensure_program
from tests.testkit import documents
from tests.testkit.azurite import new_storage
from tests.testkit.paths import ROOT

NAMESPACE = "scoring"
INSTALL = ROOT / "docs" / "operations" / "install.md"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a clone with the files of this checkout and its virtual environment."""
    clone = tmp_path / "clone"
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.splitlines()
    for name in (one for one in listed if (ROOT / one).is_file()):
        target = clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    venv = clone / ".venv"
    venv.mkdir()
    shutil.copy2(ROOT / ".venv" / "pyvenv.cfg", venv)
    for part in ("bin", "lib"):
        (venv / part).symlink_to(ROOT / ".venv" / part)
    (venv / ".ready").touch()
    return clone


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.needs_services  # it takes a minute
def test_the_blocks_for_a_folder_lead_to_predictions(checkout: Path) -> None:
    shown = output_of(documents.run("folder", checkout, os.environ))
    assert "TS,Device,Tag,Val,Prediction,Score" in shown
    assert len(list(checkout.glob("fleet/predictions/*/report.html"))) == 1


@pytest.fixture
def environment(
    container_cluster: Cluster, loaded_cluster: Cluster, pods_azurite: Azurite, checkout: Path
) -> Iterator[Mapping[str, str]]:
    """Return a shell's environment for a cluster without Fleetscore; the checkout has the values.yaml of the guide."""
    storage = new_storage(pods_azurite)
    (checkout / "values.yaml").write_text(yaml.safe_dump(values_for(storage)))
    loaded_cluster.kubectl("delete", "crd", "scoringruns.fleetscore.dev", "--ignore-not-found")
    programs = [str(ensure_program(name).parent) for name in ("helm", "kubectl")]
    yield {
        **os.environ,
        **storage.environment(),
        "PATH": ":".join([*programs, str(ROOT / ".venv" / "bin"), os.environ["PATH"]]),
        "KUBECONFIG": str(container_cluster.kubeconfig),
    }
    storage.client.close()
    loaded_cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")


def values_for(storage: Any) -> dict[str, Any]:
    """Return the guide's values with the images and the account of this machine."""
    values: dict[str, Any] = yaml.safe_load(documents.page_values(INSTALL))
    for component in images.IMAGE_NAMES:
        repository, _, tag = images.image_reference(component).partition(":")
        values[component]["image"] = {"repository": repository, "tag": tag}
    places = {"models": storage.models, "data": storage.data, "predictions": storage.predictions}
    values["fleets"][0]["storage"] |= {"accountUrl": storage.account_url, **places}
    values["fleets"][0]["scorer"] = {"resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}}
    return values


def test_the_blocks_for_a_cluster_install_verify_upgrade_and_uninstall(
    environment: Mapping[str, str], checkout: Path
) -> None:
    shown = output_of(documents.run("cluster", checkout, environment))
    assert len(re.findall(r"^Phase: +Succeeded$", shown, re.MULTILINE)) >= 2
    assert "scoringruns.fleetscore.dev" in shown.splitlines()[-1]
