"""The whole operator as a process, on a real API server with simulated pods and a real Azurite."""

import itertools
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localcluster.cluster import Cluster
from localcluster.nodes import stages
from tests.testkit.azurite import Storage
from tests.testkit.cluster import ALL_SCORED
from tests.testkit.conditions import is_true
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.operator_process import DATA, Operator, OperatorEnvironment, an_operator_environment, operator
from tests.testkit.waiting import shortest, until


@pytest.fixture
def release(cluster: Cluster, namespace: str, tmp_path: Path, storage: Storage) -> OperatorEnvironment:
    return an_operator_environment(cluster, namespace, tmp_path, storage)


def give_devices(storage: Storage, count: int) -> None:
    for number in range(count):
        storage.put("models", f"press-{number}.joblib", b"x")
        storage.put("data", f"{DATA}/press-{number}.csv", b"x")


def scorers(release: OperatorEnvironment, run: str, *, after_seconds: float = 0) -> None:
    """Let the run's simulated pods score everything."""
    labels = {"fleetscore.dev/run": run}
    release.cluster.add_stage(
        stages.finish_pods(f"edge-{run}", labels=labels, after_seconds=after_seconds, message_template=ALL_SCORED)
    )


def until_complete(release: OperatorEnvironment, name: str) -> dict[str, int]:
    """Wait for the run's end and return its devices by outcome."""
    until(lambda: is_true(release.get(name).get("status", {}), "Complete"), f"{name} is complete")
    return dict(release.get(name)["status"]["devices"])


def holder(release: OperatorEnvironment) -> str:
    return str(release.lease()["holderIdentity"])


def held_by(running: Operator) -> bool:
    return "fleetscore_lease_held 1.0" in running.probe("/metrics")[1]


@contextmanager
def two_operators(release: OperatorEnvironment, first: str, second: str) -> Iterator[tuple[Operator, Operator]]:
    """Run an operator that holds the Lease, and then another one. Either is ready without the Lease."""
    with operator(release, first) as holding:
        until(lambda: held_by(holding), "the first holds the lease")
        with operator(release, second) as waiting:
            yield holding, waiting


def test_run_is_scored_and_visible_in_status_metrics_and_log(release: OperatorEnvironment, storage: Storage) -> None:
    give_devices(storage, 12)
    storage.put("data", f"{DATA}/new-device.csv", b"x")
    scorers(release, "full")
    with operator(release) as running:
        assert running.probe("/healthz") == (200, "ok")
        release.run("full", parallelism=4)
        devices = until_complete(release, "full")
        assert (devices["total"], devices["scored"]) == (12, 12)
        assert release.get("full")["status"]["withoutModel"] == {"count": 1, "samples": ["new-device"]}
        ended = 'fleetscore_runs_total{fleet="default",outcome="Complete",run_namespace="%s",schedule=""} 1.0'
        ended %= release.namespace
        until(lambda: ended in running.probe("/metrics")[1], "the run is counted")
        metrics = running.probe("/metrics")[1]
        assert held_by(running)
        assert 'fleetscore_api_requests_total{code="201",verb="POST"}' in metrics
        assert 'fleetscore_watch_age_seconds{resource="jobs"}' in metrics
        seconds = running.end()
        assert running.process.returncode == 0
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    assert not [line for line in lines if line["level"] == "ERROR"]
    assert not [line for line in lines if "press-" in line["message"]]
    assert storage.connection_string not in running.log.read_text()

    def seconds_to_end() -> float:
        with operator(release) as another:
            return another.end()

    assert seconds < 5 or shortest(seconds_to_end, 5) < 5


@pytest.mark.fault("F26")
def test_second_operator_takes_over_within_three_seconds_of_sigterm(
    release: OperatorEnvironment, record_measurement: RecordMeasurement
) -> None:
    attempts = itertools.count()

    def seconds_to_hand_over() -> float:
        names = [f"{name}-{attempt}" for attempt in [next(attempts)] for name in ("first", "second")]
        with two_operators(release, *names) as (first, second):
            assert holder(release) == names[0]
            assert second.probe("/readyz") == (200, "ok")
            began = time.monotonic()
            first.process.send_signal(signal.SIGTERM)
            until(lambda: held_by(second), "the second holds the lease")
            seconds = time.monotonic() - began
            assert holder(release) == names[1]
            second.end()  # the next first operator finds the Lease released
            return seconds

    seconds = shortest(seconds_to_hand_over, 3, times=8)
    record_measurement(f"Lease handed over {seconds:.1f} s after SIGTERM")
    assert seconds < 3


