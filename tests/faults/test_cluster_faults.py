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
from scoring_operator.kube.client import KubeClient as Client
from scoring_operator.kube.credential_sources import load_credentials
from tests.faults.api_faults import Overtaken, Stale, regressions
from tests.faults.conftest import NewSite
from tests.faults.harness import RunResult, Site
from tests.testkit.cluster import ALL_SCORED
from tests.testkit.fault_proxy import proxied
from tests.testkit.measurements import Long, RecordMeasurement
from tests.testkit.waiting import until

DEVICES = 12


@pytest.fixture(scope="module")
def site(new_site: NewSite) -> Site:
    return new_site(DEVICES)


@pytest.fixture(scope="module")
def baseline_run(site: Site) -> RunResult:
    """Return the result of a run without a fault."""
    with site.operator():
        site.run("baseline", parallelism=4)
        site.until_ended("baseline")
    return site.result("baseline")


@contextmanager
def a_run(site: Site, name: str, *options: str, **spec: Any) -> Iterator[Callable[[], float]]:
    """Run a ScoringRun under an operator of its own; yield a function that waits for the end and returns seconds."""
    with site.operator("operator", *options):
        site.run(name, **{"parallelism": 4} | spec)
        began = time.monotonic()

        def until_ended() -> float:
            site.until_ended(name, seconds=300)
            return time.monotonic() - began

        yield until_ended
    site.remove(name)


def under_way(site: Site, name: str) -> None:
    until(lambda: sum(site.created(name).values()) >= 4, "the run is under way")


@pytest.mark.fault("F2")
@pytest.mark.long_only
@pytest.mark.timeout(1800)
def test_operator_killed_every_five_seconds_scores_1000_devices_once(
    new_site: NewSite, record_measurement: RecordMeasurement
) -> None:
    site = new_site(1000)
    seconds: dict[str, float] = {}
    for name in ("baseline", "killed"):
        site.run(name, parallelism=100)
        began, kills = time.monotonic(), 0
        running = site.start("operator")
        while not site.ended(name):
            assert time.monotonic() < began + 800
            if name == "killed" and time.monotonic() > began + 5 * (kills + 1):
                running.process.kill()
                running.process.wait()
                running, kills = site.start("operator"), kills + 1
            time.sleep(0.1)
        seconds[name] = time.monotonic() - began
        running.process.kill()
        running.process.wait()
    created = site.created("killed")
    record_measurement(
        f"{kills} kills, {len(created)} Jobs, {sum(created.values()) - len(created)} of them twice; "
        f"{seconds['killed'] / seconds['baseline']:.2f} of the baseline run's {seconds['baseline']:.0f} s"
    )
    assert site.result("killed") == site.result("baseline")
    assert set(created.values()) == {1}
    assert seconds["killed"] <= 1.5 * seconds["baseline"]


@pytest.mark.fault("F4")
def test_operator_started_from_stale_lists_repeats_and_deletes_nothing(
    new_site: NewSite, baseline_run: RunResult, record_measurement: RecordMeasurement, short_timeouts: list[str]
) -> None:
    site = new_site(DEVICES)
    jobs = f"/apis/batch/v1/namespaces/{site.namespace}/jobs"
    runs = f"/apis/fleetscore.dev/v1alpha1/namespaces/{site.namespace}/scoringruns"
    ask = site.cluster.api.request
    with proxied(site.cluster) as proxy:
        site.behind(proxy.url)
        with site.operator("operator", *short_timeouts):
            site.run("stale", parallelism=4)
            under_way(site, "stale")
            selector = JOB_SELECTOR.replace(",", "%2C").replace(" ", "%20")
            kept = {jobs: ask("GET", f"{jobs}?labelSelector={selector}"), runs: ask("GET", runs)}
            site.until_scored("stale", 4)
        fault = Stale(kept, delay=3.0)
        with proxy.having(fault), site.operator("operator", *short_timeouts):
            began = time.monotonic()
            until(lambda: time.monotonic() > began + 6 and fault.count >= 2, "lists were stale for a while")
            proxy.faults.remove(fault)
            site.until_ended("stale")
            proxy.faults.append(fault)
        ended = site.status("stale")["completionTime"]  # after which finished Jobs go in their time
        deletions = [one for one in site.requests() if (one.verb, one.resource) == ("delete", "jobs")]
        # The time of completion is a whole second, and the text of a fraction of it is a smaller text.
        deleted = [one for one in deletions if one.time.partition(".")[0] < ended.removesuffix("Z")]
        assert regressions(proxy.statuses["stale"]) == []
    record_measurement(f"{fault.measurement()}; {len(deleted)} Jobs deleted, none made twice")
    assert fault.count >= 2
    assert deleted == []
    assert site.result("stale") == baseline_run


