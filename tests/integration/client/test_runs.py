"""The commands for runs on a real API server, next to the real controller with simulated pods."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from fleetscore.cluster.connection import Cluster
from fleetscore.contract.fleets import SecretReference
from fleetscore.errors import AccessDenied, ClusterUnavailable, NotFound, UsageInvalid
from localcluster.nodes import stages
from tests.testkit.client_command import ClientCommand
from tests.testkit.in_memory_storage import storage_with_devices
from tests.testkit.running_controller import RunController
from tests.testkit.runs import PodBehaviour, Runs, hour


@pytest.fixture
def client(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Return the namespace of a test, with its cluster in KUBECONFIG."""
    monkeypatch.setenv("KUBECONFIG", str(runs.cluster.kubeconfig))
    return runs


@pytest.fixture
def command(client: Runs, capsys: pytest.CaptureFixture[str]) -> ClientCommand:
    return ClientCommand(client.namespace, capsys)


async def test_run_is_created_followed_and_retried(
    client: Runs, command: ClientCommand, running_controller: RunController
) -> None:
    async with running_controller(storage_with_devices(3)):
        created = await asyncio.to_thread(
            command, "run", "--window", "2018-08-01T03:00Z/1h", "--name", "mine", "--parallelism", "2"
        )
        place = f"-n {client.namespace}"
        assert created == f"run mine created; `fleetscore status mine --watch {place}` follows it\n"
        assert "3 of 3 devices done: 3 scored" in await asyncio.to_thread(command, "wait", "mine", "--timeout", "180")
    assert "run mine has no devices to retry: each is scored" in command("retry", "mine", code=1)
    assert "retryOf" in command("retry", "mine", "--dry-run", "client")
    assert client.get("mine")["spec"]["parallelism"] == 2
    rows = command.json("status")
    assert [(row["metadata"]["name"], row["status"]["phase"]) for row in rows] == [("mine", "Complete")]
    table = command("status").splitlines()
    assert table[0].split() == ["NAME", "WINDOW", "PHASE", "SCORED", "FAILED", "ANOMALIES"]
    assert max(map(len, table)) <= 80


async def test_run_is_suspended_resumed_and_cancelled(
    client: Runs, command: ClientCommand, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    # It must not end before it is cancelled.
    pods = {"fleetscore.dev/run": "held"}
    pod_behaviour(stages.finish_pods("held-hangs", labels=pods, after_seconds=stages.NEVER_SECONDS, weight=100_000))
    client.create("held", window=hour(4), suspend=True)
    async with running_controller(storage_with_devices(2)):
        await asyncio.to_thread(client.until, lambda status: status.get("phase") == "Suspended", "held")
        assert await asyncio.to_thread(command, "resume", "held") == "run held resumed\n"
        await asyncio.to_thread(client.until, lambda status: status.get("phase") != "Suspended", "held")
        assert await asyncio.to_thread(command, "cancel") == "run held cancelled\n"
        await asyncio.to_thread(client.until_ended, "held")
    assert "has ended already" in command("suspend", "held", code=1)


async def test_retry_of_a_run_cancelled_before_its_devices_were_listed_creates_nothing(
    client: Runs, command: ClientCommand, running_controller: RunController
) -> None:
    client.create("stopped", window=hour(8), suspend=True)
    async with running_controller(storage_with_devices(2)):
        await asyncio.to_thread(client.until, lambda status: status.get("phase") == "Suspended", "stopped")
        await asyncio.to_thread(command, "cancel", "stopped")
        await asyncio.to_thread(client.until_ended, "stopped")
    error = command("retry", "stopped", code=1)
    assert "run stopped has no devices to retry: its devices were never listed; `fleetscore run --window " in error
    assert [row["metadata"]["name"] for row in command.json("status")] == ["stopped"]


def test_dry_run_prints_a_manifest_that_the_api_server_accepts(client: Runs, command: ClientCommand) -> None:
    words = ("run", "--window", "2018-08-01T05:00Z", "-d", "press-*", "--tag", "1", "--devices-per-job", "Auto")
    printed = command(*words, "--name", "dry", "--dry-run", "client")
    manifest = yaml.safe_load(printed)
    assert manifest["spec"]["devices"] == {"include": ["press-*"]}
    assert command("status", "dry", code=1).startswith("error: cannot get run dry: it does not exist in namespace")
    client.cluster.kubectl("-n", client.namespace, "apply", "-f", "-", input=printed)
    assert client.get("dry")["spec"]["devicesPerJob"] == "Auto"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("run", "--window", "2018-08-01T05:00Z", "--devices-per-job", "0"), "devicesPerJob must be"),
        (("run", "--window", "2018-08-01T05:00Z", "--name", "A"), "name 'A' is invalid: use lower-case letters"),
        (("run", "--window", "5 o'clock"), 'time "5 o\'clock" is invalid'),
        (("wait", "missing"), "cannot get run missing: it does not exist"),
        (("retry",), "has no runs of fleet default"),
        (("wait", "--fleet", "other"), "has no runs of fleet other"),
    ],
)
def test_what_cannot_be_done_is_an_error_with_the_reason(
    command: ClientCommand, words: tuple[str, ...], text: str
) -> None:
    error = command(*words, code=1)
    assert text in error
    assert "Traceback" not in error


