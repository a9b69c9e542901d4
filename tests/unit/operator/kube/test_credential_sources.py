"""The credentials of a pod and of a kubeconfig."""

import base64
import json
from pathlib import Path

import pytest
import yaml

from scoring_operator.errors import InvalidSettings
from scoring_operator.kube.credential_sources import load_credentials
from scoring_operator.kube.credentials import Credentials


def test_pod_uses_its_service_account_and_reads_a_replaced_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one")
    (tmp_path / "ca.crt").write_text("pem")
    found = load_credentials({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
    assert (found.server, found.ca, found.bearer_token()) == ("https://[fd00::1]:6443", "pem", "one")
    (tmp_path / "token").write_text("two\n")
    assert found.bearer_token() == "two"


def a_kubeconfig(folder: Path, user: dict[str, object], cluster: dict[str, object]) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": "https://host:1/"} | cluster}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    return path


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_kubeconfig_certificates_are_read_from_data_and_files(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("KEY")
    user: dict[str, object] = {"client-certificate-data": encoded("CERT"), "client-key": "key.pem"}
    path = a_kubeconfig(tmp_path, user, {"certificate-authority-data": encoded("CA")})
    assert load_credentials({"KUBECONFIG": str(path)}) == Credentials(
        server="https://host:1", ca="CA", certificate="CERT", key="KEY"
    )


def test_kubeconfig_with_exec_plugin_gives_its_token(tmp_path: Path) -> None:
    kind = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    program = {
        "command": "echo",
        "args": [json.dumps(kind | {"status": {"token": "fresh"}})],
        "interactiveMode": "Never",
    }
    path = a_kubeconfig(tmp_path, {"exec": program | {"apiVersion": kind["apiVersion"]}}, {})
    assert load_credentials({"KUBECONFIG": str(path)}).bearer_token() == "fresh"


def test_failing_exec_plugin_names_a_check(tmp_path: Path) -> None:
    program = {"command": "false", "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    found = load_credentials({"KUBECONFIG": str(a_kubeconfig(tmp_path, {"exec": program}, {}))})
    with pytest.raises(InvalidSettings, match="kubectl auth whoami"):
        found.bearer_token()
    with pytest.raises(InvalidSettings, match="kubectl auth whoami"):
        found.ssl_context()


def test_default_kubeconfig_is_used_outside_of_a_pod_and_for_a_named_context(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    a_kubeconfig(tmp_path / ".kube", {"token": "t"}, {}).rename(tmp_path / ".kube" / "config")
    home = {"HOME": str(tmp_path)}
    assert load_credentials(home, tmp_path / "none").token == "t"
    (tmp_path / "token").write_text("of the pod")
    (tmp_path / "ca.crt").write_text("pem")
    pod = home | {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert load_credentials(pod, tmp_path).bearer_token() == "of the pod"
    assert load_credentials(pod, tmp_path, context="here").bearer_token() == "t"
    with pytest.raises(InvalidSettings, match="context 'there' does not exist"):
        load_credentials(home, tmp_path / "none", context="there")


@pytest.mark.parametrize("text", ["", "{", "current-context: nowhere", "[]"])
def test_malformed_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken"
    path.write_text(text)
    with pytest.raises(InvalidSettings, match="broken"):
        load_credentials({"KUBECONFIG": str(path)})


def test_environment_without_credentials_is_invalid(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="no Kubernetes credentials: set KUBECONFIG"):
        load_credentials({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)


def test_pod_without_a_certificate_authority_is_named_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one")
    with pytest.raises(InvalidSettings, match=r"ca\.crt cannot be read: No such file.* kube-root-ca\.crt"):
        load_credentials({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)
    (tmp_path / "ca.crt").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSettings, match=r"ca\.crt has no certificate; mount the ConfigMap kube-root-ca\.crt"):
        load_credentials({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)
