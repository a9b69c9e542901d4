"""F2, F4, F11 to F13, F18 to F20: what happens to the operator, the control plane and its clocks changes no result."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from localcluster.nodes import stages
from scoring_operator.api.names import JOB_SELECTOR
from scoring_operator.kube import credentials
from scoring_operator.kube.client import KubeClient as Client
from tests.faults.api_faults import Overtaken, Stale, regressions
from tests.faults.conftest import NewPlace
from tests.faults.harness import Place, Truth
from tests.testkit.cluster import ALL_SCORED
from tests.testkit.fault_proxy import proxied
from tests.testkit.measurements import Long, RecordMeasurement
from tests.testkit.waiting import until

DEVICES = 12


@pytest.fixture(scope="module")
def place(new_place: NewPlace) -> Place:
    return new_place(DEVICES)


@pytest.fixture(scope="module")
def baseline_run(place: Place) -> Truth:
    """Return the result of a run without a fault."""
    with place.operator():
        place.run("calm", parallelism=4)
        place.until_ended("calm")
    return place.truth("calm")


@contextmanager
def a_run(place: Place, name: str, *options: str, **spec: Any) -> Iterator[Callable[[], float]]:
    """A run under an operator of its own; gives a function that waits for its end and says how long it took."""
    with place.operator("operator", *options):
        place.run(name, **{"parallelism": 4} | spec)
        began = time.monotonic()

        def until_ended() -> float:
            place.until_ended(name, seconds=300)
            return time.monotonic() - began

        yield until_ended
    place.remove(name)


def under_way(place: Place, name: str) -> None:
    until(lambda: sum(place.created(name).values()) >= 4, "the run is under way")


@pytest.mark.fault("F2")
@pytest.mark.long_only
@pytest.mark.timeout(1800)
def test_operator_killed_every_five_seconds_scores_1000_devices_once(
    new_place: NewPlace, record_measurement: RecordMeasurement
) -> None:
    place = new_place(1000)
    seconds: dict[str, float] = {}
    for name in ("calm", "killed"):
        place.run(name, parallelism=100)
        began, kills = time.monotonic(), 0
        running = place.start("operator")
        while not place.ended(name):
            assert time.monotonic() < began + 800
            if name == "killed" and time.monotonic() > began + 5 * (kills + 1):
                running.process.kill()
                running.process.wait()
                running, kills = place.start("operator"), kills + 1
            time.sleep(0.1)
        seconds[name] = time.monotonic() - began
        running.process.kill()
        running.process.wait()
    created = place.created("killed")
    record_measurement(
        f"{kills} kills, {len(created)} Jobs, {sum(created.values()) - len(created)} of them twice; "
        f"{seconds['killed'] / seconds['calm']:.2f} of the calm run's {seconds['calm']:.0f} s"
    )
    assert place.truth("killed") == place.truth("calm")
    assert set(created.values()) == {1}
    assert seconds["killed"] <= 1.5 * seconds["calm"]


@pytest.mark.fault("F4")
def test_operator_started_from_stale_lists_repeats_and_deletes_nothing(
    new_place: NewPlace, baseline_run: Truth, record_measurement: RecordMeasurement, short_timeouts: list[str]
) -> None:
    place = new_place(DEVICES)
    jobs = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
    runs = f"/apis/fleetscore.dev/v1alpha1/namespaces/{place.namespace}/scoringruns"
    ask = place.cluster.api.request
    with proxied(place.cluster) as proxy:
        place.behind(proxy.url)
        with place.operator("operator", *short_timeouts):
            place.run("stale", parallelism=4)
            under_way(place, "stale")
            selector = JOB_SELECTOR.replace(",", "%2C").replace(" ", "%20")
            kept = {jobs: ask("GET", f"{jobs}?labelSelector={selector}"), runs: ask("GET", runs)}
            place.until_scored("stale", 4)
        fault = Stale(kept, delay=3.0)
        with proxy.having(fault), place.operator("operator", *short_timeouts):
            began = time.monotonic()
            until(lambda: time.monotonic() > began + 6, "lists were stale for a while")
            proxy.faults.remove(fault)
            place.until_ended("stale")
            proxy.faults.append(fault)
        ended = place.status("stale")["completionTime"]  # after which finished Jobs go in their time
        deletions = [one for one in place.requests() if (one.verb, one.resource) == ("delete", "jobs")]
        deleted = [one for one in deletions if one.time < ended]
        assert regressions(proxy.statuses["stale"]) == []
    record_measurement(f"{fault.measurement()}; {len(deleted)} Jobs deleted, none made twice")
    assert fault.count >= 2
    assert deleted == []
    assert place.truth("stale") == baseline_run


@pytest.mark.fault("F11")
@pytest.mark.timeout(900)
def test_revoked_right_stalls_the_run_until_it_is_granted_again(
    place: Place, baseline_run: Truth, record_measurement: RecordMeasurement, long: Long, short_timeouts: list[str]
) -> None:
    def rights(verbs: str) -> None:
        patch = f'[{{"op": "replace", "path": "/rules/2/verbs", "value": {verbs}}}]'
        place.cluster.kubectl("-n", place.namespace, "patch", "role", "fleetscore-operator", "--type=json", "-p", patch)

    with a_run(place, "forbidden", *short_timeouts) as until_ended:
        under_way(place, "forbidden")
        rights('["get", "list", "watch", "patch", "delete"]')
        began = time.monotonic()
        stalled = until(lambda: told(place, "forbidden", "Stalled"), "the run is stalled", seconds=60)
        told_after = time.monotonic() - began
        until(lambda: time.monotonic() > began + (300 if long else 3), "a while has passed", seconds=400)
        rights('["get", "list", "watch", "create", "patch", "delete"]')
        began = time.monotonic()
        until(lambda: not told(place, "forbidden", "Stalled"), "it has recovered")
        recovered_after = time.monotonic() - began
        until_ended()
        assert place.truth("forbidden") == baseline_run
    record_measurement(f"told after {told_after:.1f} s ({stalled['reason']}), recovered after {recovered_after:.1f} s")
    assert stalled["reason"] == "Forbidden"
    assert max(told_after, recovered_after) < 60


def told(place: Place, name: str, kind: str) -> dict[str, str] | None:
    """A condition of a run, if it is True."""
    found = place.condition(name, kind)
    return found if found.get("status") == "True" else None


@pytest.mark.fault("F12")
def test_run_with_constant_foreign_writes_loses_no_counter(
    new_place: NewPlace, baseline_run: Truth, record_measurement: RecordMeasurement, short_timeouts: list[str]
) -> None:
    place = new_place(DEVICES)
    path = f"/apis/fleetscore.dev/v1alpha1/namespaces/{place.namespace}/scoringruns/contested"
    stop, writes = threading.Event(), [0]

    async def write() -> None:
        account = credentials.load({"KUBECONFIG": str(place.cluster.kubeconfig)})
        async with Client.connect(account) as client:
            while not stop.is_set():
                writes[0] += 1
                await client.patch(path, {"metadata": {"annotations": {"touched": str(writes[0])}}})
                await asyncio.sleep(0.02)

    overtaken = Overtaken(3, lambda: writes[0])
    with proxied(place.cluster) as proxy:
        place.behind(proxy.url)
        with proxy.having(overtaken), a_run(place, "contested", *short_timeouts) as until_ended:
            writer = threading.Thread(target=asyncio.run, args=[write()])
            writer.start()
            try:
                until_ended()
            finally:
                stop.set()
                writer.join()
            assert place.truth("contested") == baseline_run
    conflicts = sum(one.code == 409 and one.subresource == "status" for one in place.requests())
    record_measurement(f"{writes[0]} writes of another, {conflicts} status writes repeated")
    assert overtaken.count == 3
    assert conflicts >= 3


@pytest.mark.fault("F13")
@pytest.mark.parametrize("role", [pytest.param("kube-apiserver", marks=pytest.mark.long_only), "etcd"])
def test_run_continues_after_a_restart_of_a_control_plane_process(
    place: Place, baseline_run: Truth, record_measurement: RecordMeasurement, short_timeouts: list[str], role: str
) -> None:
    name = f"restart-{role}"
    with a_run(place, name, *short_timeouts) as until_ended:
        under_way(place, name)
        place.cluster.restart(role)
        began = time.monotonic()
        place.cluster.start_missing()
        until_ended()
        record_measurement(f"{role} killed; the run has ended {time.monotonic() - began:.1f} s after it was back")
        # The last lines of a killed server's audit log may be missing.
        assert replace(place.truth(name), ranges=baseline_run.ranges) == baseline_run
        assert set(place.created(name).values()) == {1}
        assert len(place.jobs(name)) == DEVICES


@pytest.mark.fault("F18")
@pytest.mark.timeout(600)
def test_unschedulable_pods_wait_without_using_the_active_deadline(
    place: Place, baseline_run: Truth, record_measurement: RecordMeasurement, long: Long, short_timeouts: list[str]
) -> None:
    waiting = 120 if long else 4
    place.cluster.kubectl("cordon", "-l", "type=kwok")
    try:
        with a_run(place, "no-node", *short_timeouts, activeDeadlineSeconds=60) as until_ended:
            began = time.monotonic()
            until(lambda: time.monotonic() > began + waiting, "a while has passed", seconds=waiting + 10)
            assert place.status("no-node")["devices"]["failed"] == 0
            stalled = until(lambda: told(place, "no-node", "Stalled"), "the run is stalled")
            place.cluster.kubectl("uncordon", "-l", "type=kwok")
            until_ended()
            assert place.truth("no-node") == baseline_run
    finally:
        place.cluster.kubectl("uncordon", "-l", "type=kwok")
    record_measurement(f"no node for {waiting} s ({stalled['reason']}), deadline of 60 s; 0 devices failed")


@pytest.mark.fault("F19")
def test_pods_rejected_by_a_webhook_stall_the_run_until_allowed(
    place: Place, baseline_run: Truth, record_measurement: RecordMeasurement, short_timeouts: list[str]
) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    webhook = {
        "name": "down.fleetscore.dev",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    name = f"down-{place.namespace}"
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }
    place.cluster.api.request("POST", path, body)
    try:
        with a_run(place, "refused", *short_timeouts) as until_ended:
            stalled = until(lambda: told(place, "refused", "Stalled"), "the run is stalled")
            place.cluster.kubectl("delete", "validatingwebhookconfiguration", name)
            began = time.monotonic()
            until_ended()
            record_measurement(
                f"reported as {stalled['reason']}; done {time.monotonic() - began:.1f} s after the webhook was deleted"
            )
            assert stalled["reason"] == "PodsRejected"
            assert place.truth("refused") == baseline_run
    finally:
        place.cluster.kubectl("delete", "validatingwebhookconfiguration", name, "--ignore-not-found")


@pytest.mark.fault("F20")
@pytest.mark.parametrize("seconds", [3600, pytest.param(-3600, marks=pytest.mark.long_only)], ids=["ahead", "behind"])
def test_operator_clock_off_by_an_hour_causes_no_timeout(
    place: Place, baseline_run: Truth, record_measurement: RecordMeasurement, short_timeouts: list[str], seconds: int
) -> None:
    name = f"clock{seconds}"
    with a_run(place, name, f"--clock={seconds}", *short_timeouts, activeDeadlineSeconds=60) as until_ended:
        until_ended()
        record_measurement(f"operator's clock {seconds:+} s: 0 wrong timeouts")
        assert place.truth(name) == baseline_run


@pytest.mark.fault("F20")
@pytest.mark.long_only
@pytest.mark.parametrize("offset", ["1h", "-1h"], ids=["ahead", "behind"])
def test_node_clocks_off_by_an_hour_cause_no_timeout(
    place: Place, baseline_run: Truth, record_measurement: RecordMeasurement, short_timeouts: list[str], offset: str
) -> None:
    name = f"nodes{offset}"
    now = "{{ (now | date_modify `" + offset + "`).UTC.Format `2006-01-02T15:04:05Z` }}"
    stage = stages.finish_pods(
        "wrong-clock",
        labels={"fleetscore.dev/run": name},
        message_template=ALL_SCORED,
        pod_status={"startTime": now},
        weight=100_000,
    )
    place.cluster.add_stage(stage)
    try:
        with a_run(place, name, *short_timeouts, activeDeadlineSeconds=60) as until_ended:
            until_ended()
            first, last = (place.status(name)[key] for key in ("firstPodTime", "completionTime"))
            record_measurement(f"nodes' clocks {offset} off: 0 wrong timeouts")
            assert place.truth(name) == baseline_run
            assert first <= last
    finally:
        place.cluster.remove_stage("wrong-clock")
