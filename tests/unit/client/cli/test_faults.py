"""Every command under each fault of the API server, of rights and of storage: one error line with the next step."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import EAI_NONAME, gaierror, getaddrinfo
from typing import Any

import pytest
import typer.main
from azure.core.pipeline.transport import HttpTransport

from fleetscore.cli import main
from fleetscore.cli.commands import app
from fleetscore.store.azure import CONNECTION_STRING_VARIABLE, SAS_TOKEN_VARIABLE
from tests.testkit.blob_server import CANARY, SAS, BlobServer, serving
from tests.testkit.fake_release import CRON_JOBS, NAMESPACE, OPERATOR, RUNS, SECRET, FakeRelease, config_map
from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.kubeconfigs import write_kubeconfig
from tests.unit.client.cli.command_lines import COMMANDS, READING

ErrorOf = Callable[..., str]
Respond = Callable[[RequestHandler], None]
OF_STORAGE = sorted(set(READING) - {"ui"})
"""The commands that read storage at once; the console shows its faults on the pages."""

BLOCKED = "check the server of the context, and log in to the proxy or VPN"
WITHOUT_NETWORK = "https://fleetscore-test.blob.core.windows.net"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (CONNECTION_STRING_VARIABLE, SAS_TOKEN_VARIABLE, "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    monkeypatch.setattr(HttpTransport, "sleep", lambda *_: None)
    monkeypatch.setattr(logging.root, "handlers", [])  # without those of pytest, libraries write to standard error
    return tmp_path


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str]) -> ErrorOf:
    def run(*words: str) -> str:
        code = main(words)
        captured = capsys.readouterr()
        lines = captured.err.splitlines()
        assert (code, captured.out, len(lines)) == (1, "", 1), (words, captured)
        assert lines[0].startswith("error: ")
        assert "; " in lines[0], words
        assert CANARY not in lines[0]
        return lines[0]

    return run


def no_such_host(host: str, *words: Any, **options: Any) -> Any:
    if host == "127.0.0.1":
        return getaddrinfo(host, *words, **options)
    raise gaierror(EAI_NONAME, "Name or service not known")


def status(code: int, message: str, **headers: str) -> Respond:
    return lambda handler: handler.respond_json(code, {"kind": "Status", "message": message}, headers)


def cut(handler: RequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.close_connection = True


CLUSTER_FAULTS: dict[str, tuple[Respond, str]] = {
    "login-page": (lambda handler: handler.respond(200, b"<html>Sign in</html>"), BLOCKED),
    "empty": (lambda handler: handler.respond(200), BLOCKED),
    "redirect": (lambda handler: handler.respond(302, b"", {"Location": "https://login.invalid/"}), BLOCKED),
    "web-server": (lambda handler: handler.respond(404, b"<html>not found</html>"), BLOCKED),
    "expired-login": (status(401, "Unauthorized"), "log in again"),
    "busy": (
        status(429, "too many requests", **{"Retry-After": "3600"}),
        "429 Too Many Requests: too many requests; try",
    ),
    "unavailable": (status(503, "etcd leader changed"), "503 Service Unavailable: etcd leader changed; try again"),
    "cut": (cut, "check that the cluster runs, the context and the network"),
    "namespace": (
        status(404, f'namespaces "{NAMESPACE}" not found'),
        f"namespace {NAMESPACE} does not exist; create it",
    ),
}


class _Api(RequestHandler):
    respond_to: list[Respond]

    def handle_request(self) -> None:
        self.read_body()
        self.respond_to[0](self)


@pytest.mark.parametrize("fault", sorted(CLUSTER_FAULTS))
def test_every_command_names_the_fault_of_the_api_server(
    fault: str, home: Path, monkeypatch: pytest.MonkeyPatch, error_of: ErrorOf
) -> None:
    respond, text = CLUSTER_FAULTS[fault]
    with serve(_Api, respond_to=[respond]) as url:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(home, url, namespace=NAMESPACE)))
        for command, words in COMMANDS.items():
            assert text in error_of(command, *words), command


RUN = {
    "metadata": {"name": "r", "uid": "u", "creationTimestamp": "2018-08-29T00:05:00Z"},
    "spec": {"window": {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}},
}
JOB = {
    "metadata": {
        "namespace": NAMESPACE,
        "name": "j",
        "creationTimestamp": "2018-08-29T00:05:00Z",
        "labels": {
            "fleetscore.dev/run-uid": "u",
            "app.kubernetes.io/component": "scorer",
            "fleetscore.dev/device": "press-1",
        },
    },
    "spec": {"template": {"spec": {"containers": [{"name": "scorer", "args": ["score", "--", "press-1"]}]}}},
}
POD = {
    "metadata": {
        "namespace": NAMESPACE,
        "name": "p",
        "creationTimestamp": "2018-08-29T00:05:00Z",
        "labels": {"batch.kubernetes.io/job-name": "j"},
    }
}
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"


@pytest.mark.parametrize(
    ("words", "path", "right"),
    [
        (("status",), RUNS, f"list runs in namespace {NAMESPACE}"),
        (("status", "r"), f"{RUNS}/r", "get run r"),
        (("wait", "r"), f"{RUNS}/r", "get run r"),
        (("logs", "press-1"), JOBS, f"list jobs in namespace {NAMESPACE}"),
        (("logs", "press-1"), PODS, f"list pods in namespace {NAMESPACE}"),
        (("logs", "press-1"), f"{PODS}/p/log", "get the log of pod p"),
        (("schedules",), CRON_JOBS.replace("cronjobs", f"namespaces/{NAMESPACE}/cronjobs"), "list cronjobs"),
        (("incidents",), f"/api/v1/namespaces/{NAMESPACE}/configmaps", "list configmaps"),
        (("incidents", "--use-fleet-secret"), SECRET, f"get Secret account in namespace {NAMESPACE}"),
    ],
    ids=["runs", "run", "wait", "jobs", "pods", "log", "cronjobs", "configmaps", "secret"],
)
def test_missing_right_is_named(
    words: tuple[str, ...], path: str, right: str, fake_release: FakeRelease, error_of: ErrorOf
) -> None:
    fake_release.lists |= {RUNS: [RUN], "/apis/batch/v1/jobs": [JOB], PODS: [POD]}
    fake_release.objects[f"{RUNS}/r"] = RUN
    fake_release.forbidden.add(path)
    assert f"does not allow this user to {right}" in error_of(*words)
    assert "ask for a Role with this right" in error_of(*words)


@pytest.fixture
def account(fake_release: FakeRelease, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobServer]:
    fake_release.set_storage(WITHOUT_NETWORK)
    with serving() as server:
        monkeypatch.setenv(CONNECTION_STRING_VARIABLE, f"BlobEndpoint={server.url};SharedAccessSignature={SAS}")
        yield server


@pytest.mark.parametrize(
    ("code", "name", "text"),
    [
        (403, "AuthenticationFailed", f"it is wrong, expired or too weak.*; set {CONNECTION_STRING_VARIABLE}"),
        (403, "AuthorizationPermissionMismatch", "a SAS token needs the permissions to read, list and write"),
        (403, "AuthorizationFailure", "rejects this network; add it to the account's firewall"),
        (403, "AuthorizationSourceIPMismatch", "a SAS token for other addresses; make a SAS token"),
        (403, "KeyBasedAuthenticationNotPermitted", f"permits no keys; unset {CONNECTION_STRING_VARIABLE}"),
        (409, "PublicAccessNotPermitted", "without a credential; copy the connection string again"),
        (403, "AccountIsDisabled", "a disabled account; enable the storage account"),
        (404, "ContainerNotFound", "does not exist; check the fleet's storage settings"),
        (404, "ResourceNotFound", "does not exist, or is not public; check the fleet's storage settings"),
        (503, "ServerBusy", "it answered 503 ServerBusy; try again"),
        (407, "", "the proxy requires a login; put it into HTTPS_PROXY"),
        (302, "", "another server answers in the place of Azure Storage .*; check the account URL"),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else value if value.isalpha() else "",
)  # fmt: skip
def test_every_reading_command_names_the_fault_of_storage(
    code: int, name: str, text: str, account: BlobServer, error_of: ErrorOf
) -> None:
    account.fail("status", times=500, status=code, code=name)
    for command in OF_STORAGE:
        with pytest.raises(AssertionError, match=text):
            raise AssertionError(error_of(command, *COMMANDS[command]))


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({}, "cannot be read (no identity); run `az login` with an identity that has the role"),
        ({SAS_TOKEN_VARIABLE: "sv=1&se=2020-01-01&sig=x"}, "the SAS token expired at 2020-01-01; make a token"),
        ({SAS_TOKEN_VARIABLE: f"{WITHOUT_NETWORK}?{SAS}"}, "it is a URL, and the fleet's kind is sas; store the SAS"),
        ({CONNECTION_STRING_VARIABLE: '"AccountName=a"'}, "it has quotes around it; copy it again"),
        (
            {CONNECTION_STRING_VARIABLE: "BlobEndpoint=http://a.invalid;AccountName=a;AccountKey=a2V5"},
            "host name is unknown",
        ),
        (
            {CONNECTION_STRING_VARIABLE: f"BlobEndpoint=http://a:99999/x;SharedAccessSignature={SAS}"},
            "its URL is invalid",
        ),
    ],
    ids=["no-login", "expired", "url-as-sas", "quotes", "unknown-host", "bad-port"],
)
def test_every_reading_command_names_the_fault_of_the_credential(
    variables: dict[str, str], text: str, fake_release: FakeRelease, monkeypatch: pytest.MonkeyPatch, error_of: ErrorOf
) -> None:
    fake_release.set_storage(WITHOUT_NETWORK)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "dev")
    monkeypatch.setenv("PATH", "")  # without the program `az`
    monkeypatch.setattr("urllib3.util.connection.socket.getaddrinfo", no_such_host)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for command in OF_STORAGE:
        assert text in error_of(command, *COMMANDS[command]), command


def test_login_page_in_place_of_storage_is_named(
    fake_release: FakeRelease, monkeypatch: pytest.MonkeyPatch, error_of: ErrorOf
) -> None:
    fake_release.set_storage(WITHOUT_NETWORK)
    with serve(_Api, respond_to=[lambda handler: handler.respond(200, b"<html>", {"ETag": "1"})]) as url:
        monkeypatch.setenv(CONNECTION_STRING_VARIABLE, f"BlobEndpoint={url}/account;SharedAccessSignature={SAS}")
        for command in OF_STORAGE:
            assert "another server answers in the place of Azure Storage" in error_of(command, *COMMANDS[command])


def test_forged_fleets_file_of_any_user_is_an_error(fake_release: FakeRelease, error_of: ErrorOf) -> None:
    forged = config_map("forged", OPERATOR)
    fake_release.lists["/api/v1/configmaps"][0] = {**forged, "data": {"fleets.yaml": "[" * 2000}}
    assert "the fleets file is invalid" in error_of("incidents")
    paths = {"models": {"path": "{other}/{device}"}}
    forged["data"] = {"fleets.yaml": json.dumps({"fleets": [{"name": "default", **paths}]})}
    fake_release.lists["/api/v1/configmaps"][0] = forged
    assert "an unknown placeholder" in error_of("device", "press-1")


@pytest.mark.usefixtures("fake_release")
def test_argument_with_bytes_that_are_not_characters_is_named(error_of: ErrorOf) -> None:
    for words in (("status", "\udcff"), ("status", "-n", "\udcff")):
        assert "'\\udcff' is invalid: it has bytes that are not characters; correct it" in error_of(*words)


DIGITS = "9" * 5000
LONG_VALUES = {
    **dict.fromkeys(("N", "N|Auto", "TIME"), DIGITS),
    "SECONDS": f"-{DIGITS}",
    "LENGTH": f"{DIGITS}h",
    "WINDOW": f"2018-08-28T23:00Z/{DIGITS}h",
}
"""A value with a number that int() does not convert, by the metavar of an option."""

NUMERIC_OPTIONS = [
    (name, option.opts[0], LONG_VALUES[option.metavar])
    for name, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]  # click's group
    for option in command.params
    if option.metavar in LONG_VALUES
]


@pytest.mark.usefixtures("fake_release")
@pytest.mark.parametrize(("command", "option", "value"), NUMERIC_OPTIONS, ids=lambda one: one[:16])
def test_number_of_5000_digits_is_an_error_that_names_it(
    command: str, option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ("--store", str(tmp_path)) if command in READING else ()
    assert main([command, *COMMANDS[command], *store, option, value]) in (1, 2)
    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert re.search(r"999.* is invalid: |Invalid value for '--[a-z-]+': |time '9+' is invalid", error), error[:300]


def test_every_numeric_option_is_tested() -> None:
    options = {option for _, option, _ in NUMERIC_OPTIONS}
    assert options >= {"--devices-per-job", "--parallelism", "--timeout", "--since", "--window", "--port", "--tail"}