def test_wait_ends_at_its_timeout(client: Runs, command: ClientCommand) -> None:
    client.create("slow", window=hour(6))  # no operator handles it
    error = command("wait", "slow", "--timeout", "0.1", code=3)
    assert error.splitlines()[0] == "slow: not seen by the operator yet"
    assert "run slow has not ended after 0.1 s" in error
    assert "no operator has handled it yet" in command("status", "slow")


def test_run_that_has_not_ended_is_not_retried(client: Runs, command: ClientCommand) -> None:
    client.create("open", window=hour(7))
    assert "run open has not ended" in command("retry", "open", code=1)


@contextmanager
def cronjob(runs: Runs, **spec: Any) -> Iterator[None]:
    container = {"name": "c", "image": "scorer:test"}
    job = {"spec": {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}}}}
    body = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "release-hourly", "labels": {"fleetscore.dev/schedule": "hourly"}},
        "spec": {"schedule": "5 7 1 1 *", "timeZone": "Etc/UTC", "jobTemplate": job, **spec},
    }
    runs.cluster.api.request("POST", f"/apis/batch/v1/namespaces/{runs.namespace}/cronjobs", body)
    yield


def test_schedules_are_listed_with_their_suspension(client: Runs, command: ClientCommand) -> None:
    with cronjob(client, suspend=True):
        found = command.json("schedules")
    assert [(one["Name"], one["Cron"], one["Suspended"], one["Next"]) for one in found] == [
        ("hourly", "5 7 1 1 *", True, "")
    ]


def test_schedule_has_its_next_firing_and_the_windows_without_a_complete_run(
    client: Runs, command: ClientCommand
) -> None:
    labels = {"app.kubernetes.io/part-of": "fleetscore", "app.kubernetes.io/component": "scheduler"}
    file = yaml.safe_dump({"schedules": [{"name": "hourly", "fleet": "default", "window": "PT1H", "delay": "PT0S"}]})
    body = {"metadata": {"name": "schedules", "labels": labels}, "data": {"schedules.yaml": file}}
    client.cluster.api.request("POST", f"/api/v1/namespaces/{client.namespace}/configmaps", body)
    with cronjob(client):
        (one,) = command.json("schedules")
        table = command("schedules")
    assert (one["Suspended"], one["Next"][-7:], one["Open"]) == (False, ":05:00Z", [])  # the CronJob is new
    assert " ".join(table.split()) == f"NAME CRON LAST NEXT OPEN hourly 5 7 1 1 * {one['Next']} 0"


def test_fleets_of_the_release_are_found_by_its_labels(client: Runs) -> None:
    cluster = Cluster.connect(None, client.namespace)
    labels = {"app.kubernetes.io/part-of": "fleetscore", "app.kubernetes.io/component": "operator"}
    fleets = {"fleets": [{"name": "plant", "storage": {"accountUrl": "https://a.blob.core.windows.net"}}]}
    body = {"metadata": {"name": "release-fleets", "labels": labels}, "data": {"fleets.yaml": yaml.safe_dump(fleets)}}
    client.cluster.api.request("POST", f"/api/v1/namespaces/{client.namespace}/configmaps", body)
    assert cluster.fleets()["plant"].account_url == "https://a.blob.core.windows.net"


def test_missing_right_is_named(client: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    account = client.cluster.create_kubeconfig(client.namespace, "default")
    monkeypatch.setenv("KUBECONFIG", str(account))
    cluster = Cluster.connect(None, client.namespace)
    check = f"`kubectl auth can-i list scoringruns.fleetscore.dev -n {client.namespace}` checks it"
    text = rf"list runs in namespace {client.namespace}; ask for a Role with this right \({check}\)"
    with pytest.raises(AccessDenied, match=text):
        list(cluster.runs())


def test_unknown_context_and_unreachable_server_are_named(client: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageInvalid, match="kubectl config get-contexts"):
        Cluster.connect("missing")
    text = client.cluster.kubeconfig.read_text()
    document = yaml.safe_load(text)
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    broken = client.cluster.folder / "unreachable.kubeconfig"
    broken.write_text(yaml.safe_dump(document))
    monkeypatch.setenv("KUBECONFIG", str(broken))
    with pytest.raises(ClusterUnavailable, match=r"https://127\.0\.0\.1:1 cannot be reached"):
        Cluster.connect(None, client.namespace).run("x")


def test_secret_without_the_key_is_named(client: Runs) -> None:
    cluster = Cluster.connect(None, client.namespace)
    with pytest.raises(NotFound, match="get Secret account"):
        cluster.secret_value(SecretReference("account"))
    body = {"metadata": {"name": "account"}, "stringData": {"other": "x"}}
    client.cluster.api.request("POST", f"/api/v1/namespaces/{client.namespace}/secrets", body)
    with pytest.raises(NotFound, match="has no key connectionString; set it, the Secret has other"):
        cluster.secret_value(SecretReference("account"))
    assert cluster.secret_value(SecretReference("account", "other")) == "x"
