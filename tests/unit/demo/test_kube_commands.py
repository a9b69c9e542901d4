import io
import json
from pathlib import Path

import pytest
from demo.errors import DemoError
from demo.kube_commands import KubeCommands, create_commands
from demo.workspace import NAMESPACE, Workspace

from localcluster.progress import StepProgress
from localcluster.toolchain import tools
from tests.unit.demo.fake_programs import write_program

# A program that prints its name, its arguments, its kubeconfig and its input.
ECHO = 'echo "$(basename "$0") $* with $KUBECONFIG and $KUBECACHEDIR"; cat'


@pytest.fixture
def kube(tmp_path: Path) -> KubeCommands:
    kubectl, helm = (write_program(tmp_path / name, ECHO) for name in ("kubectl", "helm"))
    return KubeCommands(kubectl, helm, tmp_path / "kubeconfig")


def test_programs_use_the_kubeconfig_and_the_namespace_of_the_demo(kube: KubeCommands, tmp_path: Path) -> None:
    where = f"with {tmp_path}/kubeconfig and {tmp_path}/kubectl-cache\n"
    assert kube.run_kubectl("get", "pods", input_text="") == f"kubectl get pods {where}"
    assert kube.run_helm("list").startswith(f"helm --namespace {NAMESPACE} list {where}")


def test_failed_command_is_an_error_with_its_output(tmp_path: Path) -> None:
    kubectl = write_program(tmp_path / "kubectl", "echo not found >&2; exit 1")
    kube = KubeCommands(kubectl, kubectl, tmp_path / "kubeconfig")
    with pytest.raises(DemoError) as caught:
        kube.run_kubectl("get", "pod", "a b")
    assert str(caught.value) == "kubectl get pod 'a b':\nnot found"


def test_object_is_parsed_from_json(tmp_path: Path) -> None:
    kubectl = write_program(tmp_path / "kubectl", 'echo "{\\"asked\\": \\"$*\\"}"')
    kube = KubeCommands(kubectl, kubectl, tmp_path / "kubeconfig")
    assert kube.get("pod", "a") == {"asked": "get pod a -o json"}


def test_objects_are_applied_as_one_input(tmp_path: Path) -> None:
    kubectl = write_program(tmp_path / "kubectl", f'cat >"{tmp_path}/input"')
    KubeCommands(kubectl, kubectl, tmp_path / "kubeconfig").apply({"kind": "A"}, {"kind": "B"})
    documents = (tmp_path / "input").read_text().split("\n---\n")
    assert [json.loads(document)["kind"] for document in documents] == ["A", "B"]


def test_printed_command_is_one_that_a_user_types(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl = write_program(tmp_path / "kubectl", "echo output")
    KubeCommands(kubectl, kubectl, tmp_path / "kubeconfig").print_kubectl("get", "sr")
    assert capsys.readouterr().out == "\n$ .local/bin/kubectl get sr\noutput\n"


def test_kubeconfig_of_the_demo_is_a_copy_of_one_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl = write_program(tmp_path / "kubectl", f'echo "$*" >>"{tmp_path}/calls"; echo "apiVersion: v1"')
    monkeypatch.setattr(tools, "ensure_program", lambda _name, **_options: kubectl)
    workspace = Workspace(tmp_path / "local")
    kube = create_commands(workspace, StepProgress(io.StringIO()), source=Path("/config"), context="mine")
    assert kube.kubeconfig.read_text() == "apiVersion: v1\n"
    assert kube.kubeconfig.stat().st_mode & 0o077 == 0
    assert {path.name for path in workspace.bin_folder.iterdir()} == {
        "kubectl",
        "helm",
        "fleetscore",
        "kubectl-fleetscore",
    }
    assert (tmp_path / "calls").read_text().splitlines() == [
        "--kubeconfig=/config --context=mine config view --minify --flatten --raw",
        f"config set-context --current --namespace={NAMESPACE}",
    ]


def test_unknown_context_is_an_error_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl = write_program(tmp_path / "kubectl", "echo no context mine >&2; exit 1")
    monkeypatch.setattr(tools, "ensure_program", lambda _name, **_options: kubectl)
    with pytest.raises(DemoError, match="no context mine\n`kubectl config get-contexts` lists the contexts"):
        create_commands(Workspace(tmp_path / "local"), StepProgress(io.StringIO()), context="mine")
    assert not (tmp_path / "local").exists()
