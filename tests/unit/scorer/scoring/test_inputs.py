"""Reading of a device's inputs."""

import hashlib
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sklearn

from device_scorer.errors import DataTooLarge, DeadlineExceeded, ModelInvalid, ModelNotFound, StorageUnavailable
from device_scorer.scoring.context import (
    LARGE_MODEL_BYTES,
    LARGE_READINGS_BYTES,
    MAX_WAITED_DEADLINES,
    DeviceDeadline,
    ScoringContext,
)
from device_scorer.scoring.device import score_device
from device_scorer.scoring.inputs import (
    MAX_CHECKED_PARTITIONS,
    MAX_VERSIONS_CHARS,
    current_input_versions,
    load_bundle,
    read_partitions,
)
from device_scorer.scoring.predictions import InputVersions
from device_scorer.scoring.request import ScoreRequest
from device_scorer.scoring.scorer import Scorer
from device_scorer.scoring.worker_pool import WorkerPool
from device_scorer.settings import Limits, Settings
from device_scorer.store.base import NO_METADATA, Blob
from device_scorer.store.folder import FolderStore
from device_scorer.window import Window
from tests.testkit.scorer_command import scorer
from tests.testkit.scorer_fleet import WINDOW, Fleet, a_model, bundle, csv_of
from tests.testkit.waiting import until

MODEL = "press-1.joblib"
DATA = "20180828T2300Z/press-1.csv"


def a_context(fleet: Fleet, store: FolderStore | None = None, **limits: int) -> ScoringContext:
    settings = Settings(folder=fleet.folder, limits=Limits(**limits))
    return ScoringContext(ScoreRequest(("press-1",), WINDOW), settings, store or fleet.store)


def test_partitions_of_a_window_are_read_in_order(fleet: Fleet) -> None:
    fleet.device(
        data=csv_of(("2018-08-28T23:30:00Z", "press-1", "1", "10"), ("2018-08-28T23:10:00Z", "press-1", "1", "10"))
    )
    fleet.put("press-1", csv_of(("2018-08-29T00:10:00Z", "press-1", "1", "11")), "20180829T0000Z")
    line = ("score", "--store", str(fleet.folder), "--window-start", "2018-08-28T23:20:00Z", "--window-end")
    scorer(*line, "2018-08-29T00:20:00Z", "--", "press-1")
    blob = fleet.store.read("predictions", "20180828T232000Z_20180829T002000Z/press-1.csv")
    assert blob is not None
    assert [row.split(",")[3] for row in blob.content.decode().splitlines()[1:]] == ["10", "11"]