@pytest.mark.fault("F11")
@pytest.mark.timeout(900)
def test_revoked_right_stalls_the_run_until_it_is_granted_again(
    site: Site, baseline_run: RunResult, record_measurement: RecordMeasurement, long: Long, short_timeouts: list[str]
) -> None:
    def rights(verbs: str) -> None:
        patch = f'[{{"op": "replace", "path": "/rules/2/verbs", "value": {verbs}}}]'
        site.cluster.kubectl("-n", site.namespace, "patch", "role", "fleetscore-operator", "--type=json", "-p", patch)

    with a_run(site, "forbidden", *short_timeouts, parallelism=1) as until_ended:  # Jobs remain to be created
        under_way(site, "forbidden")
        rights('["get", "list", "watch", "patch", "delete"]')
        began = time.monotonic()
        stalled = until(lambda: true_condition(site, "forbidden", "Stalled", "Forbidden"), "the run is stalled")
        reported_after = time.monotonic() - began
        until(lambda: time.monotonic() > began + (300 if long else 3), "a while has passed", seconds=400)
        rights('["get", "list", "watch", "create", "patch", "delete"]')
        began = time.monotonic()
        until(lambda: not true_condition(site, "forbidden", "Stalled"), "it has recovered")
        recovered_after = time.monotonic() - began
        until_ended()
        assert site.result("forbidden") == baseline_run
    record_measurement(
        f"reported after {reported_after:.1f} s ({stalled['reason']}), recovered after {recovered_after:.1f} s"
    )
    assert stalled["reason"] == "Forbidden"
    assert max(reported_after, recovered_after) < 60


def true_condition(site: Site, name: str, kind: str, reason: str = "") -> dict[str, str] | None:
    """Return a condition of a run if it is True and has the reason. A slow machine may show another reason before."""
    found = site.condition(name, kind)
    return found if found.get("status") == "True" and reason in ("", found["reason"]) else None


@pytest.mark.fault("F12")
def test_run_with_constant_foreign_writes_loses_no_counter(
    new_site: NewSite, baseline_run: RunResult, record_measurement: RecordMeasurement, short_timeouts: list[str]
) -> None:
    site = new_site(DEVICES)
    path = f"/apis/fleetscore.dev/v1alpha1/namespaces/{site.namespace}/scoringruns/contested"
    stop, writes = threading.Event(), [0]

    async def write() -> None:
        account = load_credentials({"KUBECONFIG": str(site.cluster.kubeconfig)})
        async with Client.connect(account) as client:
            while not stop.is_set():
                writes[0] += 1
                await client.patch(path, {"metadata": {"annotations": {"touched": str(writes[0])}}})
                await asyncio.sleep(0.02)

    overtaken = Overtaken(lambda: writes[0])
    with proxied(site.cluster) as proxy:
        site.behind(proxy.url)
        with proxy.having(overtaken), a_run(site, "contested", *short_timeouts) as until_ended:
            writer = threading.Thread(target=asyncio.run, args=[write()])
            writer.start()
            try:
                until_ended()
            finally:
                stop.set()
                writer.join()
            assert site.result("contested") == baseline_run
    conflicts = sum(one.code == 409 and one.subresource == "status" for one in site.requests())
    record_measurement(f"{writes[0]} writes of another, {conflicts} status writes repeated")
    # Each version is old when its write arrives, so the run can only end by writes that do not depend on a version.
    assert conflicts >= overtaken.count >= 3


