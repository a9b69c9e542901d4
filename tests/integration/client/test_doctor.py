"""`doctor` on a real API server and Azurite, with the objects of the chart; each test breaks one thing on purpose."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleetscore.cli import main
from localcluster.cluster import Cluster
from localcluster.kubernetes.certificates import write_kubeconfig
from localcluster.nodes import stages
from tests.integration.client.doctor_release import CRON_JOB, FLEETS, OPERATOR, SECRET, Doctor, Release, installed


@pytest.fixture(scope="module")
def release(cluster_with_crd: Cluster, azurite: Any, helm: None) -> Iterator[Release]:  # noqa: ARG001  it builds helm
    with installed(cluster_with_crd, azurite) as found:
        yield found


@pytest.fixture
def doctor(release: Release, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    monkeypatch.setenv("KUBECONFIG", str(release.cluster.kubeconfig))
    return Doctor(release.namespace, capsys)


def test_healthy_release_has_only_oks(doctor: Doctor) -> None:
    assert doctor(code=0) == []


def test_storage_without_a_key_is_not_checked_and_the_option_is_named(doctor: Doctor) -> None:
    ((result, check, message),) = doctor("--fleet", "default", code=0)
    assert (result, check) == ("UNKNOWN", "storage")
    assert "gets no token of this user" in message


Breakage = Callable[[Release], Any]
LONG_AGO = timedelta(seconds=900_000)  # the text has the seconds until the check, which a slow machine does late


@contextmanager
def broken(release: Release, break_it: Breakage, repair: Breakage) -> Iterator[None]:
    break_it(release)
    try:
        yield
    finally:
        repair(release)


def delete(kind: str, *names: str) -> Breakage:
    return lambda release: release.kubectl("delete", kind, *names)


def reinstall(release: Release) -> None:
    release.install()


def second_operator(**pod: Any) -> Breakage:
    """Return the breakage that another operator starts, whose pods differ."""

    def add(release: Release) -> None:
        found = json.loads(release.kubectl("get", "deployment", OPERATOR, "-o", "json"))
        metadata, spec = {"name": "second", "labels": found["metadata"]["labels"]}, found["spec"]
        spec["template"]["spec"] |= pod
        release.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})

    return add


def an_object(api: str, kind: str, spec: dict[str, Any], then: Breakage) -> Breakage:
    """Return the breakage that an object rejects what is created after it."""

    def create(release: Release) -> None:
        release.apply({"apiVersion": api, "kind": kind, "metadata": {"name": "narrow"}, "spec": spec})
        then(release)

    return create


def hold_images(release: Release) -> None:
    """Let pods of the second operator wait for their image."""
    release.cluster.add_stage(
        stages.keep_pods_pending("doctor-image", reason="ErrImagePull", labels={"doctor": "image"})
    )
    template = {"metadata": {"labels": {"doctor": "image"}}}
    release.patch("deployment", "second", template=template)


def several(*steps: Breakage) -> Breakage:
    def all_of_them(release: Release) -> None:
        for step in steps:
            step(release)

    return all_of_them


def edit_fleets(release: Release) -> None:
    text = json.loads(release.kubectl("get", "configmap", FLEETS, "-o", "json"))["data"]["fleets.yaml"]
    release.kubectl("patch", "configmap", FLEETS, "-p", json.dumps({"data": {"fleets.yaml": f"{text}# by hand\n"}}))


def break_fleets(release: Release) -> None:
    release.kubectl("patch", "configmap", FLEETS, "-p", json.dumps({"data": {"fleets.yaml": "fleets: ["}}))


def place_pods(selector: dict[str, str] | None) -> Breakage:
    def patch(release: Release) -> None:
        release.patch("deployment", OPERATOR, template={"spec": {"nodeSelector": selector}})

    return patch


def set_account(name: str) -> Breakage:
    def patch(release: Release) -> None:
        job = {"spec": {"template": {"spec": {"serviceAccountName": name, "serviceAccount": name}}}}
        release.patch("cronjob", CRON_JOB, jobTemplate=job)

    return patch


def stop_firing(release: Release) -> None:
    """Let the CronJob fire last five hours ago; a run of its schedule shows that it existed then."""
    past = datetime.now(UTC) - timedelta(hours=5)
    release.patch("cronjob", CRON_JOB, schedule="0 0 1 1 *")
    patch = json.dumps({"status": {"lastScheduleTime": f"{past:%Y-%m-%dT%H:05:00Z}"}})
    release.kubectl("patch", "cronjob", CRON_JOB, "--subresource=status", "--type=merge", "-p", patch)
    release.create_run("hourly-old", past, schedule="hourly", fleet="default", suspend=True)


def fire(release: Release) -> None:
    release.kubectl("create", "job", "by-hand", f"--from=cronjob/{CRON_JOB}")


def stall_an_older_run(release: Release) -> None:
    end = datetime(2018, 8, 28, 5, tzinfo=UTC)
    release.create_run("stalled", end)
    release.set_conditions("stalled", Stalled=("FailedMount", "Secret ca does not exist"))
    release.create_run("stalled-newer", end)


def delete_container(role: str) -> Breakage:
    return lambda release: release.storage.client.delete_container(release.storage.container(role))


def create_container(role: str) -> Breakage:
    return lambda release: release.storage.azurite.create_container(release.storage.container(role))


def move_model(release: Release, old: str, new: str) -> None:
    release.storage.client.get_blob_client(release.storage.models, old).delete_blob()
    release.storage.put("models", new, b"model")


BREAKAGES: dict[str, tuple[Breakage, Breakage, str, str]] = {
    "operator-scaled": (
        lambda release: release.patch("deployment", OPERATOR, replicas=0),
        reinstall,
        "operator",
        "has 0 replicas",
    ),
    "two-operators": (second_operator(), delete("deployment", "second"), "operator", "both handle runs of"),
    "rollout": (
        place_pods({"none": "x"}),
        place_pods(None),
        "operator",
        "have the newest settings of the Deployment: Uns",
    ),
    "operator-account": (
        second_operator(serviceAccountName="other", serviceAccount="other"),
        delete("deployment", "second"),
        "operator",
        "ServiceAccount other of the operator does not exist",
    ),
    "operator-image": (
        several(second_operator(), hold_images),
        several(delete("deployment", "second"), lambda release: release.cluster.remove_stage("doctor-image")),
        "operator",
        "have the newest settings of the Deployment: ErrImagePull",
    ),
    "operator-quota": (
        an_object("v1", "ResourceQuota", {"hard": {"pods": "1"}}, second_operator()),
        several(delete("deployment", "second"), delete("resourcequota", "narrow")),
        "operator",
        "exceeded quota: narrow",
    ),
    "operator-limits": (
        an_object("v1", "LimitRange", {"limits": [{"type": "Container", "min": {"memory": "8Gi"}}]}, second_operator()),
        several(delete("deployment", "second"), delete("limitrange", "narrow")),
        "operator",
        "memory usage per Container is 8Gi",
    ),
    "fleets-by-hand": (edit_fleets, reinstall, "operator", "the fleets file was changed without the chart"),
    "fleets-invalid": (break_fleets, reinstall, "fleets", "fleets.yaml of ConfigMap fleetscore-fleets"),
    "fleets-missing": (delete("configmap", FLEETS), reinstall, "fleets", "no fleet serves namespace"),
    "lease-of-a-dead-pod": (
        lambda release: release.renew(f"{OPERATOR}-0", age=LONG_AGO, seconds=15),
        lambda release: release.renew(),
        "lease",
        "which is not a pod of this release, and was not renewed for 900,",
    ),
    "lease-not-renewed": (
        lambda release: release.renew(age=LONG_AGO, seconds=15),
        lambda release: release.renew(),
        "lease",
        "has not renewed the Lease for 900,",
    ),
    "lease-of-another": (
        lambda release: release.renew("a-laptop"),
        lambda release: release.renew(),
        "lease",
        "held by a-laptop, which is not a pod of this release",
    ),
    "right": (delete("rolebinding", OPERATOR), reinstall, "rights", "the operator may not"),
    "wrong-key": (
        lambda release: release.set_key(release.storage.connection_string.replace("AccountKey=", "AccountKey=AAAA")),
        lambda release: release.set_key(release.storage.connection_string),
        "storage",
        "rejects the key (Auth",
    ),
    "key-with-quotes": (
        lambda release: release.set_key(f'"{release.storage.connection_string}"'),
        lambda release: release.set_key(release.storage.connection_string),
        "storage",
        "key connectionString of Secret account is invalid: it has quotes around it",
    ),
    "container": (delete_container("data"), create_container("data"), "storage", "does not exist"),
    "predictions": (delete_container("predictions"), create_container("predictions"), "storage", "does not exist"),
    "models": (
        lambda release: release.storage.client.get_blob_client(release.storage.models, "press-1.joblib").delete_blob(),
        lambda release: release.storage.put("models", "press-1.joblib", b"model"),
        "models",
        "has no models",
    ),
    "models-elsewhere": (
        lambda release: move_model(release, "press-1.joblib", "v2/press-1.pkl"),
        lambda release: move_model(release, "v2/press-1.pkl", "press-1.joblib"),
        "models",
        "matches {device}.joblib; there are v2/press-1.pkl",
    ),
    "suspended": (
        lambda release: release.patch("cronjob", CRON_JOB, suspend=True),
        lambda release: release.patch("cronjob", CRON_JOB, suspend=False),
        "schedules",
        "the schedule is suspended",
    ),
    "windows": (
        stop_firing,
        several(delete("sr", "hourly-old"), delete("cronjob", CRON_JOB), reinstall),
        "schedules",
        "windows have no run: ",
    ),
    "cronjob": (delete("cronjob", CRON_JOB), reinstall, "schedules", "the CronJob of the schedule does not exist"),
    "schedule-account": (
        set_account("other"),
        set_account("fleetscore-scheduler"),
        "schedules",
        "ServiceAccount other of the schedule's Jobs does not exist",
    ),
    "schedule-job": (
        an_object("v1", "ResourceQuota", {"hard": {"pods": "0"}}, fire),
        several(delete("job", "by-hand"), delete("resourcequota", "narrow")),
        "schedules",
        "Job by-hand: FailedCreate: Error creating: pods",
    ),
    "schedule-right": (
        delete("rolebinding", "fleetscore-scheduler"),
        reinstall,
        "rights",
        "the Jobs of the schedule may",
    ),
    "stalled-run": (
        stall_an_older_run,
        delete("sr", "stalled", "stalled-newer"),
        "runs",
        "run stalled does not continue: Secret ca does not exist",
    ),
    "scorer-account": (
        delete("serviceaccount", "fleetscore-scorer"),
        reinstall,
        "identity",
        "ServiceAccount fleetscore-scorer does not exist",
    ),
    "secret-empty": (
        several(delete("secret", SECRET), lambda release: release.kubectl("create", "secret", "generic", SECRET)),
        lambda release: release.set_key(release.storage.connection_string),
        "secrets",
        "has no key connectionString",
    ),
    "secret": (
        delete("secret", SECRET),
        lambda release: release.set_key(release.storage.connection_string),
        "secrets",
        "Secret account does not exist",
    ),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_breakage_is_a_problem_with_its_cure(release: Release, doctor: Doctor, name: str) -> None:
    break_it, repair, check, text = BREAKAGES[name]
    with broken(release, break_it, repair):
        doctor.until_found(check, text, "--use-fleet-secret")


def test_release_that_was_repaired_has_only_oks(doctor: Doctor) -> None:
    assert doctor(code=0) == []


def test_unknown_fleet_is_a_problem_and_a_run_of_one_is_a_warning(release: Release, doctor: Doctor) -> None:
    doctor.until_found("fleets", "no fleet nonesuch serves namespace", "--fleet", "nonesuch")
    with broken(
        release, lambda one: one.create_run("stray", datetime.now(UTC), fleet="nonesuch"), delete("sr", "stray")
    ):
        doctor.until_found("fleets", "run stray names fleet nonesuch", "--use-fleet-secret", result="WARNING")


def test_lease_of_a_pod_that_has_just_ended_is_a_warning(release: Release, doctor: Doctor) -> None:
    with broken(release, lambda one: one.renew(f"{OPERATOR}-0"), lambda one: one.renew()):
        doctor.until_found("lease", "which has ended; another pod takes it", "--use-fleet-secret", result="WARNING")


def test_namespace_that_does_not_exist_or_is_deleted_is_a_problem(release: Release, doctor: Doctor) -> None:
    doctor.until_found("namespace", "the namespace does not exist", "-n", "nonesuch")
    name, kept = f"{release.namespace}-old", {"apiVersion": "v1", "kind": "ConfigMap"}
    release.cluster.create_namespace(name)
    metadata = {"name": "kept", "namespace": name, "finalizers": ["example.com/hold"]}
    release.cluster.kubectl("apply", "-f", "-", input=json.dumps({**kept, "metadata": metadata}))
    release.cluster.kubectl("delete", "namespace", name, "--wait=false")
    doctor.until_found("namespace", "the namespace is in the phase Terminating", "-n", name)
    release.cluster.kubectl("-n", name, "patch", "configmap", "kept", "-p", '{"metadata":{"finalizers":null}}')


def test_user_without_rights_learns_each_missing_one(
    release: Release, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = release.cluster.create_kubeconfig(release.namespace, "default")
    monkeypatch.setenv("KUBECONFIG", str(account))
    found = doctor()
    assert {check for result, check, _ in found if result == "PROBLEM"} == {"user"}
    unseen = {"namespace", "operator", "fleets", "schedules"}
    assert {check for result, check, _ in found if result == "UNKNOWN"} == unseen
    assert all("this user may not" in message for _, _, message in found)


def test_rejected_login_is_one_error(
    release: Release, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, cluster = tmp_path / "kubeconfig", release.cluster
    write_kubeconfig(path, server=cluster.server, ca=cluster.ca_certificate, user={"token": "of-yesterday"})
    monkeypatch.setenv("KUBECONFIG", str(path))
    assert main(["doctor"]) == 1
    assert "rejects the credentials of this user (401); log in again" in capsys.readouterr().err
