"""Manifests of Jobs. `UPDATE_GOLDEN=1 pytest ...` writes the golden files, to be reviewed as a diff."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.fleets import Fleet, parse_fleet
from scoring_operator.resources.jobs import ScorerImage, build_job, build_report_job
from tests.testkit.builders import a_batch, a_run

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
def test_manifest_is_the_golden_file(golden: str, job: dict[str, Any]) -> None:
    text = yaml.safe_dump(job, sort_keys=False)
    if os.environ.get("UPDATE_GOLDEN"):
        (HERE / golden).write_text(text)
    assert text == (HERE / golden).read_text()


def test_pod_deadline_includes_the_image_pull_and_ends_with_the_runs() -> None:
    def deadline(count: int, **spec: Any) -> int:
        pod = manifest([f"d{n}" for n in range(count)], **spec)["spec"]["template"]["spec"]
        return int(pod["activeDeadlineSeconds"])

    assert deadline(1) == 300 + 600
    assert deadline(3, deviceDeadlineSeconds=10) == 630
    assert deadline(500) == 3300


@pytest.mark.parametrize(("ttl", "expected"), [(0, 86400), (604800, 604800)])
def test_ttl_of_a_job_is_at_least_a_day(ttl: int, expected: int) -> None:
    assert manifest(["a"], ttlSecondsAfterFinished=ttl)["spec"]["ttlSecondsAfterFinished"] == expected


@pytest.mark.fault("T8")
@pytest.mark.parametrize(("device", "label"), [("press-7", "press-7"), ("a#b", "h."), ("x" * 128, "h."), ("-a", "h.")])
def test_job_with_one_device_has_a_label_with_the_device(device: str, label: str) -> None:
    labels = manifest([device])["spec"]["template"]["metadata"]["labels"]
    assert labels["fleetscore.dev/device"].startswith(label)
    assert len(labels["fleetscore.dev/device"]) <= 63


def test_secret_is_in_the_pod_by_reference_only() -> None:
    variables = manifest(["a"])["spec"]["template"]["spec"]["containers"][0]["env"]
    assert variables[-1] == {
        "name": "AZURE_STORAGE_CONNECTION_STRING",
        "valueFrom": {"secretKeyRef": {"name": "fleet-storage", "key": "connectionString"}},
    }


def test_workload_identity_sets_a_label() -> None:
    fleet = parse_fleet({"name": "f", "namespaces": ["scoring"]})
    labels = manifest(["a"], fleet)["spec"]["template"]["metadata"]["labels"]
    assert labels["azure.workload.identity/use"] == "true"


@given(
    ids=st.lists(st.text("abcXYZ0123-.%_#*?!(),:=@$'", min_size=1, max_size=128), min_size=1, max_size=5, unique=True),
    tags=st.lists(st.text(min_size=1, max_size=20), max_size=3, unique=True),
)
def test_texts_of_a_run_are_only_in_the_arguments(ids: list[str], tags: list[str]) -> None:
    plain = json.loads(json.dumps(manifest([f"d{n}" for n in range(len(ids))])))
    wild = json.loads(json.dumps(manifest(ids, tags=tags)))
    for job in (plain, wild):
        del job["spec"]["template"]["spec"]["containers"][0]["args"]
        for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
            labels.pop("fleetscore.dev/device", None)
    assert wild == plain


def test_settings_of_a_pod_are_those_of_the_fleet_and_the_image() -> None:
    pod = manifest(["a"])["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert (container["image"], container["imagePullPolicy"]) == (IMAGE.image, "IfNotPresent")
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("scorer", False)
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["volumes"] == [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}]


def test_report_job_has_an_hour_and_the_run_as_files() -> None:
    spec = report()["spec"]
    assert spec["activeDeadlineSeconds"] == 3600
    pod = spec["template"]["spec"]
    assert "activeDeadlineSeconds" not in pod
    sources = pod["volumes"][-1]["projected"]["sources"]
    assert [source["configMap"]["items"][0]["path"] for source in sources] == ["devices-0", "devices-1", "progress"]
    assert pod["containers"][0]["volumeMounts"][-1]["mountPath"] == "/run/scoring"


def test_evictions_are_ignored_and_permanent_failures_are_not_retried() -> None:
    rules = manifest(["a"])["spec"]["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["Ignore", "FailJob"]
    assert rules[0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert rules[1]["onExitCodes"]["values"] == [64, 65]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        pytest.param(None, {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}, id="not set"),
        pytest.param({}, {}, id="left out"),
        pytest.param({"runAsUser": 1000680000}, {"runAsUser": 1000680000}, id="one"),
    ],
)
def test_pod_has_the_ids_of_the_fleet_and_meets_restricted_security(
    ids: dict[str, int] | None, expected: dict[str, int]
) -> None:
    scorer = FLEET["scorer"] | ({} if ids is None else {"podSecurityContext": ids})
    fleet = parse_fleet(FLEET | {"scorer": scorer})
    job = manifest(["press-1"], fleet)
    restricted = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert job["spec"]["template"]["spec"]["securityContext"] == restricted | expected


@pytest.mark.parametrize("value", [False, True])
def test_pod_has_user_namespaces_as_the_fleet_says(value: bool) -> None:  # noqa: FBT001  # a table
    assert "hostUsers" not in manifest(["press-1"], parse_fleet(FLEET))["spec"]["template"]["spec"]
    fleet = parse_fleet(FLEET | {"scorer": FLEET["scorer"] | {"hostUsers": value}})
    assert manifest(["press-1"], fleet)["spec"]["template"]["spec"]["hostUsers"] is value
    assert b"hostUsers" not in msgspec.json.encode(fleet.storage_layout())
