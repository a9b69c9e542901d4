"""F3, F14 to F17, F23 to F25, F35: what people, nodes, upgrades and time do to a run loses and doubles nothing."""

import itertools
import json
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localcluster.errors import ClusterError
from localcluster.kubernetes.api import ApiError
from localcluster.nodes import stages
from tests.faults.conftest import NewSite
from tests.faults.harness import RunResult, Site
from tests.testkit.cluster import ALL_SCORED
from tests.testkit.measurements import Long, RecordMeasurement
from tests.testkit.operator_process import Operator
from tests.testkit.waiting import shortest, until

DEVICES = 12
RECORD = '{"v":1,"devices":1,"outcomes":{"scored":"0"},"rows":60,"badRows":0,"unscoredRows":0,"anomalies":0}'


@pytest.fixture(scope="module")
def site(new_site: NewSite) -> Site:
    return new_site(DEVICES)


@pytest.fixture(scope="module")
def baseline_run(site: Site) -> RunResult:
    """Return the result of a run without a fault."""
    with site.operator():
        site.run("baseline", parallelism=DEVICES)
        site.until_ended("baseline")
    return site.result("baseline")


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Delete the test's runs after it, because the next run of their window would wait for them."""
    yield
    if "site" in request.fixturenames:
        site = request.getfixturevalue("site")
        site.cluster.kubectl("delete", "sr", "-n", site.namespace, "--all", "--ignore-not-found")


@contextmanager
def pods_that_last(site: Site, run: str, seconds: float) -> Iterator[None]:
    """Let the pods of a run that start meanwhile run for this time."""
    name = f"last-{site.namespace}-{run}"
    labels = {"fleetscore.dev/run": run}
    stage = stages.finish_pods(name, labels=labels, after_seconds=seconds, message_template=ALL_SCORED, weight=100_000)
    site.cluster.add_stage(stage)
    try:
        yield
    finally:
        site.cluster.remove_stage(name)


def path_of(site: Site, api: str, plural: str, name: str = "") -> str:
    return f"/{api}/namespaces/{site.namespace}/{plural}{f'/{name}' if name else ''}"


def delete(site: Site, api: str, plural: str, name: str) -> None:
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    with suppress(ApiError):  # it may be deleted already
        site.cluster.api.request("DELETE", path_of(site, api, plural, name), body)


def until_created(site: Site, run: str, count: int = DEVICES) -> None:
    until(lambda: len(site.jobs(run)) >= count, f"{count} Jobs of {run} are there")


def running_pods(site: Site, run: str) -> list[dict[str, Any]]:
    query = f"?labelSelector=fleetscore.dev/run%3D{run}&fieldSelector=status.phase%3DRunning"
    return list(site.cluster.api.request("GET", path_of(site, "api/v1", "pods") + query)["items"])


def children(site: Site, run: str) -> int:
    """Return the numbers of Jobs and ConfigMaps of a run."""
    query = f"?labelSelector=fleetscore.dev/run%3D{run}"
    kinds = (("apis/batch/v1", "jobs"), ("api/v1", "configmaps"))
    return sum(len(site.cluster.api.request("GET", path_of(site, *kind) + query)["items"]) for kind in kinds)


@pytest.mark.fault("F3")
def test_operator_started_after_all_jobs_ended_finishes_within_seconds(
    site: Site, baseline_run: RunResult, record_measurement: RecordMeasurement
) -> None:
    attempts = itertools.count()

    def seconds_to_count() -> float:
        name = f"away{next(attempts)}"
        with pods_that_last(site, name, 12), site.operator():
            site.run(name, parallelism=DEVICES)
            until_created(site, name)
        until(lambda: all(job["status"].get("completionTime") for job in site.jobs(name)), "all Jobs have ended")
        assert not site.status(name).get("devices", {}).get("scored")
        with site.operator():
            began = time.monotonic()
            site.until_scored(name, DEVICES)
            seconds = time.monotonic() - began
            site.until_ended(name)
        assert site.result(name) == baseline_run
        site.remove(name)
        return seconds

    seconds = shortest(seconds_to_count, 10)
    record_measurement(f"{DEVICES} Jobs ended unseen; status right {seconds:.1f} s after the operator was ready")
    assert seconds < 10


