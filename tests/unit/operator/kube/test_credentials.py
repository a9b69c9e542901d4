"""The credentials of a pod and of a kubeconfig."""

import base64
import contextlib
import json
import ssl
from pathlib import Path

import pytest
import yaml

from scoring_operator.errors import InvalidSettings
from scoring_operator.kube import credentials
from scoring_operator.kube.credentials import Credentials
from tests.testkit.tls import Tls


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


def test_failing_exec_plugin_names_a_check(tmp_path: Path) -> None:
    program = {"command": "false", "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    found = credentials.load({"KUBECONFIG": str(a_kubeconfig(tmp_path, {"exec": program}, {}))})
    with pytest.raises(InvalidSettings, match="kubectl auth whoami"):
        found.bearer_token()
    with pytest.raises(InvalidSettings, match="kubectl auth whoami"):
        found.ssl_context()


def test_default_kubeconfig_is_used_outside_of_a_pod_and_for_a_named_context(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    a_kubeconfig(tmp_path / ".kube", {"token": "t"}, {}).rename(tmp_path / ".kube" / "config")
    home = {"HOME": str(tmp_path)}
    assert credentials.load(home, tmp_path / "none").token == "t"
    (tmp_path / "token").write_text("of the pod")
    (tmp_path / "ca.crt").write_text("pem")
    pod = home | {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert credentials.load(pod, tmp_path).bearer_token() == "of the pod"
    assert credentials.load(pod, tmp_path, context="here").bearer_token() == "t"
    with pytest.raises(InvalidSettings, match="context 'there' does not exist"):
        credentials.load(home, tmp_path / "none", context="there")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ca": "no certificate"}, "the certificate authority of https://host is invalid"),
        ({"ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "the certificate authority of"),
        ({"certificate": "CERT", "key": "KEY"}, "the client certificate for https://host cannot be used"),
    ],
)
def test_certificate_that_cannot_be_used_is_named(fields: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        Credentials("https://host", **fields).ssl_context()  # type: ignore[arg-type]  # all of them are texts


def test_server_is_verified_by_the_name_that_the_kubeconfig_gives(tmp_path: Path) -> None:
    tls = Tls.create(tmp_path, "kube.internal")
    listener = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    listener.load_cert_chain(tls.certificate, tls.key)

    def handshake(name: str, *, insecure: bool = False) -> None:
        account = Credentials("https://127.0.0.1", ca=tls.authority.read_text(), server_name=name, insecure=insecure)
        ends = [ssl.MemoryBIO() for _ in range(4)]
        client = account.ssl_context().wrap_bio(ends[0], ends[1], server_hostname="127.0.0.1")
        server = listener.wrap_bio(ends[2], ends[3], server_side=True)
        for _ in range(4):
            for side, source, target in ((client, ends[1], ends[2]), (server, ends[3], ends[0])):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                target.write(source.read())

    handshake("kube.internal")
    handshake("other", insecure=True)
    for name in ("", "other"):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(name)


@pytest.mark.parametrize("text", ["", "{", "current-context: nowhere", "[]"])
def test_malformed_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken"
    path.write_text(text)
    with pytest.raises(InvalidSettings, match="broken"):
        credentials.load({"KUBECONFIG": str(path)})


def test_environment_without_credentials_is_invalid(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="no Kubernetes credentials: set KUBECONFIG"):
        credentials.load({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"one\r\nX-Header: two", "ключ".encode()])
def test_file_without_a_bearer_token_is_named_unless_there_is_another_token(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(InvalidSettings, match=f"the file {path} has no bearer token"):
        Credentials("https://host:1", token_file=path).authorization()
    assert Credentials("https://host:1", token="t", token_file=path).authorization() == "Bearer t"


def test_pod_without_a_certificate_authority_is_named_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one")
    with pytest.raises(InvalidSettings, match=r"ca\.crt cannot be read: No such file.* kube-root-ca\.crt"):
        credentials.load({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)
    (tmp_path / "ca.crt").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSettings, match=r"ca\.crt has no certificate; mount the ConfigMap kube-root-ca\.crt"):
        credentials.load({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)
