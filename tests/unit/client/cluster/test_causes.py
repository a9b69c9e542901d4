"""Causes that keep a user from the cluster: each error names the next step, and none is a traceback."""

from pathlib import Path
from socket import gaierror
from typing import Any

import pytest
import yaml
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    MaxRetryError,
    NameResolutionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from fleetscore.cli import main
from fleetscore.cluster.causes import right_check, unreachable_text

DEAD = "https://127.0.0.1:1"
EXEC = "client.authentication.k8s.io/v1"


def kubeconfig(user: object = None, **cluster: object) -> str:
    document: dict[str, Any] = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user or {"token": "t"}}],
    }
    return yaml.safe_dump(document)


def login(command: str) -> dict[str, Any]:
    return {"exec": {"command": command, "apiVersion": EXEC}}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return tmp_path / "kubeconfig"


def error_of_status(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["status"]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n"), captured.err[:7]) == ("", 1, "error: ")
    return captured.err


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "file is empty"),
        ("a: [", "line 1, column 5; correct it"),
        ("- a", "has the wrong type"),
        ("text", "has the wrong type"),
        ("a\0b", "unacceptable character"),
        (kubeconfig(server=5), "has the wrong type"),
        (kubeconfig(), "its cluster has no server"),
        (kubeconfig(**{"server": DEAD, "proxy-url": "none"}), "Proxy URL had no scheme"),
        (kubeconfig(**{"server": DEAD, "certificate-authority": "/none"}), "File does not exist: /none"),
        (kubeconfig({"tokenFile": "/none"}, server=DEAD), "No such file or directory: '/none'; correct it"),
        (kubeconfig({"token": "a\nb"}, server=DEAD), "the token of the kubeconfig"),
        (kubeconfig(login("missing-login"), server=DEAD), "'missing-login'; install it or log in with it"),
        (kubeconfig(login("false"), server=DEAD), "login command of the kubeconfig failed: exec: process returned 1"),
        (kubeconfig(server=DEAD), "cannot be reached (NewConnectionError); check that the cluster runs"),
    ],
    ids=[
        *("empty", "yaml", "list", "text", "nul", "server-number", "no-server", "proxy", "ca", "token-file"),
        *("token-lines", "login-missing", "login-fails", "dead-server"),
    ],
)
def test_kubeconfig_that_cannot_be_used_is_an_error(
    file: Path, capsys: pytest.CaptureFixture[str], content: str, text: str
) -> None:
    file.write_text(content)
    assert text in error_of_status(capsys)


def test_kubeconfig_that_is_not_text_is_an_error(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(b"\xff\xfe")
    assert "invalid start byte; correct it" in error_of_status(capsys)
    file.unlink()
    file.mkdir()
    assert "Is a directory" in error_of_status(capsys)


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (NameResolutionError("host", None, gaierror()), "its host name is unknown); check the context's server"),  # type: ignore[arg-type]
        (SSLError("unknown authority"), "its TLS certificate is not trusted); get the kubeconfig again"),
        (SSLError("certificate verify failed: certificate has expired"), "its TLS certificate has expired); renew it"),
        (SSLError("Hostname mismatch, certificate is not valid for 'a'"), "its TLS certificate is for another host"),
        (SSLError("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]"), "it rejects the client certificate"),
        (SSLError("[SSL: WRONG_VERSION_NUMBER]"), "it does not answer with TLS); correct the port"),
        (ConnectTimeoutError("x"), "it does not answer); check that the cluster runs"),
        (ReadTimeoutError(None, "/", "x"), "it accepts connections, but does not answer in time); try again"),  # type: ignore[arg-type]
        (ProxyError("x", OSError()), "the proxy does not answer); check proxy-url"),
        (LocationParseError("x"), "LocationParseError); check that the cluster runs"),
    ],
    ids=[
        "unknown-host", "certificate", "expired", "other-host", "client-certificate", "no-tls", "connect-timeout",
        "read-timeout", "proxy", "other",
    ],
)  # fmt: skip
def test_unreachable_server_has_its_cause_and_next_step(cause: Exception, text: str) -> None:
    assert unreachable_text(MaxRetryError(None, "/", cause)).startswith(text)  # type: ignore[arg-type]
    assert unreachable_text(cause).startswith(text)


RIGHT = 'x is forbidden: User "u" cannot list resource "scoringruns" in API group "fleetscore.dev"'


@pytest.mark.parametrize(
    ("message", "command"),
    [
        (f'{RIGHT} in the namespace "plant"', "list scoringruns.fleetscore.dev -n plant"),
        (f"{RIGHT} at the cluster scope", "list scoringruns.fleetscore.dev --all-namespaces"),
        (
            'User "u" cannot get resource "pods/log" in API group "" in the namespace "a"',
            "get pods --subresource=log -n a",
        ),
        ("another message", ""),
        ('cannot get resource "$(id)" in API group "" in the namespace "a"', ""),
    ],
)
def test_rejection_names_the_command_that_checks_the_right(message: str, command: str) -> None:
    assert right_check(message) == (f" (`kubectl auth can-i {command}` checks it)" if command else "")
