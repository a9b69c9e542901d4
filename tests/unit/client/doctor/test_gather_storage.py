"""The facts of the storage of a fleet, from a store in a folder and from the errors of an account."""

import json
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError

from device_scorer.notify.outbox import Entry, Outbox, encode_outbox
from fleetscore.cluster.connection import Cluster
from fleetscore.contract.fleets import FleetLayout
from fleetscore.doctor.facts import Container, Models, Notices
from fleetscore.doctor.findings import Unseen
from fleetscore.doctor.gather_storage import (
    access_failure,
    read_models,
    read_notices,
    storage_tasks,
)
from fleetscore.errors import AccessDenied, FleetscoreError, NotFound
from fleetscore.store.folder import FolderStore

URL = "https://a.blob.core.windows.net"


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
    for name in ("models", "predictions/_outbox"):
        (tmp_path / name).mkdir(parents=True)
    return FolderStore(tmp_path)


def test_models_are_counted_and_other_names_are_kept(store: FolderStore, tmp_path: Path) -> None:
    assert read_models(store, FleetLayout()) == Models(0, (), 1000)
    for name in ("press-1.joblib", "press-2.joblib", "notes.txt"):
        (tmp_path / "models" / name).touch()
    assert read_models(store, FleetLayout()) == Models(2, ("notes.txt",), 1000)
    elsewhere = read_models(store, FleetLayout(models_path="v2/{device}.joblib"))
    assert (elsewhere.devices, elsewhere.others) == (0, ("notes.txt", "press-1.joblib", "press-2.joblib"))


def test_notices_are_those_of_the_outbox(store: FolderStore, tmp_path: Path) -> None:
    assert read_notices(store, "default") == Notices()
    outbox = {"v": 1, "pending": [["hook", "1", {}], ["hook", "2", {}], ["alerts", "3", {}]], "dropped": 4}
    (tmp_path / "predictions/_outbox/default.json").write_text(json.dumps(outbox))
    assert read_notices(store, "default") == Notices({"hook": 2, "alerts": 1}, 4)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"[" * 100_000], ids=["empty", "list", "broken", "deep"])
def test_damaged_outbox_counts_as_empty(store: FolderStore, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "predictions/_outbox/default.json").write_bytes(content)
    assert read_notices(store, "default") == Notices()


def test_outbox_of_the_scorer_is_understood(store: FolderStore, tmp_path: Path) -> None:
    outbox = Outbox(pending=(Entry("hook", "1", {}), Entry("hook", "2", {}), Entry("alerts", "1", {})), dropped=2)
    (tmp_path / "predictions/_outbox/default.json").write_bytes(encode_outbox(outbox))
    assert read_notices(store, "default") == Notices({"hook": 2, "alerts": 1}, 2)


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
    found, tasks = storage_tasks(cluster, layout, environment, use_fleet_secret=False, notices=False)
    assert isinstance(found, kind)
    assert text in found.reason
    assert not tasks


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("KeyBasedAuthenticationNotPermitted", "set storage.auth to workloadIdentity"),
        ("AuthorizationPermissionMismatch", "permissions to read and to list"),
        ("AccountIsDisabled", "enable the storage account"),
    ],
)
def test_code_that_no_other_key_removes_has_a_cure_of_its_own(code: str, cure: str) -> None:
    found = access_failure(denied(code), URL, "m", has_key=True)
    assert isinstance(found, Container)
    assert cure in found.cure
    assert "copy the key again" not in found.cure
