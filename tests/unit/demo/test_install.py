"""The values of the chart, and its installation."""

import base64
import io
from pathlib import Path

import pytest
import yaml
from azure.storage.blob import BlobServiceClient
from demo import install
from demo.errors import DemoError
from demo.target import Image, Target
from demo.workspace import Workspace

from localcluster.addons.azurite import Azurite
from localcluster.progress import StepProgress
from tests.unit.demo.fake_programs import RecordingCommands

AZURITE = Azurite(Path("azurite"), "10.1.2.3", 10000, "a2V5")
OPERATOR = Image("registry.example/path/operator", "abc", "abc")
SCORER = Image("registry.example/path/scorer", "abc", "def")


def a_target(
    folder: Path,
    *,
    operator: Image = OPERATOR,
    connection_string: str = AZURITE.connection_string,
    **outputs: str | None,
) -> Target:
    client = BlobServiceClient.from_connection_string(connection_string)
    kube = RecordingCommands(**outputs)
    return Target(Workspace(folder), kube, operator, SCORER, AZURITE.url, connection_string, client)


def run_install(target: Target) -> None:
    target.workspace.demo_folder.mkdir()
    install.install(target, StepProgress(io.StringIO()))


def test_chart_values_have_the_images_and_the_storage_of_the_target(tmp_path: Path) -> None:
    values = install.chart_values(a_target(tmp_path))
    assert values["fleets"][0]["storage"]["accountUrl"] == "http://10.1.2.3:10000/devstoreaccount1"
    assert values["operator"]["image"] == {"repository": "registry.example/path/operator", "tag": "abc"}
    assert AZURITE.connection_string not in yaml.safe_dump(values)


@pytest.mark.parametrize(
    "changed",
    [
        {"connection_string": AZURITE.connection_string.replace("a2V5", "b3RoZXI=")},
        {"operator": Image(OPERATOR.repository, OPERATOR.tag, "other")},
    ],
    ids=["storage", "image"],
)
def test_change_that_keeps_the_tag_restarts_the_operator(changed: dict[str, object], tmp_path: Path) -> None:
    before = install.chart_values(a_target(tmp_path))
    after = install.chart_values(a_target(tmp_path, **changed))  # type: ignore[arg-type]  # one of the arguments above
    assert after["operator"]["podAnnotations"] != before["operator"]["podAnnotations"]


def test_namespace_and_secret_exist_before_the_release(tmp_path: Path) -> None:
    target = a_target(tmp_path)
    run_install(target)
    assert isinstance(target.kube, RecordingCommands)
    namespace, secret = target.kube.applied
    assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert base64.b64decode(secret["data"]["connectionString"]).decode() == target.connection_string
    *_, last = target.kube.recorded
    assert last.startswith("helm upgrade --install fleetscore ")


@pytest.mark.parametrize("pending", ["fleetscore\n", ""])
def test_only_an_interrupted_installation_is_removed_first(pending: str, tmp_path: Path) -> None:
    target = a_target(tmp_path, helm_list=pending)
    run_install(target)
    assert isinstance(target.kube, RecordingCommands)
    assert ("helm uninstall fleetscore --wait" in target.kube.recorded) is bool(pending)


def test_failed_installation_shows_the_pods_and_the_log_of_the_operator(tmp_path: Path) -> None:
    target = a_target(tmp_path, helm_upgrade=None, kubectl_get="operator  CrashLoopBackOff", kubectl_logs=None)
    with pytest.raises(DemoError) as caught:
        run_install(target)
    assert str(caught.value).splitlines() == [
        "helm upgrade failed",
        "$ kubectl get pods",
        "operator  CrashLoopBackOff",
        "kubectl logs failed",
    ]
