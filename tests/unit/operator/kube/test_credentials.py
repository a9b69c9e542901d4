"""The credentials of a pod and of a kubeconfig."""

import base64
import json
from pathlib import Path

import pytest
import yaml

from scoring_operator.errors import InvalidSettings
from scoring_operator.kube import credentials
from scoring_operator.kube.credentials import Credentials


def test_pod_uses_its_service_account_and_reads_a_replaced_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one")
    (tmp_path / "ca.crt").write_text("pem")
    found = credentials.load({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
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
    assert credentials.load({"KUBECONFIG": str(path)}) == Credentials(
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
    assert credentials.load({"KUBECONFIG": str(path)}).bearer_token() == "fresh"


@pytest.mark.parametrize(
    "user", [{"exec": {"command": "false"}}, {"auth-provider": {}}, {"username": "a", "password": "b"}]
)
def test_kubeconfig_without_token_or_certificate_names_a_check(tmp_path: Path, user: dict[str, object]) -> None:
    with pytest.raises(InvalidSettings, match="kubectl auth whoami"):
        credentials.load({"KUBECONFIG": str(a_kubeconfig(tmp_path, user, {}))})


@pytest.mark.parametrize("text", ["", "{", "current-context: nowhere", "[]"])
def test_malformed_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken"
    path.write_text(text)
    with pytest.raises(InvalidSettings, match="broken"):
        credentials.load({"KUBECONFIG": str(path)})


def test_environment_without_credentials_is_invalid(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="no Kubernetes credentials: set KUBECONFIG"):
        credentials.load({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)