class WatchedReads(FolderStore):
    """A store that notes for each partition and for the predictions if a lock is held while they are in memory."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.lock = threading.Lock()
        self.locked_reads: list[bool] = []
        self.locked_writes: list[bool] = []

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        blob = super().read(container, name, max_bytes=max_bytes)
        if container == "data":
            self.locked_reads.append(self.lock.locked())
        return blob

    def write(
        self,
        container: str,
        name: str,
        content: bytes,
        *,
        metadata: Mapping[str, str] = NO_METADATA,
        if_match: str | None = None,
        overwrite: bool = False,
    ) -> str | None:
        self.locked_writes.append(self.lock.locked())
        return super().write(container, name, content, metadata=metadata, if_match=if_match, overwrite=overwrite)


def rows_of(context: ScoringContext) -> list[int]:
    """Score the devices of the request, and return the number of rows of each."""
    outcomes = WorkerPool(
        lambda device, deadline: score_device(device, context, deadline),
        context.request.devices,
        store=context.store,
        deadline_seconds=600,
        on_outcome=lambda *_: None,
    ).run()
    return [outcome.row_counts.rows for outcome in outcomes.values()]


def test_large_partitions_are_read_one_at_a_time(fleet: Fleet) -> None:
    names = [fleet.device(f"press-{number}") for number in range(6)]
    store = WatchedReads(fleet.folder)
    request = ScoreRequest(tuple(names), WINDOW)
    context = ScoringContext(request, Settings(folder=fleet.folder), store, large_readings_bytes=50)
    store.lock = context.large_readings_lock
    assert rows_of(context) == [5] * 6
    assert store.locked_reads == [True] * 6


@pytest.mark.fault("F32")
@pytest.mark.parametrize(
    ("unlocked", "locked"), [(1, [False, True, True]), (2, [False] * 2 + [True]), (3, [False] * 3)]
)
def test_lock_for_many_small_partitions_is_held_until_the_write(
    fleet: Fleet, unlocked: int, locked: list[bool]
) -> None:
    fleet.device()
    partitions = [(WINDOW.start + timedelta(hours=hour)).strftime("%Y%m%dT%H%MZ") for hour in range(3)]
    for partition in partitions:
        fleet.put("press-1", csv_of((f"{partition[:4]}-08-28T23:30:00Z", "press-1", "1", "10")), partition)
    size = len(csv_of(("2018-08-28T23:30:00Z", "press-1", "1", "10")))
    store = WatchedReads(fleet.folder)
    request = ScoreRequest(("press-1",), Window(WINDOW.start, WINDOW.start + timedelta(hours=3)))
    context = ScoringContext(
        request, Settings(folder=fleet.folder), store, large_readings_bytes=unlocked * size, large_model_bytes=10**9
    )
    store.lock = context.large_readings_lock
    assert rows_of(context) == [3]
    assert (store.locked_reads, store.locked_writes) == (locked, locked[-1:])
    assert not store.lock.locked()


@pytest.mark.fault("F32", "T15")
@pytest.mark.parametrize(("packed", "large"), [(False, True), (True, True), (True, False)])
def test_devices_with_large_bundles_are_scored_one_at_a_time(fleet: Fleet, *, packed: bool, large: bool) -> None:
    plain = bundle({"1": a_model()})
    content = zlib.compress(plain) if packed else plain
    names = [fleet.device(f"press-{number}", models=content) for number in range(6)]
    store, limit = WatchedReads(fleet.folder), len(plain) - large
    assert len(content) < limit or not packed
    request = ScoreRequest(tuple(names), WINDOW)
    context = ScoringContext(request, Settings(folder=fleet.folder), store, large_model_bytes=limit)
    store.lock = context.large_models_lock
    assert rows_of(context) == [5] * 6
    assert store.locked_reads == [large] * 6


def test_large_models_have_more_than_eight_mib() -> None:
    assert LARGE_MODEL_BYTES == 8_388_608


def test_large_readings_have_more_than_eight_mib() -> None:
    assert LARGE_READINGS_BYTES == 8_388_608


def test_bundle_versions_are_its_etag_and_sha256(fleet: Fleet) -> None:
    fleet.device()
    blob = fleet.store.read("models", MODEL)
    assert blob is not None
    bundle, versions = load_bundle("press-1", a_context(fleet), fleet.store)
    assert list(bundle.models) == ["1"]
    assert versions == InputVersions((), blob.etag, hashlib.sha256(blob.content).hexdigest(), sklearn.__version__)


def test_versions_in_the_metadata_have_at_most_200_characters() -> None:
    assert (MAX_VERSIONS_CHARS, MAX_CHECKED_PARTITIONS) == (200, 48)


def test_missing_bundle_is_named_with_the_next_step(fleet: Fleet) -> None:
    with pytest.raises(ModelNotFound, match=r"model press-1\.joblib does not exist; train one"):
        load_bundle("press-1", a_context(fleet), fleet.store)


def test_bundle_above_the_limit_names_the_variable(fleet: Fleet) -> None:
    fleet.device()
    with pytest.raises(ModelInvalid, match=r"more than the 10 that are allowed; raise FLEETSCORE_MAX_MODEL_BYTES"):
        load_bundle("press-1", a_context(fleet, max_model_bytes=10), fleet.store)


def test_current_input_versions_are_the_etags_of_existing_blobs(fleet: Fleet) -> None:
    assert current_input_versions("press-1", a_context(fleet), fleet.store) == InputVersions((), "")
    fleet.device()
    model, data = fleet.store.head("models", MODEL), fleet.store.head("data", DATA)
    assert model is not None
    assert data is not None
    expected = InputVersions((data.etag,), model.etag)
    assert current_input_versions("press-1", a_context(fleet), fleet.store) == expected


@pytest.mark.parametrize("large_readings_bytes", [1, 10**9], ids=["read under the lock", "read without the lock"])
def test_readings_above_the_limit_name_the_blob_and_the_variable(fleet: Fleet, large_readings_bytes: int) -> None:
    fleet.device()
    context = a_context(fleet, max_data_bytes=100)
    context.large_readings_bytes = large_readings_bytes
    scorer = Scorer("press-1", WINDOW, {}, limits=Limits())
    text = rf"{DATA}, \d+ bytes, brings the window's readings above 100; raise FLEETSCORE_MAX_DATA_BYTES"
    with pytest.raises(DataTooLarge, match=text):
        read_partitions("press-1", context, scorer, DeviceDeadline(fleet.store, 30), ExitStack())


def test_limit_on_bytes_is_for_all_partitions_of_the_window(fleet: Fleet) -> None:
    window = Window(WINDOW.start, WINDOW.end + timedelta(hours=1))
    content = csv_of(("2018-08-28T23:30:00Z", "press-1", "1", "10"))
    fleet.put("press-1", content)
    fleet.put("press-1", content, "20180829T0000Z")

    def etags(max_data_bytes: int) -> tuple[str, ...]:
        settings = Settings(folder=fleet.folder, limits=Limits(max_data_bytes=max_data_bytes))
        context = ScoringContext(ScoreRequest(("press-1",), window), settings, fleet.store)
        scorer = Scorer("press-1", window, {}, limits=Limits())
        return read_partitions("press-1", context, scorer, DeviceDeadline(fleet.store, 30), ExitStack())

    assert len(etags(2 * len(content))) == 2
    with pytest.raises(DataTooLarge, match="20180829T0000Z/press-1"):
        etags(2 * len(content) - 1)


def test_deadline_is_checked_before_each_partition(fleet: Fleet) -> None:
    fleet.device()
    scorer = Scorer("press-1", WINDOW, {}, limits=Limits())
    deadline = DeviceDeadline(fleet.store, 30)
    deadline.abandon()
    with pytest.raises(DeadlineExceeded):
        read_partitions("press-1", a_context(fleet), scorer, deadline, ExitStack())


class SlowLargeReads(FolderStore):
    """A store in which a large read takes a moment of a given clock."""

    def __init__(self, folder: Path, clock: list[float]) -> None:
        super().__init__(folder)
        self.clock = clock

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        blob = super().read(container, name, max_bytes=max_bytes)
        if container == "data":
            self.clock[0] += 20  # one thread at a time reads
        return blob


class CountedLock:
    """A lock that counts the threads that asked for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked: list[int] = []
        self.release = self.lock.release

    def acquire(self, *args: Any, **options: Any) -> bool:
        self.asked.append(threading.get_ident())
        return self.lock.acquire(*args, **options)


