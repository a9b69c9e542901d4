"""The Job manifest. `UPDATE_GOLDEN=1 pytest ...` writes the golden file anew, to be reviewed as a diff."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.fleets import Fleet, parse_fleet
from scoring_operator.resources.jobs import ScorerImage, build_job, build_report_job
from tests.operator.builders import a_batch, a_run

HERE = Path(__file__).parent
IMAGE = ScorerImage("registry.example/scorer@sha256:abc", "IfNotPresent", ("pull",))
FLEET: dict[str, Any] = {
    "name": "default",
    "namespaces": ["scoring"],
    "storage": {
        "accountUrl": "https://account.blob.core.windows.net",
        "auth": "existingSecret",
        "existingSecret": {"name": "fleet-storage", "key": "connectionString"},
    },
    "scorer": {
        "serviceAccountName": "scorer",
        "nodeSelector": {"agentpool": "scoring"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "priorityClassName": "batch-low",
        "labels": {"kueue.x-k8s.io/queue-name": "scoring"},
        "podAnnotations": {"note": "x"},
    },
}


def manifest(devices: list[str], fleet: Fleet | None = None, **spec: Any) -> dict[str, Any]:
    positions = "0" if len(devices) == 1 else f"0-{len(devices) - 1}"
    return build_job(
        a_run(**spec), fleet or parse_fleet(FLEET), IMAGE, name="hourly-abc", batch=a_batch(positions), devices=devices
    )


def report(**spec: Any) -> dict[str, Any]:
    return build_report_job(a_run(**spec), parse_fleet(FLEET), IMAGE, device_list_names=["list-1", "list-2"])


@pytest.mark.parametrize(
    ("golden", "job"),
    [("job.golden.yaml", manifest(["press-1", "press-2"], tags=["4"])), ("report.golden.yaml", report())],
)
def test_the_whole_manifest_is_as_reviewed(golden: str, job: dict[str, Any]) -> None:
    text = yaml.safe_dump(job, sort_keys=False)
    if os.environ.get("UPDATE_GOLDEN"):
        (HERE / golden).write_text(text)
    assert text == (HERE / golden).read_text()


@pytest.mark.parametrize("source", [{"ids": ["a"]}, {"include": ["a*"]}, {"retryOf": {"name": "earlier"}}])
def test_the_report_of_a_run_over_some_devices_counts_the_others_too(source: dict[str, Any]) -> None:
    def arguments(job: dict[str, Any]) -> list[str]:
        return list(job["spec"]["template"]["spec"]["containers"][0]["args"])

    assert arguments(report(devices=source)) == [*arguments(report()), "--include-modelled"]


def test_the_pods_deadline_leaves_time_for_the_image_but_not_more_than_the_run_has() -> None:
    def deadline(count: int, **spec: Any) -> int:
        pod = manifest([f"d{n}" for n in range(count)], **spec)["spec"]["template"]["spec"]
        return int(pod["activeDeadlineSeconds"])

    assert deadline(1) == 300 + 600
    assert deadline(3, deviceDeadlineSeconds=10) == 630
    assert deadline(500) == 3300


@pytest.mark.parametrize(("ttl", "expected"), [(0, 86400), (604800, 604800)])
def test_a_jobs_own_time_to_live_is_a_backstop(ttl: int, expected: int) -> None:
    assert manifest(["a"], ttlSecondsAfterFinished=ttl)["spec"]["ttlSecondsAfterFinished"] == expected


@pytest.mark.fault("T8")
@pytest.mark.parametrize(("device", "label"), [("press-7", "press-7"), ("a#b", "h."), ("x" * 128, "h."), ("-a", "h.")])
def test_a_one_device_job_is_found_by_its_device(device: str, label: str) -> None:
    labels = manifest([device])["spec"]["template"]["metadata"]["labels"]
    assert labels["fleetscore.dev/device"].startswith(label)
    assert len(labels["fleetscore.dev/device"]) <= 63


def test_a_secret_reaches_the_pod_by_reference_only() -> None:
    variables = manifest(["a"])["spec"]["template"]["spec"]["containers"][0]["env"]
    assert variables[-1] == {
        "name": "AZURE_STORAGE_CONNECTION_STRING",
        "valueFrom": {"secretKeyRef": {"name": "fleet-storage", "key": "connectionString"}},
    }


def test_workload_identity_is_asked_for_by_a_label() -> None:
    fleet = parse_fleet({"name": "f", "namespaces": ["scoring"]})
    labels = manifest(["a"], fleet)["spec"]["template"]["metadata"]["labels"]
    assert labels["azure.workload.identity/use"] == "true"


@given(
    ids=st.lists(st.text("abcXYZ0123-.%_#*?!(),:=@$'", min_size=1, max_size=128), min_size=1, max_size=5, unique=True),
    tags=st.lists(st.text(min_size=1, max_size=20), max_size=3, unique=True),
)
def test_nothing_of_a_run_reaches_more_of_a_pod_than_its_arguments_and_numbers(ids: list[str], tags: list[str]) -> None:
    plain = json.loads(json.dumps(manifest([f"d{n}" for n in range(len(ids))])))
    wild = json.loads(json.dumps(manifest(ids, tags=tags)))
    for job in (plain, wild):
        del job["spec"]["template"]["spec"]["containers"][0]["args"]
        for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
            labels.pop("fleetscore.dev/device", None)
    assert wild == plain
