"""create-run under its own account against a real API server, for Jobs annotated as the CronJob controller does."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

from localcluster.cluster import Cluster
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.scheduler import Scheduler


def test_late_firing_creates_the_run_of_its_scheduled_time(scheduler: Scheduler) -> None:
    assert scheduler.fire("hourly-1", "2018-08-29T02:05:00+02:00") == 0
    ((name, spec),) = scheduler.runs().items()
    assert name == "hourly-20180828t230000z"
    assert spec["window"] == {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}
    assert (spec["fleet"], spec["parallelism"]) == ("default", 7)


@pytest.mark.fault("F21")
def test_two_firings_for_one_window_create_one_run(scheduler: Scheduler, capsys: pytest.CaptureFixture[str]) -> None:
    assert scheduler.fire("hourly-1", "2018-08-29T00:05:00Z") == 0
    assert scheduler.fire("other-1", "2018-08-29T00:05:00Z") == 0
    assert list(scheduler.runs()) == ["hourly-20180828t230000z"]
    assert "exists already" in capsys.readouterr().out


@pytest.mark.fault("F21")
def test_concurrent_firings_for_one_window_create_one_run_and_succeed(
    scheduler: Scheduler, record_measurement: RecordMeasurement
) -> None:
    jobs = [f"hourly-{number}" for number in range(6)]
    with ThreadPoolExecutor(len(jobs)) as pool:
        codes = pool.map(scheduler.fire, jobs, ["2018-08-29T00:05:00Z"] * len(jobs))
        assert set(codes) == {0}
    runs = list(scheduler.runs())
    record_measurement(f"{len(jobs)} firings at once for one window: {len(runs)} run")
    assert runs == ["hourly-20180828t230000z"]


@pytest.mark.fault("F21")
def test_daylight_saving_changes_neither_repeat_nor_omit_an_hour(scheduler: Scheduler) -> None:
    autumn = ("2026-10-25T01:05:00+02:00", "2026-10-25T02:05:00+02:00", "2026-10-25T02:05:00+01:00")
    spring = ("2026-03-29T01:05:00+01:00", "2026-03-29T03:05:00+02:00")
    for number, moment in enumerate(autumn + spring):
        assert scheduler.fire(f"hourly-{number}", moment) == 0
    assert sorted(scheduler.runs()) == [
        *(f"hourly-{start}0000z" for start in ("20260328t23", "20260329t00")),
        *(f"hourly-{start}0000z" for start in ("20261024t22", "20261024t23", "20261025t00")),
    ]


@pytest.mark.fault("F21")
def test_missed_firings_create_their_own_runs_in_any_order(scheduler: Scheduler) -> None:
    for hour in ("03", "01", "02"):
        assert scheduler.fire(f"hourly-{hour}", f"2018-08-29T{hour}:05:00Z") == 0
    assert sorted(scheduler.runs()) == [f"hourly-20180829t{hour}0000z" for hour in ("00", "01", "02")]


def test_manual_firing_creates_the_run_of_the_previous_hour(scheduler: Scheduler) -> None:
    assert scheduler.fire("by-hand") == 0
    created = datetime.fromisoformat(scheduler.job("by-hand")["metadata"]["creationTimestamp"])
    end = (created - timedelta(minutes=3)).replace(minute=0, second=0)
    ((name, spec),) = scheduler.runs().items()
    assert spec["window"]["end"] == f"{end:%Y-%m-%dT%H:%M:%SZ}"
    assert name == f"hourly-{end - timedelta(hours=1):%Y%m%dt%H%M%Sz}"


def test_run_rejected_by_the_crd_ends_the_job_with_the_reason(
    cluster_with_crd: Cluster,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scheduler = Scheduler(cluster_with_crd, namespace, tmp_path, run={"devices": {"ids": ["a"]}})
    document = yaml.safe_load(scheduler.file.read_text())
    document["schedules"][0]["run"]["devices"]["include"] = ["b"]  # an older chart did not reject it
    scheduler.file.write_text(yaml.safe_dump(document))
    monkeypatch.setenv("KUBECONFIG", str(scheduler.kubeconfig))
    assert scheduler.fire("hourly-1", "2018-08-29T00:05:00Z") == 65
    assert "at most one of devices.include, devices.ids and devices.retryOf" in capsys.readouterr().err


@pytest.mark.usefixtures("scheduler")
def test_schedulers_account_has_no_other_rights(cluster: Cluster, namespace: str) -> None:
    listed = cluster.kubectl(
        f"--as=system:serviceaccount:{namespace}:fleetscore-scheduler", "auth", "can-i", "--list", "-n", namespace
    )
    granted = {line.split()[0]: line.split("[")[-1].rstrip("]") for line in listed.splitlines()[1:]}
    ours = {
        resource: verbs for resource, verbs in granted.items() if "selfsubject" not in resource and resource[0] != "["
    }
    assert ours == {"jobs.batch": "get", "scoringruns.fleetscore.dev": "create list"}
