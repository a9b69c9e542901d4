"""Credentials of exec plugins."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from scoring_operator.errors import InvalidSettings
from scoring_operator.kube.exec_plugin import API_VERSIONS, ExecPlugin

V1 = API_VERSIONS[0]


def a_plugin(code: str, **settings: Any) -> ExecPlugin:
    defaults: dict[str, Any] = {"user": "u", "api_version": V1, "interactive_mode": "Never"}
    return ExecPlugin(command=(sys.executable, "-c", code), **(defaults | settings))


def printing(status: object, **document: Any) -> str:
    return f"print({json.dumps({'kind': 'ExecCredential', 'apiVersion': V1, 'status': status} | document)!r})"


def test_program_runs_again_only_after_expiry_or_rejection(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"open({str(count)!r}, 'a').write('x');" + printing({"token": "t"})
    plugin = a_plugin(code)
    assert [plugin.credential().token for _ in range(3)] == ["t"] * 3
    assert count.read_text() == "x"
    plugin.credential(renew=True)
    assert count.read_text() == "xx"
    expired = a_plugin(code.replace('"t"', '"t", "expirationTimestamp": "2020-01-01T00:00:00Z"'))
    expired.credential()
    expired.credential()
    assert count.read_text() == "xxxx"


def test_program_gets_its_variables_and_the_cluster() -> None:
    code = (
        "import json, os; info = json.loads(os.environ['KUBERNETES_EXEC_INFO']);"
        "text = os.environ['MINE'] + json.dumps(info['spec'], sort_keys=True);"
        "print(json.dumps({'kind': 'ExecCredential', 'apiVersion': info['apiVersion'], 'status': {'token': text}}))"
    )
    plugin = a_plugin(code, variables={"MINE": "mine "}, cluster={"server": "https://host"})
    assert plugin.credential().token == 'mine {"cluster": {"server": "https://host"}, "interactive": false}'


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit(3)", "exit code 3; check that `kubectl auth whoami` works"),
        ("print('no JSON')", "did not print an ExecCredential"),
        ("print('[]')", "did not print an ExecCredential"),
        (printing({"token": "t"}, apiVersion=API_VERSIONS[1]), "not ExecCredential client.authentication.k8s.io/v1"),
        (printing({"token": "t"}, kind="Secret"), "it printed Secret"),
        (printing(None), "neither a token nor a client certificate"),
        (printing({"token": ""}), "neither a token nor a client certificate"),
        (printing({"token": 1}), "did not print an ExecCredential"),
        (printing({"token": "t", "clientKeyData": "k"}), "and not both"),
        (printing({"token": "t", "expirationTimestamp": "soon"}), "did not print an ExecCredential"),
        ("print(1_100_000 * 'x')", "more than 1,048,576 bytes"),
    ],
)
def test_program_without_a_credential_is_named_with_the_reason(code: str, message: str) -> None:
    with pytest.raises(InvalidSettings, match="of user 'u' failed") as raised:
        a_plugin(code).credential()
    assert message in str(raised.value)


def test_missing_program_is_named_with_its_install_hint() -> None:
    plugin = ExecPlugin(user="u", command=("kubelogin-not-there",), api_version=V1, install_hint="Install kubelogin")
    with pytest.raises(InvalidSettings, match=r"kubelogin-not-there.*No such file.*Install kubelogin"):
        plugin.credential()


def test_program_that_needs_a_terminal_is_not_started_without_one() -> None:
    with pytest.raises(InvalidSettings, match="needs a terminal"):
        a_plugin(printing({"token": "t"}), interactive_mode="Always").credential()


def test_program_has_five_minutes_by_default() -> None:
    assert a_plugin("").timeout_seconds == 300


def test_program_that_does_not_end_is_killed() -> None:
    with pytest.raises(InvalidSettings, match="exit code -9"):
        a_plugin("import time; time.sleep(60)", timeout_seconds=0.2).credential()


def test_null_is_a_missing_field_and_the_zero_time_of_go_never_expires(tmp_path: Path) -> None:
    count = tmp_path / "count"
    status = {"token": "t", "clientCertificateData": None, "expirationTimestamp": "0001-01-01T00:00:00Z"}
    plugin = a_plugin(f"open({str(count)!r}, 'a').write('x');" + printing(status))
    assert [plugin.credential().token for _ in range(2)] == ["t", "t"]
    assert count.read_text() == "x"


def test_token_with_a_line_break_is_rejected() -> None:
    with pytest.raises(InvalidSettings, match="its token has characters that a header must not have"):
        a_plugin(printing({"token": "a\nb"})).credential()