@pytest.mark.fault("F13")
@pytest.mark.parametrize("role", [pytest.param("kube-apiserver", marks=pytest.mark.long_only), "etcd"])
def test_run_continues_after_a_restart_of_a_control_plane_process(
    site: Site, baseline_run: RunResult, record_measurement: RecordMeasurement, short_timeouts: list[str], role: str
) -> None:
    name = f"restart-{role}"
    with a_run(site, name, *short_timeouts) as until_ended:
        under_way(site, name)
        site.cluster.restart(role)
        began = time.monotonic()
        site.cluster.start_missing()
        until_ended()
        record_measurement(f"{role} killed; the run has ended {time.monotonic() - began:.1f} s after it was back")
        # The last lines of a killed server's audit log may be missing.
        assert replace(site.result(name), ranges=baseline_run.ranges) == baseline_run
        assert set(site.created(name).values()) == {1}
        assert len(site.jobs(name)) == DEVICES


@pytest.mark.fault("F18")
@pytest.mark.timeout(600)
def test_unschedulable_pods_wait_without_using_the_active_deadline(
    site: Site, baseline_run: RunResult, record_measurement: RecordMeasurement, long: Long, short_timeouts: list[str]
) -> None:
    waiting, deadline = (120, 60) if long else (4, 1800)  # a short wait must not end at the deadline by a slow machine
    site.cluster.kubectl("cordon", "-l", "type=kwok")
    try:
        with a_run(site, "no-node", *short_timeouts, activeDeadlineSeconds=deadline) as until_ended:
            began = time.monotonic()
            until(lambda: time.monotonic() > began + waiting, "a while has passed", seconds=waiting + 60)
            stalled = until(lambda: true_condition(site, "no-node", "Waiting"), "the run is stalled")
            assert site.status("no-node")["devices"]["failed"] == 0
            site.cluster.kubectl("uncordon", "-l", "type=kwok")
            until_ended()
            assert site.result("no-node") == baseline_run
    finally:
        site.cluster.kubectl("uncordon", "-l", "type=kwok")
    record_measurement(f"no node for {waiting} s ({stalled['reason']}), deadline of {deadline} s; 0 devices failed")


@pytest.mark.fault("F19")
def test_pods_rejected_by_a_webhook_stall_the_run_until_allowed(
    site: Site, baseline_run: RunResult, record_measurement: RecordMeasurement, short_timeouts: list[str]
) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    webhook = {
        "name": "down.fleetscore.dev",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": site.namespace}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    name = f"down-{site.namespace}"
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }
    site.cluster.api.request("POST", path, body)
    try:
        with a_run(site, "refused", *short_timeouts) as until_ended:
            stalled = until(lambda: true_condition(site, "refused", "Waiting", "PodsRejected"), "the run is stalled")
            site.cluster.kubectl("delete", "validatingwebhookconfiguration", name)
            began = time.monotonic()
            until_ended()
            record_measurement(
                f"reported as {stalled['reason']}; done {time.monotonic() - began:.1f} s after the webhook was deleted"
            )
            assert stalled["reason"] == "PodsRejected"
            assert site.result("refused") == baseline_run
    finally:
        site.cluster.kubectl("delete", "validatingwebhookconfiguration", name, "--ignore-not-found")


@pytest.mark.fault("F20")
@pytest.mark.parametrize("seconds", [3600, pytest.param(-3600, marks=pytest.mark.long_only)], ids=["ahead", "behind"])
def test_operator_clock_off_by_an_hour_causes_no_timeout(
    site: Site, baseline_run: RunResult, record_measurement: RecordMeasurement, short_timeouts: list[str], seconds: int
) -> None:
    name = f"clock{seconds}"
    with a_run(site, name, f"--clock={seconds}", *short_timeouts, activeDeadlineSeconds=1800) as until_ended:
        until_ended()
        record_measurement(f"operator's clock {seconds:+} s: 0 wrong timeouts")
        assert site.result(name) == baseline_run


@pytest.mark.fault("F20")
@pytest.mark.long_only
@pytest.mark.parametrize("offset", ["1h", "-1h"], ids=["ahead", "behind"])
def test_node_clocks_off_by_an_hour_cause_no_timeout(
    site: Site, baseline_run: RunResult, record_measurement: RecordMeasurement, short_timeouts: list[str], offset: str
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
    site.cluster.add_stage(stage)
    try:
        with a_run(site, name, *short_timeouts, activeDeadlineSeconds=1800) as until_ended:
            until_ended()
            first, last = (site.status(name)[key] for key in ("firstPodTime", "completionTime"))
            record_measurement(f"nodes' clocks {offset} off: 0 wrong timeouts")
            assert site.result(name) == baseline_run
            assert first <= last
    finally:
        site.cluster.remove_stage("wrong-clock")
