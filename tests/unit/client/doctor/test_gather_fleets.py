"""The facts of fleets, from a store in a folder and from the errors of an account."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError

from device_scorer.notify.outbox import Entry, Outbox, encode_outbox
from fleetscore.cluster.connection import Cluster
from fleetscore.contract.fleets import FleetLayout
from fleetscore.contract.schedules import Schedule
from fleetscore.doctor.facts import Container, Models, Notices, SecretState
from fleetscore.doctor.findings import Unseen
from fleetscore.doctor.gather_fleets import (
    MAX_MODELS,
    _storage_tasks,
    access_failure,
    missing_windows,
    read_models,
    read_notices,
    secret_state,
)
from fleetscore.errors import AccessDenied, FleetscoreError, NotFound
from fleetscore.store.folder import FolderStore

URL = "https://a.blob.core.windows.net"
RUN = {"spec": {"window": {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}}}


def denied(code: str) -> AccessDenied:
    cause = HttpResponseError(code)
    cause.error_code = code  # type: ignore[attr-defined]
    error = AccessDenied("container models rejects this network; add it to the account's firewall")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "has_key", "found"),
    [
        (NotFound("container m does not exist; check"), False, Container("container m does not exist", "check")),
        (denied("AuthorizationFailure"), False,
         Unseen("container models rejects this network", "add it to the account's firewall")),
    ],
    ids=["missing", "network"],
)  # fmt: skip
def test_failure_of_a_container_has_its_reason(error: FleetscoreError, found: object, *, has_key: bool) -> None:
    assert access_failure(error, URL, "m", has_key=has_key) == found


def test_wrong_key_is_a_problem_and_a_missing_role_of_the_user_is_not() -> None:
    key = access_failure(denied("AuthenticationFailed"), URL, "m", has_key=True)
    assert isinstance(key, Container)
    assert key.reason == f"{URL} rejects the key (AuthenticationFailed)"
    key = access_failure(denied("AuthorizationFailure"), URL, "m", has_key=True)  # Azurite's code for a wrong key
    assert isinstance(key, Container)
    assert key.cure.endswith("add this network to the account's firewall")
    role = access_failure(denied("AuthorizationPermissionMismatch"), URL, "m", has_key=False)
    assert isinstance(role, Unseen)
    assert "role Storage Blob Data Reader" in role.cure


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    for name in ("models", "predictions/_outbox", "predictions/20180828T230000Z_20180829T000000Z"):
        (tmp_path / name).mkdir(parents=True)
    return FolderStore(tmp_path)


def test_models_are_counted_and_other_names_are_kept(store: FolderStore, tmp_path: Path) -> None:
    assert read_models(store, FleetLayout()) == Models(0, (), MAX_MODELS)
    for name in ("press-1.joblib", "press-2.joblib", "notes.txt"):
        (tmp_path / "models" / name).touch()
    assert read_models(store, FleetLayout()) == Models(2, ("notes.txt",), MAX_MODELS)
    elsewhere = read_models(store, FleetLayout(models_path="v2/{device}.joblib"))
    assert (elsewhere.devices, elsewhere.others) == (0, ("notes.txt", "press-1.joblib", "press-2.joblib"))


def test_notices_are_those_of_outbox_and_report(store: FolderStore, tmp_path: Path) -> None:
    assert read_notices(store, "default", None) == Notices()
    outbox = {"v": 1, "pending": [["hook", "1", {}], ["hook", "2", {}], ["alerts", "3", {}]], "dropped": 4}
    (tmp_path / "predictions/_outbox/default.json").write_text(json.dumps(outbox))
    problems = ["a notice is not delivered: hook: 503", "history file x is damaged"]
    summary = tmp_path / "predictions/20180828T230000Z_20180829T000000Z/_summary.json"
    summary.write_text(json.dumps({"problems": problems}))
    assert read_notices(store, "default", RUN) == Notices({"hook": 2, "alerts": 1}, 4, (problems[0],))


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"[" * 100_000], ids=["empty", "list", "broken", "deep"])
def test_damaged_outbox_counts_as_empty(store: FolderStore, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "predictions/_outbox/default.json").write_bytes(content)
    assert read_notices(store, "default", None) == Notices()


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ([], SecretState.PRESENT),
        ([{"fieldsV1": {"f:type": {}}}], SecretState.PRESENT),
        (
            [{"fieldsV1": {"f:data": {".": {}, "f:sas": {}}}}, {"fieldsV1": {"f:data": {"f:key": {}}}}],
            SecretState.PRESENT,
        ),
        ([{"fieldsV1": {"f:data": {".": {}, "f:sas": {}}}}, {}], SecretState.WITHOUT_KEY),
    ],
    ids=["unknown", "no-data", "present", "without-key"],
)
def test_key_of_a_secret_is_known_without_its_value(fields: list[dict[str, object]], state: SecretState) -> None:
    assert secret_state({"metadata": {"managedFields": fields}}, "key") is state


def test_outbox_of_the_scorer_is_understood(store: FolderStore, tmp_path: Path) -> None:
    outbox = Outbox(pending=(Entry("hook", "1", {}), Entry("hook", "2", {}), Entry("alerts", "1", {})), dropped=2)
    (tmp_path / "predictions/_outbox/default.json").write_bytes(encode_outbox(outbox))
    assert read_notices(store, "default", None) == Notices({"hook": 2, "alerts": 1}, 2)


def test_windows_without_a_run_are_missing() -> None:
    schedule, now = Schedule("hourly", "default"), datetime.now(UTC)
    found = missing_windows(schedule, now - timedelta(hours=3), [])
    assert isinstance(found, tuple)
    assert [one.length for one in found] == [timedelta(hours=1)] * len(found)
    assert len(found) in (2, 3)
    assert missing_windows(schedule, now, []) == ()
    assert missing_windows(schedule, now, Unseen("no", "ask")) == Unseen("no", "ask")


@pytest.mark.parametrize(
    ("url", "environment", "kind", "text"),
    [
        ("http://10.0.0.1:10000/devstoreaccount1", {}, Unseen, "gets no token of this user"),
        (URL, {"AZURE_STORAGE_CONNECTION_STRING": "x"}, Container, "it is not a connection string"),
        ("", {}, Container, "no storage account is known"),
    ],
    ids=["no-key", "broken-key", "no-account"],
)
@pytest.mark.usefixtures("fake_release")
def test_storage_without_a_usable_credential_has_a_reason(
    url: str, environment: dict[str, str], kind: type[Container | Unseen], text: str
) -> None:
    layout = FleetLayout(account_url=url)
    cluster = Cluster.connect()
    found, tasks = _storage_tasks(cluster, layout, None, environment, use_fleet_secret=False, notices=False)
    assert isinstance(found, kind)
    assert text in found.reason
    assert not tasks
