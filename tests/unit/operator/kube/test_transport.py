"""Error responses as typed exceptions, tokens, and the observer, against a fault server."""

import sys
from pathlib import Path

import pytest
from aiohttp import web

from scoring_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    QuotaExceeded,
    Unavailable,
)
from scoring_operator.kube import transport
from scoring_operator.kube.client import ClientTimeouts, KubeClient
from scoring_operator.kube.credentials import Credentials
from scoring_operator.kube.exec_plugin import API_VERSIONS, ExecPlugin
from tests.testkit.fault_server import FaultServer, refuse

JOBS = "/apis/batch/v1/namespaces/ns/jobs"


JOB = {"metadata": {"name": "a"}}


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "bad", Invalid),
        (403, "no", Forbidden),
        (403, 'jobs.batch "a" is forbidden: exceeded quota: few', QuotaExceeded),
        (403, 'jobs.batch "a" is forbidden: status unknown for quota: few', QuotaExceeded),
        (404, "no such", NotFound),
        (409, "there", AlreadyExists),
        (410, "too old", Gone),
        (413, "too large", Invalid),
        (418, "teapot", ApiError),
        (422, "bad", Invalid),
        (500, "oh", Unavailable),
        (503, "later", Unavailable),
        (504, "timeout", Unavailable),
    ],
)
async def test_create_with_error_response_raises_the_type_of_its_status(
    api: FaultServer, connection: KubeClient, status: int, message: str, kind: type[ApiError]
) -> None:
    api.faults.append(refuse(status, "Reason", message))
    with pytest.raises(ApiError) as caught:
        await connection.create(JOBS, JOB)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason, caught.value.message) == (status, "Reason", message)
    assert len(api.requests) == 1


async def test_create_during_a_change_of_a_quota_raises_conflict(api: FaultServer, connection: KubeClient) -> None:
    text = 'Operation cannot be fulfilled on resourcequotas "few": the object has been modified'
    api.faults.append(refuse(409, "Conflict", text))
    with pytest.raises(Conflict, match="resourcequotas"):
        await connection.create(JOBS, JOB)


async def test_replace_with_status_409_raises_conflict(api: FaultServer, connection: KubeClient) -> None:
    api.faults.append(refuse(409, "Conflict"))
    with pytest.raises(Conflict):
        await connection.replace(f"{JOBS}/a", JOB)


async def test_rejected_token_is_read_again_from_its_file(api: FaultServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    credentials = Credentials(server=api.credentials.server, token_file=token)
    async with KubeClient.connect(credentials) as cluster:
        await cluster.create(JOBS, JOB)
        token.write_text("new\n")
        api.faults.append(refuse(401))
        await cluster.create(JOBS, {"metadata": {"name": "b"}})
    assert api.tokens == ["Bearer old", "Bearer old", "Bearer new"]


async def test_rejected_token_of_an_exec_plugin_is_renewed(api: FaultServer, tmp_path: Path) -> None:
    code = "import os, sys; n = os.path.getsize(sys.argv[1]); open(sys.argv[1], 'a').write('x');"
    code += 'print(\'{"kind":"ExecCredential","apiVersion":"%s","status":{"token":"t%d"}}\' % (sys.argv[2], n))'
    (tmp_path / "count").touch()
    plugin = ExecPlugin("u", (sys.executable, "-c", code, str(tmp_path / "count"), API_VERSIONS[0]), API_VERSIONS[0])
    async with KubeClient.connect(Credentials(server=api.credentials.server, exec_plugin=plugin)) as cluster:
        await cluster.create(JOBS, JOB)
        api.faults.append(refuse(401))
        await cluster.create(JOBS, {"metadata": {"name": "b"}})
    assert api.tokens == ["Bearer t0", "Bearer t0", "Bearer t1"]


async def test_failing_exec_plugin_is_a_missing_right(api: FaultServer, tmp_path: Path) -> None:
    program = tmp_path / "login"
    program.write_text(f"""#!/bin/sh
echo '{{"kind": "ExecCredential", "apiVersion": "{API_VERSIONS[0]}", "status": {{"token": "t"}}}}'
""")
    program.chmod(0o755)
    plugin = ExecPlugin("u", (str(program),), API_VERSIONS[0])
    async with KubeClient.connect(Credentials(server=api.credentials.server, exec_plugin=plugin)) as cluster:
        program.write_text("#!/bin/sh\nexit 1\n")
        api.faults.append(refuse(401))
        with pytest.raises(Forbidden, match=r"exec plugin .* exit code 1"):
            await cluster.create(JOBS, JOB)


async def test_requests_pass_the_proxy_with_the_headers_of_an_impersonation(api: FaultServer) -> None:
    headers: list[tuple[str, str]] = []

    async def record(request: web.Request) -> None:
        headers.extend((name, value) for name, value in request.headers.items() if name.startswith("Impersonate"))

    api.faults.append(record)
    account = Credentials(
        "http://kube.internal.example:6443",
        proxy=api.credentials.server,
        basic=("u", "p"),
        headers=(("Impersonate-User", "me"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")),
    )
    async with KubeClient.connect(account) as cluster:
        await cluster.create(JOBS, JOB)
    assert api.requests == [("POST", JOBS, {})]
    assert api.tokens == ["Basic dTpw"]
    assert headers == [("Impersonate-User", "me"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")]


async def test_token_rejected_twice_raises_forbidden(api: FaultServer, connection: KubeClient) -> None:
    api.faults.extend([refuse(401), refuse(401)])
    with pytest.raises(Forbidden):
        await connection.create(JOBS, JOB)


async def test_missing_server_raises_unavailable() -> None:
    limits = ClientTimeouts(retry_budget=0.1)
    async with KubeClient.connect(Credentials(server="http://127.0.0.1:9"), timeouts=limits) as cluster:
        with pytest.raises(Unavailable):
            await cluster.get("/x")


async def test_observer_gets_verb_and_status_of_each_response(api: FaultServer) -> None:
    seen: list[tuple[str, int]] = []
    async with KubeClient.connect(
        api.credentials, observer=lambda verb, status: seen.append((verb, status))
    ) as cluster:
        api.faults.append(refuse(429, Retry_After="0"))
        await cluster.create(JOBS, JOB)
        await cluster.list(JOBS, type=dict)
    assert seen == [("POST", 429), ("POST", 200), ("LIST", 200)]


def test_connect_timeout_and_token_age_are_ten_seconds() -> None:
    assert (transport.CONNECT_TIMEOUT_SECONDS, transport.MAX_TOKEN_AGE_SECONDS) == (10, 10)
