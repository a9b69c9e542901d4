"""The life of a release with real containers: helm test, an upgrade during a run, uninstall."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from localcluster.addons.azurite import Azurite
from localcluster.cluster import Cluster
from tests.testkit.conditions import condition
from tests.testkit.release import BEFORE, KEY, SECRET, Release, new_release
from tests.testkit.waiting import until

DEVICES = 8


def blobs(release: Release) -> set[str]:
    return {f"{role}/{name}" for role in ("models", "data", "predictions") for name in release.storage.names(role)}


def helm_test(release: Release) -> str:
    done = release.helm("test", "fleetscore", "--timeout", "8m")
    output = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, f"{output}\n{release.kubectl('get', 'pods,scoringruns')}"
    return output


def test_helm_test_without_write_access_reports_a_self_check(release: Release) -> None:
    credential = release.storage.client.credential
    sas = generate_account_sas(
        credential.account_name,
        credential.account_key,
        resource_types=ResourceTypes(service=True, container=True, object=True),
        permission=AccountSasPermissions(read=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    fleet = release.fleet()
    fleet["storage"]["existingSecret"] = {"name": SECRET, "key": "sas", "kind": "sas"}
    release.fleets = [fleet]
    release.prepare({"sas": sas})
    release.helm_upgrade()
    output = helm_test(release)
    assert "self-check only: this account may not write readings and models" in output
    assert "Self-check only: the operator created the Job, and its pod read the storage" in output
    assert sas.partition("sig=")[2] not in output


def jobs_of(release: Release, run: str) -> dict[str, str]:
    listed = release.get("jobs", "-l", f"fleetscore.dev/run={run}")["items"]
    return {job["metadata"]["uid"]: json.dumps(job["spec"], sort_keys=True) for job in listed}


@dataclass(frozen=True)
class Upgrade:
    """A release that was upgraded while a run was active, with a second fleet in a second namespace.

    Attributes:
        release: The release.
        elsewhere: The release as seen from the second namespace.
        container: The predictions container of the second fleet.
        spec: The spec of the active run before the upgrade.
        jobs_before: The Jobs of the active run before the upgrade, by uid.
        jobs_after: Its Jobs just after the upgrade.
    """

    release: Release
    elsewhere: Release
    container: str
    spec: dict[str, Any]
    jobs_before: dict[str, str]
    jobs_after: dict[str, str]


@pytest.fixture(scope="module")
def upgrade(loaded_cluster: Cluster, pods_azurite: Azurite, fleet_of: Callable[[int], Path]) -> Iterator[Upgrade]:
    """Install the published chart, start a run, and upgrade to this chart with a second fleet."""
    with new_release(loaded_cluster, pods_azurite) as release:
        elsewhere = replace(release, namespace=f"{release.namespace}-two")
        elsewhere.prepare({KEY: release.storage.connection_string})
        release.upload(fleet_of(DEVICES))
        release.install(BEFORE)
        release.start_run("active", parallelism=2)
        until(lambda: release.more_jobs_than("active", 1), "the run has Jobs", seconds=180)
        spec, before = release.get("scoringrun", "active")["spec"], jobs_of(release, "active")
        container = f"{release.storage.predictions}-two"
        release.storage.azurite.create_container(container)
        release.fleets = [release.fleet(), release.fleet("second", container) | {"namespaces": [elsewhere.namespace]}]
        release.helm_upgrade(watch={"namespaces": [release.namespace, elsewhere.namespace]})
        yield Upgrade(release, elsewhere, container, spec, before, jobs_of(release, "active"))
        elsewhere.uninstall()


def report_has_ended(status: dict[str, Any]) -> bool:
    return condition(status, "Reported").get("status") in ("True", "False")


@pytest.fixture(scope="module")
def finished_run(upgrade: Upgrade) -> Upgrade:
    """Wait for the end of the run that was active during the upgrade, and of its report."""
    upgrade.release.wait_for_end("active")
    until(lambda: report_has_ended(upgrade.release.status("active")), "the end of the report", seconds=300)
    return upgrade


@pytest.fixture(scope="module")
def second_run(finished_run: Upgrade) -> Upgrade:
    """Run the second fleet in the second namespace."""
    finished_run.elsewhere.start_run("other", fleet="second")
    finished_run.elsewhere.wait_for_end("other")
    return finished_run


def test_upgrade_keeps_the_jobs_of_an_active_run(upgrade: Upgrade) -> None:
    assert upgrade.jobs_before.items() <= upgrade.jobs_after.items()


def test_run_that_is_active_during_an_upgrade_creates_each_job_once(finished_run: Upgrade) -> None:
    release = finished_run.release
    assert release.devices("active") == {"total": DEVICES, "scored": DEVICES}
    assert set(release.created_jobs("active").values()) == {1}
    # A field that is new has its default now; all others are unchanged.
    assert finished_run.spec.items() <= release.get("scoringrun", "active")["spec"].items()


def test_second_fleet_scores_its_devices_in_its_own_namespace(second_run: Upgrade) -> None:
    elsewhere = second_run.elsewhere
    assert elsewhere.devices("other") == {"total": DEVICES, "scored": DEVICES}
    assert elsewhere.predictions(second_run.container) == second_run.release.predictions()


def test_helm_test_scores_a_device_and_leaves_no_remains(second_run: Upgrade) -> None:
    release = second_run.release
    before = blobs(release)
    output = helm_test(release)
    assert "scored its device: 60 rows, 1 anomalies" in output
    assert "was scored: 60 predictions, the one anomaly found" in output
    assert {name for name in blobs(release) ^ before if "/_runs/" not in name} == set()
    assert release.get("pods,roles", "-l", "app.kubernetes.io/component=test")["items"] == []


def test_uninstall_keeps_runs_and_deletes_every_other_object(second_run: Upgrade) -> None:
    """The last test of this release."""
    release, elsewhere = second_run.release, second_run.elsewhere
    kept = release.get("scoringrun", "active")["status"]["devices"]
    done = release.helm("uninstall", "fleetscore", "--wait", "--timeout", "5m")
    assert done.returncode == 0, done.stderr
    assert release.get("scoringrun", "active")["status"]["devices"] == kept
    assert elsewhere.get("scoringrun", "other")["status"]["phase"] == "Complete"
    ours = ("-l", "app.kubernetes.io/part-of=fleetscore,app.kubernetes.io/managed-by=Helm")
    for namespace in (release, elsewhere):
        assert namespace.get("deployments,serviceaccounts,roles,rolebindings,configmaps", *ours)["items"] == []
