"""What stands before the operator's work: settings, credentials, logs, the command line."""

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from scoring_operator.cli import main
from scoring_operator.errors import InvalidSettings
from scoring_operator.kube import credentials
from scoring_operator.kube.credentials import Credentials
from scoring_operator.observability import logs
from scoring_operator.runtime import settings

MINIMAL = {"FLEETSCORE_SCORER_IMAGE": "scorer:1"}


def test_settings_have_defaults_for_all_but_the_image() -> None:
    read = settings.from_environment(MINIMAL)
    assert (read.scorer_image, read.lease_name, read.max_active_jobs) == ("scorer:1", "fleetscore-operator", 1000)
    assert read.watch_namespaces == ()
    assert read.pod_name


def test_lists_are_split_at_commas() -> None:
    read = settings.from_environment(MINIMAL | {"FLEETSCORE_WATCH_NAMESPACES": "a, b,"})
    assert read.watch_namespaces == ("a", "b")


def test_all_settings_that_are_wrong_are_named_at_once() -> None:
    environment = {
        "FLEETSCORE_MAX_ACTIVE_JOBS": "many",
        "FLEETSCORE_LOG_LEVEL": "LOUD",
        "FLEETSCORE_METRICS_PORT": "99999",
    }
    with pytest.raises(InvalidSettings) as caught:
        settings.from_environment(environment)
    for name in (*environment, "FLEETSCORE_SCORER_IMAGE"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("fleets", "says"),
    [
        (None, "No such file"),
        ("{", "fleets.yaml"),
        ("fleets: [{name: a, namespaces: [x], color: red}]", "color"),
        ("fleets: [{name: a, namespaces: [x]}]", "no Kubernetes credentials"),
    ],
)
def test_what_the_administrator_got_wrong_is_one_line_and_exit_code_64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fleets: str | None, says: str
) -> None:
    file = tmp_path / "fleets.yaml"
    if fleets is not None:
        file.write_text(fleets)
    monkeypatch.setenv("FLEETSCORE_SCORER_IMAGE", "scorer:1")
    monkeypatch.setenv("FLEETSCORE_FLEETS_FILE", str(file))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["run"]) == 64
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("scoring-operator: ")
    assert says in error


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["create-run", "--help"], ["--version"]])
def test_help_and_version_need_no_settings(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run", "--fast"], ["create-run", "--schedule"]])
def test_wrong_usage_ends_with_64_as_the_help_says(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 64
    assert "usage: scoring-operator" in capsys.readouterr().err


def test_a_pod_speaks_as_its_service_account_and_reads_its_token_again(tmp_path: Path) -> None:
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


def test_a_kubeconfig_gives_certificates_from_data_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("KEY")
    user: dict[str, object] = {"client-certificate-data": encoded("CERT"), "client-key": "key.pem"}
    path = a_kubeconfig(tmp_path, user, {"certificate-authority-data": encoded("CA")})
    assert credentials.load({"KUBECONFIG": str(path)}) == Credentials(
        server="https://host:1", ca="CA", certificate="CERT", key="KEY"
    )


def test_a_kubeconfig_may_log_in_by_another_program(tmp_path: Path) -> None:
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
def test_a_kubeconfig_without_a_login_says_what_to_try(tmp_path: Path, user: dict[str, object]) -> None:
    with pytest.raises(InvalidSettings, match="kubectl auth whoami"):
        credentials.load({"KUBECONFIG": str(a_kubeconfig(tmp_path, user, {}))})


@pytest.mark.parametrize("text", ["", "{", "current-context: nowhere", "[]"])
def test_a_broken_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken"
    path.write_text(text)
    with pytest.raises(InvalidSettings, match="broken"):
        credentials.load({"KUBECONFIG": str(path)})


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)


@pytest.mark.usefixtures("logging_restored")
def test_a_log_line_is_json_with_its_run_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("DEBUG")
    logs.current_run.set("scoring/hourly")
    logger = logging.getLogger("scoring_operator.x")
    logger.info("line\nbreak GET https://a/b?sig=CANARY&x=1 AccountKey=CANARY;")
    try:
        int("SharedAccessSignature=CANARY")
    except ValueError:
        logger.exception("failed")
    logging.getLogger("azure.core").info("CANARY")
    logging.getLogger("urllib3.connectionpool").debug("CANARY")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["run"] for line in lines] == ["scoring/hourly"] * 2
    assert lines[0]["level"] == "INFO"
    assert "ValueError" in lines[1]["error"]
    assert "CANARY" not in json.dumps(lines)
