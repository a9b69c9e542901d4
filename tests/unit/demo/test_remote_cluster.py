"""The storage in a cluster of the user; no test has such a cluster."""

import base64
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient
from demo import remote_cluster
from demo.errors import DemoError
from demo.kube_commands import KubeCommands
from demo.target import Image
from demo.workspace import NAMESPACE, Workspace

from localcluster.progress import StepProgress
from localcluster.toolchain import images
from tests.unit.demo.fake_programs import RecordingCommands, write_program

FORWARDED = 'echo "Forwarding from 127.0.0.1:40123 -> 10000"; exec sleep 1000'


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the processes that are started."""
    started: list[Any] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> Any:
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return started


def forwarding(tmp_path: Path, script: str) -> KubeCommands:
    kubectl = write_program(tmp_path / "kubectl", script)
    return KubeCommands(kubectl, kubectl, tmp_path / "kubeconfig")


def test_forwarded_port_is_read_from_kubectl_which_ends_with_the_demo(tmp_path: Path, processes: list[Any]) -> None:
    with remote_cluster._forward_port(forwarding(tmp_path, FORWARDED)) as url:
        assert url == "http://127.0.0.1:40123"
    (kubectl,) = processes
    assert kubectl.returncode is not None


def test_failed_port_forward_is_an_error_with_kubectls_output(tmp_path: Path) -> None:
    kube = forwarding(tmp_path, "echo error: services azurite not found; exit 1")
    with (
        pytest.raises(DemoError, match="port-forward to Azurite failed: error: services azurite not found"),
        remote_cluster._forward_port(kube),
    ):
        pass


@pytest.mark.parametrize("found", ["", base64.b64encode(b"devstoreaccount1:a2V5").decode()], ids=["new", "existing"])
def test_key_of_a_deployed_azurite_is_kept(found: str) -> None:
    kube = RecordingCommands(kubectl_get=found)
    key = remote_cluster._deploy_azurite(kube, StepProgress(io.StringIO()))
    kinds = [applied["kind"] for applied in kube.applied]
    assert ("Secret" in kinds) is not bool(found)
    assert key == "a2V5" if found else len(base64.b64decode(key)) == 64
    assert "Deployment" in kinds
    assert kube.recorded[-1].startswith("kubectl rollout status deployment/azurite")


def test_pods_and_this_machine_reach_the_storage_by_their_own_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[str] = []
    script = f"""
case "$*" in
*port-forward*) {FORWARDED} ;;
"get secret"*) echo {base64.b64encode(b"devstoreaccount1:a2V5").decode()} ;;
"get service"*) echo '{json.dumps({"spec": {"clusterIP": "fd00::1"}})}' ;;
esac
"""
    kube = forwarding(tmp_path, script)
    monkeypatch.setattr(remote_cluster, "create_commands", lambda *_arguments, **_options: kube)
    monkeypatch.setattr(images, "build_image", lambda name, **_options: Path(f"/cache/{name}-1.tar"))
    monkeypatch.setattr(images, "push_image", lambda _archive, reference, **_options: pushed.append(reference))
    workspace, progress = Workspace(tmp_path / "local"), StepProgress(io.StringIO())
    with remote_cluster.connect_target(workspace, "mine", "registry.example/path/", progress) as target:
        assert target.account_url == "http://[fd00::1]:10000/devstoreaccount1"
        assert f"BlobEndpoint={target.account_url};" in target.connection_string
        assert isinstance(target.client, BlobServiceClient)
        assert target.client.url == "http://127.0.0.1:40123/devstoreaccount1/"
        assert target.scorer_image == Image("registry.example/path/scorer", "scorer-1", "scorer-1")
    assert pushed == ["registry.example/path/operator:operator-1", "registry.example/path/scorer:scorer-1"]
    assert workspace.read_state() == {"where": "remote", "context": "mine"}


@pytest.mark.parametrize("release", ["fleetscore\n", ""])
def test_end_of_the_demo_deletes_its_namespace_and_keeps_the_crd(
    release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kube = RecordingCommands(helm_list=release)
    monkeypatch.setattr(remote_cluster, "create_commands", lambda *_arguments, **_options: kube)
    remote_cluster.down(Workspace(tmp_path), "mine", StepProgress(io.StringIO()))
    assert any(command.startswith("helm uninstall fleetscore") for command in kube.recorded) is bool(release)
    assert kube.recorded[-1].startswith(f"kubectl delete namespace {NAMESPACE}")
    assert "The CRD is kept" in capsys.readouterr().out