def test_waiting_for_the_lock_of_other_devices_does_not_count(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [fleet.device(f"press-{number}") for number in range(4)]
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    lock: Any = CountedLock()
    settings = Settings(folder=fleet.folder)
    context = ScoringContext(
        ScoreRequest(tuple(names), WINDOW), settings, SlowLargeReads(fleet.folder, clock), large_readings_bytes=50
    )
    context.large_readings_lock = lock
    lock.lock.acquire()

    def release_late() -> None:
        until(lambda: len(lock.asked) == 4, "all devices wait")
        clock[0] += 130
        lock.release()

    holder = threading.Thread(target=release_late)
    holder.start()
    outcomes = WorkerPool(
        lambda device, deadline: score_device(device, context, deadline),
        names,
        store=context.store,
        deadline_seconds=100,
        on_outcome=lambda *_: None,
        grace_seconds=1,
    ).run()
    holder.join()
    assert [outcome.kind for outcome in outcomes.values()] == ["scored"] * 4


class TakenLock:
    """A lock that is never free."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def acquire(self, *, timeout: float) -> bool:
        self.waits.append(timeout)
        return False


def test_lock_that_is_never_free_is_a_transient_error(fleet: Fleet) -> None:
    fleet.device()
    context = ScoringContext(
        ScoreRequest(("press-1",), WINDOW), Settings(folder=fleet.folder), fleet.store, large_readings_bytes=50
    )
    lock: Any = TakenLock()
    context.large_readings_lock = lock
    deadline = DeviceDeadline(fleet.store, 30)
    with pytest.raises(
        StorageUnavailable, match="other devices of the Job with large models or readings did not finish"
    ):
        read_partitions("press-1", context, Scorer("press-1", WINDOW, {}, limits=Limits()), deadline, ExitStack())
    assert lock.waits == [MAX_WAITED_DEADLINES * 30]
    assert MAX_WAITED_DEADLINES == 8