@pytest.mark.fault("F26")
def test_run_continues_under_a_second_operator_after_sigkill_of_the_first(
    release: OperatorEnvironment, storage: Storage, record_measurement: RecordMeasurement
) -> None:
    give_devices(storage, 24)
    attempts, twice = itertools.count(), 0

    def created_jobs(run: str) -> dict[str, int]:
        return {name: times for name, times in release.created_jobs().items() if name.startswith(f"{run}-")}

    def seconds_to_take_over() -> float:
        nonlocal twice
        run = f"crash{(attempt := next(attempts))}"
        scorers(release, run, after_seconds=1)
        with two_operators(release, f"first-{attempt}", f"second-{attempt}") as (first, second):
            release.run(run, parallelism=8)
            until(lambda: len(created_jobs(run)) >= 8, "the run is under way")
            began = time.monotonic()
            first.end(signal.SIGKILL)
            until(lambda: held_by(second), "the second holds the lease")
            seconds = time.monotonic() - began
            devices = until_complete(release, run)
            second.end()  # the next first operator finds the Lease released
        created = created_jobs(run)
        twice += sum(created.values()) - len(created)
        assert (devices["scored"], devices["failed"]) == (24, 0)
        assert len(created) == 24
        assert set(created.values()) == {1}
        return seconds

    seconds = shortest(seconds_to_take_over, 20)
    record_measurement(f"Lease taken over {seconds:.1f} s after SIGKILL; 24 Jobs, {twice} of them made twice")
    assert seconds < 20


@pytest.mark.fault("F26")
def test_operator_resumed_after_a_takeover_writes_nothing(release: OperatorEnvironment, storage: Storage) -> None:
    give_devices(storage, 12)
    scorers(release, "frozen", after_seconds=1)
    with two_operators(release, "first", "second") as (first, second):
        release.run("frozen", parallelism=4)
        until(lambda: len(release.created_jobs()) >= 4, "the run is under way")
        first.process.send_signal(signal.SIGSTOP)
        until(lambda: held_by(second), "the second holds the lease")
        first.process.send_signal(signal.SIGCONT)
        until(lambda: "is lost" in first.log.read_text(), "the first knows that it lost the lease")
        devices = until_complete(release, "frozen")
        assert not held_by(first)
        assert first.probe("/healthz")[0] == 200
    assert devices["scored"] == 12
    created = release.created_jobs()
    assert (len(created), set(created.values())) == (12, {1})


def test_operator_restarted_with_its_identity_continues_at_once(release: OperatorEnvironment, storage: Storage) -> None:
    give_devices(storage, 8)
    scorers(release, "again", after_seconds=1)
    with operator(release, "pod-0") as before:
        release.run("again", parallelism=4)
        until(lambda: len(release.created_jobs()) >= 4, "the run is under way")
        before.end(signal.SIGKILL)

    def seconds_to_hold_again() -> float:
        with operator(release, "pod-0") as after:
            began = time.monotonic()
            until(lambda: held_by(after), "it holds the lease again")
            seconds = time.monotonic() - began
            assert until_complete(release, "again")["scored"] == 8
            after.end(signal.SIGKILL)
            return seconds

    assert shortest(seconds_to_hold_again, 10) < 10
    assert set(release.created_jobs().values()) == {1}


def test_run_survives_a_restart_of_the_api_server(release: OperatorEnvironment, storage: Storage) -> None:
    give_devices(storage, 12)
    scorers(release, "outage", after_seconds=1)
    with operator(release) as running:
        release.run("outage", parallelism=4)
        until(lambda: len(release.created_jobs()) >= 4, "the run is under way")
        release.cluster.stop("kube-apiserver")
        until(lambda: "Unavailable" in running.log.read_text(), "the operator noticed")
        release.cluster.start("kube-apiserver")
        assert until_complete(release, "outage")["scored"] == 12
        release.run("next", parallelism=4)  # kopf's watch is back too
        until(lambda: release.get("next").get("status"), "the next run is taken up")
        assert running.probe("/healthz") == (200, "ok")
        assert running.process.poll() is None
    assert set(release.created_jobs().values()) == {1}
