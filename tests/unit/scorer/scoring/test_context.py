"""The state that devices of one process share, and their deadlines."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_scorer.errors import (
    ConfigurationInvalid,
    DeadlineExceeded,
    DeviceError,
    IdentityUnavailable,
    StorageUnavailable,
)
from device_scorer.scoring.context import (
    LISTING_PAGE_SIZE,
    DeviceDeadline,
    ExistingPredictions,
    ForeignVersions,
    SuccessMarker,
)
from device_scorer.store.base import BlobInfo
from device_scorer.store.folder import FolderStore
from tests.testkit.scorer_fleet import Fleet
from tests.unit.scorer.fixture.make import FOLDER


def test_foreign_version_is_logged_once_per_process(fleet: Fleet) -> None:
    models = (FOLDER / "versions" / "1.1.3.joblib").read_bytes()
    devices = [fleet.device(f"press-{number}", models=models) for number in range(5)]
    assert fleet.score(devices=devices).err.count("scikit-learn 1.1.3") == 1


def test_pinned_version_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    versions = ForeignVersions()
    versions.log_new(["1.9.1", "1.2.2"])
    versions.log_new(["1.2.2", "1.1.3"])
    logged = capsys.readouterr().err
    assert [logged.count(f"fitted by scikit-learn {version} ") for version in ("1.9.1", "1.2.2", "1.1.3")] == [0, 1, 1]


class CountingStore(FolderStore):
    """A store that records its requests for properties and lists."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.heads: list[str] = []
        self.lists: list[str] = []
        self.deletes: list[str] = []
        self.listed = 0

    def head(self, container: str, name: str) -> BlobInfo | None:
        self.heads.append(name)
        return super().head(container, name)

    def list(self, container: str, prefix: str = "", *, with_metadata: bool = True) -> Iterator[BlobInfo]:
        assert not with_metadata
        self.lists.append(prefix)
        for path in sorted((self._folder / container).rglob("*.csv")):
            name = path.relative_to(self._folder / container).as_posix()
            if name.startswith(prefix):
                self.listed += 1
                yield BlobInfo(name, 1, "etag")

    def delete(self, container: str, name: str) -> None:
        self.deletes.append(f"{container}/{name}")


class FolderListingStore(CountingStore):
    """A store that reads all names of a folder in order to list some."""

    lists_whole_folders = True


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    for name in ("w/a-1.csv", "w/a-2.csv", "w/a-3.csv"):
        FolderStore(tmp_path).write("predictions", name, b"content")
    return CountingStore(tmp_path)


NAMES = ["w/a-1.csv", "w/a-2.csv", "w/a-9.csv"]


def test_predictions_of_several_devices_are_checked_by_one_listing(store: CountingStore) -> None:
    existing = ExistingPredictions(NAMES)
    deadline = DeviceDeadline(store, 30)
    found = [existing.head(name, deadline) is not None for name in NAMES]
    assert found == [True, True, False]
    assert (store.lists, store.heads) == (["w/a-"], NAMES[:2])


def test_predictions_of_one_device_are_checked_without_a_listing(store: CountingStore) -> None:
    assert ExistingPredictions(NAMES[:1]).head(NAMES[0], DeviceDeadline(store, 30)) is not None
    assert (store.lists, store.heads) == ([], NAMES[:1])


def test_name_outside_the_listed_page_is_checked_individually(store: CountingStore) -> None:
    existing = ExistingPredictions(NAMES, page_size=2)
    deadline = DeviceDeadline(store, 30)
    assert existing.head("w/a-1.csv", deadline) is not None
    assert existing.head("w/a-3.csv", deadline) is not None
    assert (store.lists, store.heads) == (["w/a-"], ["w/a-1.csv", "w/a-3.csv"])


def test_listing_of_a_folder_with_predictions_of_other_devices_ends_after_a_page(tmp_path: Path) -> None:
    names = [f"w/b-{number}.csv" for number in range(3)]
    for name in (*names[:2], *(f"w/{letter}-{number}.csv" for letter in "ac" for number in range(20))):
        FolderStore(tmp_path).write("predictions", name, b"content")
    store = FolderListingStore(tmp_path)
    existing, deadline = ExistingPredictions(names, page_size=5), DeviceDeadline(store, 30)
    assert [existing.head(name, deadline) is not None for name in names] == [True, True, False]
    assert (store.lists, store.listed, store.heads) == (["w/"], 5, names)
    narrow = CountingStore(tmp_path)
    existing = ExistingPredictions(names, page_size=5)
    assert [existing.head(name, DeviceDeadline(narrow, 30)) is not None for name in names] == [True, True, False]
    assert (narrow.lists, narrow.listed, narrow.heads) == (["w/b-"], 2, names[:2])


