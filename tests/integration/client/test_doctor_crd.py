"""`doctor` on a real API server whose CRD is missing, of an older version, or being deleted."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from hack.charts import CRD

from localcluster.cluster import Cluster
from tests.integration.client.doctor_release import Doctor
from tests.testkit.waiting import until

NAME, NAMESPACE = "scoringruns.fleetscore.dev", "default"
Change = Callable[[Any], None]


@pytest.fixture
def cluster_without_crd(chart_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    chart_cluster.kubectl("delete", "crd", NAME, "--ignore-not-found")
    monkeypatch.setenv("KUBECONFIG", str(chart_cluster.kubeconfig))
    yield chart_cluster
    chart_cluster.kubectl("delete", "crd", NAME, "--ignore-not-found")


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(NAMESPACE, capsys)


def apply_crd(cluster: Cluster, change: Change = lambda _: None) -> None:
    crd = yaml.safe_load(CRD.read_text())
    change(crd)
    cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(crd))
    cluster.wait_for_crds()


def remove_sensors(crd: Any) -> None:
    del crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["sensors"]


def add_finalizer(crd: Any) -> None:
    crd["metadata"]["finalizers"] = ["example.com/hold"]


def test_missing_crd_is_a_problem(cluster_without_crd: Cluster, doctor: Doctor) -> None:
    doctor.until_found("crd", "the CRD does not exist")
    apply_crd(cluster_without_crd)
    until(lambda: not [one for one in doctor(code=None) if one[1] == "crd"], "the CRD is served")


def test_crd_that_is_being_deleted_is_a_problem(cluster_without_crd: Cluster, doctor: Doctor) -> None:
    apply_crd(cluster_without_crd, add_finalizer)
    cluster_without_crd.kubectl("delete", "crd", NAME, "--wait=false")
    doctor.until_found("crd", "the CRD is being deleted, with all runs")
    cluster_without_crd.kubectl("patch", "crd", NAME, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


def test_crd_without_a_field_is_a_problem_for_a_user_who_may_not_read_it_too(
    cluster_without_crd: Cluster, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_crd(cluster_without_crd, remove_sensors)
    doctor.until_found("crd", "the CRD lacks 1 fields of version")
    monkeypatch.setenv("KUBECONFIG", str(cluster_without_crd.create_kubeconfig(NAMESPACE, "default")))
    doctor.until_found("crd", "such as status.sensors: the API server drops them")