@contextmanager
def reaped(site: Site, run: str, records: Path) -> Iterator[Counter[str]]:
    """Delete each scoring Job of a run as soon as it has ended and its outcome record is in storage."""
    stop, gone = threading.Event(), Counter[str]()

    def reap() -> None:
        while not stop.wait(0.1):
            for job in site.jobs(run):
                if job["status"].get("completionTime"):
                    name = job["metadata"]["name"]
                    (records / name).write_text(RECORD)
                    delete(site, "apis/batch/v1", "jobs", name)
                    gone[name] += 1

    thread = threading.Thread(target=reap)
    thread.start()
    try:
        yield gone
    finally:
        stop.set()
        thread.join()


@pytest.mark.fault("F14")
def test_jobs_deleted_as_soon_as_they_end_are_not_run_again(
    site: Site, baseline_run: RunResult, record_measurement: RecordMeasurement, tmp_path: Path
) -> None:
    options = ("--records", str(tmp_path))
    with reaped(site, "reaped", tmp_path) as gone:
        with site.operator("operator", *options):
            site.run("reaped", parallelism=4)
            until(lambda: len(gone) >= 4, "some Jobs have vanished")
        left = len(site.jobs("reaped"))
        until(lambda: not site.jobs("reaped"), "those that ran while the operator was away have vanished too")
        with site.operator("operator", *options):
            site.until_ended("reaped")
    again = sum(site.created("reaped").values()) - len(site.created("reaped"))
    record_measurement(
        f"{len(gone)} Jobs vanished at their end, {left} of them while no operator was there; {again} run again"
    )
    assert site.result("reaped") == baseline_run


@pytest.mark.fault("F15")
def test_jobs_and_pods_deleted_by_another_client_are_created_once_more(
    site: Site, baseline_run: RunResult, record_measurement: RecordMeasurement
) -> None:
    with site.operator():
        with pods_that_last(site, "deleted", 20):
            site.run("deleted", parallelism=DEVICES)
            until_created(site, "deleted")
            until(lambda: len(running_pods(site, "deleted")) == DEVICES, "all pods run")
        jobs = [job["metadata"]["name"] for job in site.jobs("deleted")]
        for name in jobs[:6]:
            delete(site, "apis/batch/v1", "jobs", name)
        pods = [pod for pod in running_pods(site, "deleted") if pod["metadata"]["labels"]["job-name"] in jobs[6:]]
        for pod in pods:
            delete(site, "api/v1", "pods", pod["metadata"]["name"])
        site.until_ended("deleted")
    result = site.result("deleted")
    rounds = Counter(round_ for _, _, round_ in result.ranges if round_ >= 0)
    record_measurement(f"6 Jobs and {len(pods)} pods deleted; {rounds[1]} Jobs made once more, 0 devices lost")
    assert replace(result, ranges=baseline_run.ranges) == baseline_run
    assert (rounds, set(result.ranges.values())) == ({0: DEVICES, 1: 6}, {1})


@pytest.mark.fault("F15", "F16")
@pytest.mark.parametrize("away", [False, True], ids=["with-an-operator", "without-one"])
def test_deleted_run_leaves_no_jobs_and_no_config_maps(
    site: Site, record_measurement: RecordMeasurement, *, away: bool
) -> None:
    name = f"gone-{away}".lower()
    with pods_that_last(site, name, 3600):
        with site.operator() as running:
            site.run(name, parallelism=DEVICES)
            until_created(site, name)
            if away:
                running.process.kill()
                running.process.wait()
            began = time.monotonic()
            site.remove(name)
            until(lambda: not children(site, name), "nothing of it is left")
            seconds = time.monotonic() - began
        created = sum(site.created(name).values())
        with site.operator() as later:
            until(lambda: later.probe("/readyz")[0] == 200, "another operator is there")
            site.run(f"{name}-next", parallelism=DEVICES)
            site.until_ended(f"{name}-next")
    record_measurement(f"run deleted: {created} Jobs and its ConfigMaps deleted after {seconds:.1f} s, 0 orphans")
    assert sum(site.created(name).values()) == created + DEVICES + 1  # the next run's name begins with this one's
    assert children(site, name) == 0


