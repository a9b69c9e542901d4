"""create-run under its own account against a real API server, for Jobs annotated as the CronJob controller does."""

import argparse
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster.cluster import Cluster
from scoring_operator import schedule
from tests.chart.generate import CRD
from tests.chart.rendering import find, render

ANNOTATION = "batch.kubernetes.io/cronjob-scheduled-timestamp"


class Scheduler:
    """A namespace with one schedule of the chart, and its account."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path, **more: Any) -> None:
        entry = {"name": "hourly", "cron": "5 * * * *", "delay": "PT3M", "fleet": "default"} | more
        fleet = {"name": "default", "storage": {"accountUrl": "https://fleet.blob.core.windows.net"}}
        manifests = render({"fleets": [fleet], "schedules": [entry], "crds": {"enabled": False}}, namespace=namespace)
        self._cluster, self._namespace, self._file = cluster, namespace, folder / "schedules.yaml"
        self._file.write_text(find(manifests, "ConfigMap", "fleetscore-schedules")["data"]["schedules.yaml"])
        rights = [m for m in manifests if m["metadata"]["labels"]["app.kubernetes.io/component"] == "scheduler"]
        cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(rights))
        self.kubeconfig = cluster.kubeconfig_for(namespace, "fleetscore-scheduler")

    def fire(self, job: str, scheduled: str | None = None) -> int:
        """Do what a firing does: a Job with the annotation (none: as made by hand), then create-run."""
        metadata = {"name": job, "annotations": {ANNOTATION: scheduled} if scheduled else {}}
        container = {"name": "create-run", "image": "none"}
        template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata}
        body["spec"] = {"suspend": True, "template": template}  # no pod of it: the test is the pod
        self._cluster.kubectl("-n", self._namespace, "create", "-f", "-", input=json.dumps(body))
        parser = argparse.ArgumentParser()
        schedule.add_arguments(parser)
        arguments = ["--schedules-file", str(self._file), "--schedule", "hourly", "--job", job]
        return schedule.run(parser.parse_args([*arguments, "--namespace", self._namespace]))

    def runs(self) -> dict[str, Any]:
        """Give the specs of the namespace's runs by name."""
        listed = json.loads(self._cluster.kubectl("-n", self._namespace, "get", "scoringruns", "-o", "json"))
        return {item["metadata"]["name"]: item["spec"] for item in listed["items"]}

    def job(self, name: str) -> dict[str, Any]:
        job: dict[str, Any] = json.loads(self._cluster.kubectl("-n", self._namespace, "get", "job", name, "-o", "json"))
        return job


@pytest.fixture
def cluster_with_crd(cluster: Cluster) -> Cluster:
    cluster.kubectl("apply", "-f", str(CRD))
    cluster.kubectl("wait", "--for=condition=Established", "crd/scoringruns.fleetscore.dev")
    return cluster


@pytest.fixture
def scheduler(cluster_with_crd: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    scheduler = Scheduler(cluster_with_crd, namespace, tmp_path, run={"parallelism": 7})
    monkeypatch.setenv("KUBECONFIG", str(scheduler.kubeconfig))
    return scheduler


def test_a_firing_makes_the_run_of_its_scheduled_time_however_late_its_pod(scheduler: Scheduler) -> None:
    assert scheduler.fire("hourly-1", "2018-08-29T02:05:00+02:00") == 0
    ((name, spec),) = scheduler.runs().items()
    assert name == "hourly-20180828t230000z"
    assert spec["window"] == {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}
    assert (spec["fleet"], spec["parallelism"]) == ("default", 7)


def test_two_firings_for_one_window_make_one_run(scheduler: Scheduler, capsys: pytest.CaptureFixture[str]) -> None:
    assert scheduler.fire("hourly-1", "2018-08-29T00:05:00Z") == 0
    assert scheduler.fire("other-1", "2018-08-29T00:05:00Z") == 0
    assert list(scheduler.runs()) == ["hourly-20180828t230000z"]
    assert "exists already" in capsys.readouterr().out


def test_hours_that_were_missed_are_made_up_by_their_own_firings_in_any_order(scheduler: Scheduler) -> None:
    for hour in ("03", "01", "02"):
        assert scheduler.fire(f"hourly-{hour}", f"2018-08-29T{hour}:05:00Z") == 0
    assert sorted(scheduler.runs()) == [f"hourly-20180829t{hour}0000z" for hour in ("00", "01", "02")]


def test_a_firing_by_hand_makes_the_run_of_the_hour_before_its_creation(scheduler: Scheduler) -> None:
    assert scheduler.fire("by-hand") == 0
    created = datetime.fromisoformat(scheduler.job("by-hand")["metadata"]["creationTimestamp"])
    end = (created - timedelta(minutes=3)).replace(minute=0, second=0)
    ((name, spec),) = scheduler.runs().items()
    assert spec["window"]["end"] == f"{end:%Y-%m-%dT%H:%M:%SZ}"
    assert name == f"hourly-{end - timedelta(hours=1):%Y%m%dt%H%M%Sz}"


def test_a_run_that_the_crd_refuses_ends_the_job_with_the_servers_reason(
    cluster_with_crd: Cluster,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scheduler = Scheduler(cluster_with_crd, namespace, tmp_path, run={"devices": {"ids": ["a"], "include": ["b"]}})
    monkeypatch.setenv("KUBECONFIG", str(scheduler.kubeconfig))
    assert scheduler.fire("hourly-1", "2018-08-29T00:05:00Z") == 65
    assert "at most one of devices.include, devices.ids and devices.retryOf" in capsys.readouterr().err


@pytest.mark.usefixtures("scheduler")
def test_the_account_may_do_nothing_else(cluster: Cluster, namespace: str) -> None:
    listed = cluster.kubectl(
        f"--as=system:serviceaccount:{namespace}:fleetscore-scheduler", "auth", "can-i", "--list", "-n", namespace
    )
    granted = {line.split()[0]: line.split("[")[-1].rstrip("]") for line in listed.splitlines()[1:]}
    ours = {
        resource: verbs for resource, verbs in granted.items() if "selfsubject" not in resource and resource[0] != "["
    }
    assert ours == {"jobs.batch": "get", "scoringruns.fleetscore.dev": "create"}
