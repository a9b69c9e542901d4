"""The chart's life with real containers: installed, tested by `helm test`, upgraded under a run, taken away."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from tests.testkit.release import BEFORE, KEY, SECRET, Release
from tests.testkit.waiting import until


def blobs(release: Release) -> set[str]:
    return {f"{role}/{name}" for role in ("models", "data", "predictions") for name in release.storage.names(role)}


def helm_test(release: Release) -> str:
    done = release.helm("test", "fleetscore", "--timeout", "4m")
    told = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, f"{told}\n{release.kubectl('get', 'pods,scoringruns')}"
    return told


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
    told = helm_test(release)
    assert "self-check only: this account may not write readings and models" in told
    assert "Self-check only: the operator created the Job, and its pod read the storage" in told
    assert sas.partition("sig=")[2] not in told


def jobs_of(release: Release, run: str) -> dict[str, str]:
    listed = release.get("jobs", "-l", f"fleetscore.dev/run={run}")["items"]
    return {job["metadata"]["uid"]: json.dumps(job["spec"], sort_keys=True) for job in listed}


@pytest.fixture
def elsewhere(release: Release) -> Iterator[Release]:
    """The same release as seen from a second namespace."""
    there = replace(release, namespace=f"{release.namespace}-two")
    there.prepare({KEY: release.storage.connection_string})
    yield there
    there.uninstall()


def test_an_upgrade_disturbs_no_run_a_second_fleet_works_helm_test_scores_a_device_and_uninstall_keeps_runs(
    release: Release, elsewhere: Release, fleet_of: Callable[[int], Path]
) -> None:
    release.upload(fleet_of(8))
    release.install(BEFORE)
    release.start_run("active", parallelism=2)
    until(lambda: release.more_jobs_than("active", 1), seconds=90, description="a run under way")
    spec, before = release.get("scoringrun", "active")["spec"], jobs_of(release, "active")

    container = f"{release.storage.predictions}-two"
    release.storage.azurite.create_container(container)
    release.fleets = [release.fleet(), release.fleet("second", container) | {"namespaces": [elsewhere.namespace]}]
    release.helm_upgrade(watch={"namespaces": [release.namespace, elsewhere.namespace]})
    assert before.items() <= jobs_of(release, "active").items()
    release.wait_for_end("active")
    assert release.devices("active") == {"total": 8, "scored": 8}
    assert set(release.created_jobs("active").values()) == {1}
    # A field that is new has its default now; all others are as they were.
    assert spec.items() <= release.get("scoringrun", "active")["spec"].items()

    elsewhere.start_run("other", fleet="second")
    elsewhere.wait_for_end("other")
    assert elsewhere.devices("other") == {"total": 8, "scored": 8}
    assert elsewhere.predictions(container) == release.predictions()

    there = blobs(release)
    told = helm_test(release)
    assert "scored its device: 60 rows, 1 anomalies" in told
    assert "was scored: 60 predictions, the one anomaly found" in told
    assert {name for name in blobs(release) ^ there if "/_runs/" not in name} == set()
    assert release.get("pods,roles", "-l", "app.kubernetes.io/component=test")["items"] == []

    kept = release.get("scoringrun", "active")["status"]["devices"]
    done = release.helm("uninstall", "fleetscore", "--wait", "--timeout", "2m")
    assert done.returncode == 0, done.stderr
    assert release.get("scoringrun", "active")["status"]["devices"] == kept
    assert elsewhere.get("scoringrun", "other")["status"]["phase"] == "Complete"
    ours = ("-l", "app.kubernetes.io/part-of=fleetscore,app.kubernetes.io/managed-by=Helm")
    for namespace in (release, elsewhere):
        assert namespace.get("deployments,serviceaccounts,roles,rolebindings,configmaps", *ours)["items"] == []
