import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from azure.storage.blob import BlobServiceClient
from demo import install
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