def test_listing_of_names_without_a_common_folder_has_no_prefix(tmp_path: Path) -> None:
    existing, store = ExistingPredictions(["a-1/w.csv", "a-2/w.csv"]), FolderListingStore(tmp_path)
    (tmp_path / "predictions").mkdir()
    assert existing.head("a-1/w.csv", DeviceDeadline(store, 30)) is None
    assert (store.lists, store.heads) == ([""], [])


def test_page_of_a_listing_has_5000_blobs() -> None:
    assert LISTING_PAGE_SIZE == 5_000


@pytest.mark.parametrize("kind", [ConfigurationInvalid, IdentityUnavailable])
def test_forbidden_listing_is_logged_and_devices_are_checked_individually(
    store: CountingStore, kind: type[DeviceError], capsys: pytest.CaptureFixture[str]
) -> None:
    class Forbidden(CountingStore):
        def list(self, container: str, prefix: str = "", *, with_metadata: bool = True) -> Iterator[BlobInfo]:
            assert not with_metadata
            raise kind(f"{container}/{prefix} cannot be listed")

    forbidden = Forbidden(store._folder)
    existing, deadline = ExistingPredictions(NAMES), DeviceDeadline(forbidden, 30)
    assert [existing.head(name, deadline) is not None for name in NAMES] == [True, True, False]
    assert capsys.readouterr().err.count("each device is checked individually") == 1
    assert forbidden.heads == NAMES


def test_listing_that_exceeds_the_deadline_of_a_waiting_device_is_a_transient_error(store: CountingStore) -> None:
    started, free = threading.Event(), threading.Event()

    class Slow(CountingStore):
        def list(self, container: str, prefix: str = "", *, with_metadata: bool = True) -> Iterator[BlobInfo]:
            started.set()
            free.wait(120)
            yield from super().list(container, prefix, with_metadata=with_metadata)

    slow = Slow(store._folder)
    existing = ExistingPredictions(NAMES)
    first = threading.Thread(target=lambda: existing.head(NAMES[0], DeviceDeadline(slow, 600)))
    first.start()
    assert started.wait(120)
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="before the deadline"):
        existing.head(NAMES[1], DeviceDeadline(slow, 0.1))
    free.set()
    first.join()
    assert 0.1 <= time.monotonic() - began < 60  # far less than the listing lasts


def test_deadline_that_is_over_raises(store: CountingStore) -> None:
    DeviceDeadline(store, 30).check()
    with pytest.raises(DeadlineExceeded):
        DeviceDeadline(store, -1).check()


def test_abandoned_device_has_exceeded_its_deadline(store: CountingStore) -> None:
    deadline = DeviceDeadline(store, 30)
    deadline.abandon()
    assert deadline.abandoned
    with pytest.raises(DeadlineExceeded):
        deadline.check()


def test_device_uses_a_view_of_the_store_that_ends_at_its_deadline() -> None:
    class View(FolderStore):
        in_call = False
        deadline = 0.0

        def with_deadline(self, deadline: float) -> "View":
            view = View(Path("unused"))
            view.deadline = deadline
            return view

    deadline = DeviceDeadline(View(Path("unused")), 30)
    assert isinstance(deadline.store, View)
    assert deadline.store.deadline == deadline.ends_at
    assert not deadline.waits_for_storage
    deadline.store.in_call = True
    assert deadline.waits_for_storage


def test_success_marker_is_removed_once_per_process(store: CountingStore) -> None:
    marker = SuccessMarker()
    for _ in range(3):
        marker.remove_before_write(store, "w")
    assert store.deletes == ["predictions/w/_SUCCESS"]


def test_success_marker_that_cannot_be_removed_is_a_warning(
    store: CountingStore, capsys: pytest.CaptureFixture[str]
) -> None:
    class Forbidden(CountingStore):
        def delete(self, container: str, name: str) -> None:
            raise ConfigurationInvalid(f"{container}/{name} cannot be deleted")

    SuccessMarker().remove_before_write(Forbidden(store._folder), "w")
    assert "cannot remove w/_SUCCESS" in capsys.readouterr().err