@pytest.mark.fault("F17")
def test_evicted_pods_cost_no_retry_and_no_device(
    site: Site, baseline_run: RunResult, record_measurement: RecordMeasurement
) -> None:
    with pods_that_last(site, "evicted", 20), site.operator():
        site.run("evicted", parallelism=DEVICES, backoffLimit=0)
        until(lambda: len(running_pods(site, "evicted")) == DEVICES, "all pods run")
        pods = running_pods(site, "evicted")[: DEVICES // 2]
        for pod in pods:
            meta = {"name": pod["metadata"]["name"], "namespace": site.namespace}
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
            site.cluster.api.request("POST", path_of(site, "api/v1", "pods", f"{meta['name']}/eviction"), body)
        site.until_ended("evicted")
    record_measurement(
        f"{len(pods)} of {DEVICES} running pods evicted, backoffLimit 0; 0 devices failed, 0 Jobs created again"
    )
    assert site.result("evicted") == baseline_run


@pytest.mark.fault("F23", "T11", "T12")
@pytest.mark.timeout(1800)
def test_huge_run_respects_parallelism_with_small_status_and_memory(
    new_site: NewSite, record_measurement: RecordMeasurement, long: Long
) -> None:
    devices, parallelism = (50_000, 100) if long else (2_000, 10)
    site = new_site(devices)
    with site.operator() as running:
        before, began = len(site.requests()), time.monotonic()
        site.run("huge", devicesPerJob=100, parallelism=parallelism)
        active: list[int] = []

        def ended() -> bool:
            active.append(sum(not job["status"].get("completionTime") for job in site.jobs("huge")))
            return site.ended("huge")

        until(ended, "the run has ended", seconds=1500, interval=0.5)
        seconds = time.monotonic() - began
        memory = int(re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{running.process.pid}/status").read_text())[0])
        status = site.status("huge")
        size, requests = len(str(status)), len(site.requests()) - before
    record_measurement(
        f"{devices} devices in {devices // 100} Jobs: {seconds:.0f} s, at most {max(active)} Jobs at once, "
        f"status {size} B, {memory / 1024:.0f} MiB, {requests / devices:.3f} requests per device"
    )
    assert status["devices"]["scored"] == devices
    assert max(active) <= parallelism
    assert size <= 32 * 1024
    assert memory <= 150 * 1024
    assert requests <= devices / 5 + 300
    assert set(site.created("huge").values()) == {1}


BAD = {
    "parallelism": (0, -1, 10_001, "many", None, [1]),
    "maxFailedDevices": (-1, "101%", "5", "x%", True),
    "maxEmptyDevices": (-1, "101%", "%"),
    "activeDeadlineSeconds": (0, -1, 2**40, "1h"),
    "ttlSecondsAfterFinished": (-1, 2**40, "1d"),
    "suspend": ("yes", 1),
    "cancel": ("yes", 0),
    "fleet": ("other", "", 5),
    "window": ({"end": "2018-08-28T22:00:00Z"}, {"start": "now"}),
    "devices": ({"ids": ["press-001"]}, {"include": ["*"]}),
    "tags": (["1"],),
    "writePolicy": ("Overwrite", "Always"),
    "devicesPerJob": (2, 0, "Some"),
    "backoffLimit": (3, -1, 11),
    "maxDevices": (0, 5),
    "overlapPolicy": ("Skip", "Replace"),
    "pendingDeadlineSeconds": (5, 0),
    "deviceDeadlineSeconds": (5, 0),
    "resources": ({"limits": {"cpu": "1"}},),
}
ODD = (
    {"parallelism": 1},
    {"maxFailedDevices": 0},
    {"maxFailedDevices": "100%"},
    {"activeDeadlineSeconds": 86_400},
    {"maxEmptyDevices": 0, "ttlSecondsAfterFinished": 0},
    {"ttlSecondsAfterFinished": 604_800},
    {"suspend": False, "parallelism": 10_000},
)


@pytest.mark.fault("F24")
def test_run_edited_to_invalid_and_back_ends_like_the_baseline(
    site: Site, baseline_run: RunResult, record_measurement: RecordMeasurement
) -> None:
    """Invalid edits are rejected (except null, which is the default); unusual edits are reverted."""
    refused = taken = 0
    with pods_that_last(site, "edited", 2), site.operator():
        site.run("edited", parallelism=2)
        until_created(site, "edited", 2)
        patched(site, "edited", {"suspend": True})
        for field, values in BAD.items():
            for value in values:
                refused += refuses(site, "edited", {field: value})
        for edit in ODD:
            generation = patched(site, "edited", edit)["metadata"]["generation"]
            until_observed(site, "edited", generation)
            taken += 1
        site.until_ended("edited")
    record_measurement(
        f"{len(BAD)} fields, {refused} bad values rejected; {taken} odd edits made and taken back: "
        "ends as the baseline run"
    )
    assert refused == sum(map(len, BAD.values())) - 1
    result = site.result("edited")
    assert result.status["observedGeneration"] > len(ODD)
    assert replace(result, status=result.status | {"observedGeneration": 1}) == baseline_run


def until_observed(site: Site, name: str, generation: int) -> None:
    until(lambda: site.status(name)["observedGeneration"] >= generation, f"generation {generation} is seen")


def patched(site: Site, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    text = site.cluster.kubectl(
        "patch", "sr", name, "-n", site.namespace, "--type=merge", "-o=json", "-p", spec_of(spec)
    )
    found: dict[str, Any] = json.loads(text)
    return found


def spec_of(spec: dict[str, Any]) -> str:
    return json.dumps({"spec": spec})


def refuses(site: Site, name: str, spec: dict[str, Any]) -> bool:
    try:
        patched(site, name, spec)
    except ClusterError:
        return True
    return False


@pytest.mark.fault("F25")
def test_upgrade_and_downgrade_during_a_run_do_not_change_its_result(
    site: Site, baseline_run: RunResult, record_measurement: RecordMeasurement
) -> None:
    images = ["fleetscore/scorer:1", "fleetscore/scorer:2", "fleetscore/scorer:1"]
    ends = []
    with pods_that_last(site, "upgraded", 2):
        site.run("upgraded", parallelism=2)
        for count, image in zip((4, 8, DEVICES), images, strict=True):
            with site.operator("operator", environment={"FLEETSCORE_SCORER_IMAGE": image}) as running:
                site.until_scored("upgraded", count)
                if count == DEVICES:
                    site.until_ended("upgraded")
                ends.append(running.end())
    used = Counter(job["spec"]["template"]["spec"]["containers"][0]["image"] for job in site.jobs("upgraded"))
    record_measurement(f"replaced twice; Jobs by image: {dict(used)}; each created once, ends as the baseline run")
    assert len(used) == 2
    assert statistics.median(ends) < 10  # a machine that stalls delays one of them
    assert site.result("upgraded") == baseline_run


@pytest.mark.fault("F35")
@pytest.mark.timeout(3000)
def test_memory_after_a_days_runs_equals_memory_after_the_first_runs(
    new_site: NewSite, record_measurement: RecordMeasurement, long: Long
) -> None:
    devices, runs = (1000, 24) if long else (40, 6)
    site = new_site(devices)
    memory, files, watches = [], [], []
    with site.operator() as running:
        for hour in range(runs):
            name = f"hour-{hour}"
            site.run(name, devicesPerJob=devices // 20, parallelism=20)
            site.until_ended(name)
            site.remove(name)
            memory.append(resident(running))
            files.append(len(list(Path(f"/proc/{running.process.pid}/fd").iterdir())))
            watches.append(len(open_watches(running)))
    half = runs // 2
    slope = (statistics.mean(memory[half:]) - statistics.mean(memory[:half])) / half
    record_measurement(
        f"{runs} runs of {devices} devices: {memory[0]:.0f} MiB after the first, {memory[-1]:.0f} MiB after the last, "
        f"{slope:+.2f} MiB a run; open files {min(files)} to {max(files)}, watched resources {max(watches)}"
    )
    assert slope < 1
    assert max(files[half:]) <= max(files[:half]) + 4
    assert len(set(watches)) == 1


def resident(running: Operator) -> float:
    """Resident memory in MiB."""
    text = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", text)[0]) / 1024


def open_watches(running: Operator) -> list[str]:
    return re.findall(r'^fleetscore_watch_age_seconds\{resource="(\w+)"\}', running.probe("/metrics")[1], re.MULTILINE)
