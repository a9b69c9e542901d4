import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from azure.storage.blob import BlobServiceClient
from demo import install, scoring_run
from demo.kube_commands import KubeCommands
from demo.target import Image, Target
from demo.workspace import CHECKOUT, Workspace

from localcluster.addons.azurite import Azurite


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data", "/none.csv"], "DATA is /none.csv"),
        (["--window", "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z"], "DATA=readings.csv"),
        (["--train", "all"], "DATA=readings.csv"),
        (["--context", "mine"], "CONTEXT and REGISTRY must be given together"),
    ],
)
def test_invalid_usage_ends_at_once_without_traceback(arguments: list[str], named: str) -> None:
    answer = demo("run", *arguments)
    assert answer.returncode == 1
    assert named in answer.stderr
    assert answer.stderr.rstrip().endswith("FAIL")
    assert "Traceback" not in answer.stderr


def test_chart_values_depend_on_the_targets_images_and_storage(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    azurite = Azurite(tmp_path_factory.mktemp("azurite"), "10.1.2.3", 10000, "a2V5")
    url, text = azurite.url, azurite.connection_string
    client = BlobServiceClient.from_connection_string(text)
    kube = KubeCommands(Path("kubectl"), Path("helm"), Path("kubeconfig"))
    image = Image("registry.example/path/operator", "abc", "abc")
    values = install.chart_values(
        Target(Workspace(), kube, image, Image("registry.example/path/scorer", "abc", "def"), url, text, client)
    )
    assert values["fleets"][0]["storage"]["accountUrl"] == "http://10.1.2.3:10000/devstoreaccount1"
    assert values["operator"]["image"] == {"repository": "registry.example/path/operator", "tag": "abc"}
    assert text not in yaml.safe_dump(values)
    other = install.chart_values(Target(Workspace(), kube, image, image, url, text.replace("a2V5", "b3RoZXI="), client))
    assert other["operator"]["podAnnotations"] != values["operator"]["podAnnotations"]


def test_progress_of_a_run_is_one_line() -> None:
    devices = {"total": 12, "scored": 5, "empty": 1, "failed": 1, "active": 4, "pending": 1}
    run = {"metadata": {"name": "demo"}, "status": {"phase": "Running", "devices": devices}}
    assert scoring_run.progress_text(run) == "demo: Running, 7 of 12 devices done, 4 active, 1 failed"
    assert scoring_run.progress_text({"metadata": {"name": "demo"}}) == "demo: not seen by the operator yet"


@pytest.mark.parametrize(
    ("kind", "status", "ended"),
    [("Complete", "True", True), ("Failed", "True", True), ("Complete", "False", False), ("Degraded", "True", False)],
)
def test_run_has_ended_if_it_is_complete_or_failed(kind: str, status: str, ended: bool) -> None:  # noqa: FBT001  a table's column
    assert scoring_run.has_ended({"status": {"conditions": [{"type": kind, "status": status}]}}) is ended
