import os
import time
import zlib
from base64 import b64encode
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest

from scoring_operator.api.fleets import Fleet, parse_fleet
from scoring_operator.api.intervals import Positions
from scoring_operator.errors import InvalidDeviceList, RunRejected
from scoring_operator.planner.device_list import (
    DiscoveredDevices,
    InitialState,
    create_initial_state,
    pack,
    rebuild,
    unpack,
)
from scoring_operator.planner.quarantine import QuarantineResult
from tests.testkit.builders import NOW, UID, a_run, later
from tests.testkit.waiting import shortest

WINDOW = "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z"
FOUND = DiscoveredDevices(with_model=["fan-1", "press-1", "press-2"], with_data=["fan-2", "press-1", "press-3"])


def a_fleet(name: str = "default", **settings: Any) -> Fleet:
    return parse_fleet({"name": name, "namespaces": ["scoring"], **settings})


def start(found: DiscoveredDevices = FOUND, fleet: Fleet | None = None, **spec: Any) -> InitialState:
    return create_initial_state(a_run(**spec), fleet or a_fleet(), found, NOW)


@pytest.mark.parametrize(
    ("source", "devices"),
    [
        ({}, ["fan-1", "press-1", "press-2"]),
        ({"include": ["press-*"]}, ["press-1", "press-2"]),
        ({"ids": ["zeta", "alpha"]}, ["alpha", "zeta"]),
        ({"retryOf": {"name": "earlier"}}, ["fan-9", "press-1"]),
    ],
)
def test_devices_come_from_the_given_source_in_order_of_their_ids(source: dict[str, Any], devices: list[str]) -> None:
    initial = start(replace(FOUND, to_retry=["press-1", "fan-9"]), devices=source)
    assert list(initial.devices) == devices
    assert initial.progress.waiting == Positions.range_to(len(devices))


def test_quarantined_devices_get_no_job_and_are_not_part_of_the_canary() -> None:
    scored = {"press-1": {"complete": "true", "tags": "*", "window": WINDOW}}
    quarantine = QuarantineResult(frozenset(["fan-1", "press-1", "pump-1"]), "a problem")
    progress = start(replace(FOUND, predictions=scored, quarantine=quarantine), canary={}).progress
    assert progress.outcomes == {"quarantined": Positions.parse("0"), "alreadyScored": Positions.parse("1")}
    assert (str(progress.waiting), str(progress.canary)) == ("2", "2")
    assert progress.snapshot.history_problem == "a problem"


def test_canary_has_the_first_devices_that_are_not_scored_yet() -> None:
    scored = {"fan-1": {"complete": "true", "tags": "*", "window": WINDOW}}
    progress = start(replace(FOUND, predictions=scored), canary={"jobs": 1}).progress
    assert (str(progress.canary), str(progress.waiting)) == ("1", "1-2")
    assert str(start(devicesPerJob=2, canary={"jobs": 1}).progress.canary) == "0-1"
    assert not start().progress.canary


@pytest.mark.parametrize(
    ("source", "lacking"),
    [({}, ("fan-2", "press-3")), ({"include": ["press-*"]}, ("press-3",)), ({"ids": ["press-1"]}, ())],
)
def test_devices_with_readings_but_no_model_are_listed(source: dict[str, Any], lacking: tuple[str, ...]) -> None:
    assert start(devices=source).progress.snapshot.without_model == (len(lacking), lacking)


@pytest.mark.parametrize(
    ("spec", "found", "reason", "words"),
    [
        ({"maxDevices": 2}, FOUND, "TooManyDevices", "3 devices were found"),
        ({}, DiscoveredDevices(), "NoDevices", "has a model; see container 'models'"),
        ({"devices": {"include": ["pump-*"]}}, FOUND, "NoDevices", "matches devices.include"),
    ],
)
def test_list_that_is_too_long_or_empty_is_rejected(
    spec: dict[str, Any], found: DiscoveredDevices, reason: str, words: str
) -> None:
    with pytest.raises(RunRejected) as rejected:
        create_initial_state(a_run(**spec), a_fleet(), found, NOW)
    assert rejected.value.reason == reason
    assert words in rejected.value.message


def test_retry_without_devices_is_an_empty_run() -> None:
    assert start(replace(FOUND, to_retry=[]), devices={"retryOf": {"name": "earlier"}}).progress.total == 0


@pytest.mark.parametrize(
    ("devices", "asked", "per_job"),
    [(3, 7, 7), (2000, "Auto", 1), (2001, "Auto", 2), (100_000, "Auto", 50), (1_000_000, "Auto", 500)],
)
def test_auto_creates_at_most_2000_batches_of_at_most_500_devices(devices: int, asked: int | str, per_job: int) -> None:
    found = DiscoveredDevices(with_model=[f"d{n}" for n in range(devices)])
    assert start(found, devicesPerJob=asked, maxDevices=1_000_000).progress.snapshot.devices_per_job == per_job


COMPLETE = {"complete": "true", "tags": "*", "window": WINDOW}


@pytest.mark.parametrize(
    ("metadata", "spec", "already"),
    [
        (COMPLETE, {}, True),
        (COMPLETE, {"writePolicy": "IfChanged"}, False),
        (COMPLETE | {"complete": "false"}, {}, False),
        (COMPLETE | {"window": "2018-08-28T22:00:00Z/2018-08-28T23:00:00Z"}, {}, False),
        (COMPLETE | {"tags": "1 4"}, {}, False),
        (COMPLETE | {"tags": "1 4"}, {"tags": ["4"]}, True),
        (COMPLETE | {"tags": "1 4"}, {"tags": ["4", "5"]}, False),
        (COMPLETE | {"tags": "a%20b"}, {"tags": ["a b"]}, True),
        (COMPLETE | {"runuid": "another"}, {}, True),
        (COMPLETE | {"runuid": UID}, {}, False),
    ],
)
def test_complete_predictions_of_another_run_count_as_already_scored(
    metadata: dict[str, str], spec: dict[str, Any], already: int
) -> None:
    initial = start(replace(FOUND, predictions={"press-1": metadata}), **spec)
    assert initial.progress.count("alreadyScored") == already


def test_long_list_is_packed_into_parts_that_unpack_to_the_same_list() -> None:
    devices = [f"device-{n:06}-{'x' * 100}" for n in range(20_000)]
    parts = pack(devices)
    assert len(parts) == 3
    assert [device for part in parts for device in unpack(part)] == devices


def test_names_of_the_parts_depend_on_devices_fleet_and_run() -> None:
    names = set(start().parts)
    assert set(start(fleet=a_fleet()).parts) == names
    assert not set(start(replace(FOUND, with_model=["fan-1"])).parts) & names
    assert not set(start(fleet=a_fleet(models={"path": "v2/{device}.joblib"})).parts) & names
    assert not set(start(uid="another").parts) & names


@pytest.mark.parametrize(
    ("kept", "first_pod"), [({}, None), ({"firstPodTime": "2026-11-24T12:00:10Z"}, (later(10), 0.0))]
)
def test_rebuilt_run_keeps_its_times(kept: dict[str, str], first_pod: object) -> None:
    status = {"startTime": "2026-11-24T12:00:00Z", **kept}
    initial = rebuild(a_run(status=status), start(), later(100))
    assert initial.progress.snapshot.rebuilt
    assert (initial.progress.clock.started, initial.progress.clock.since) == (NOW, later(100))
    assert initial.progress.clock.first_pod == first_pod


@pytest.mark.fault("T15")
@pytest.mark.parametrize(
    "part",
    [
        pytest.param(zlib.compress(b"d\n" * 10**8, 9), id="bomb"),
        pytest.param(zlib.compress(b"press-1")[:-3], id="cut short"),
        pytest.param(zlib.compress(b"\xff"), id="no text"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"press-1", id="not compressed"),
    ],
)
def test_device_list_that_pack_did_not_write_is_rejected(part: bytes) -> None:
    with pytest.raises(InvalidDeviceList, match="device list"):
        unpack(part)


@pytest.mark.fault("T12")
def test_hundred_hostile_globs_are_matched_in_two_seconds() -> None:
    devices = [f"{'d' * 100}{number:06}" for number in range(20_000)]
    globs = [f"none-{number}*" for number in range(99)] + ["*19999"]

    def seconds_to_match() -> float:
        began = time.process_time()
        initial = start(DiscoveredDevices(with_model=devices, with_data=devices), devices={"include": globs})
        assert initial.devices == [devices[-1]]
        return time.process_time() - began

    assert shortest(seconds_to_match, 2) < 2  # one by one they took 7 s


@pytest.mark.fault("T12")
def test_hostile_globs_do_not_keep_other_threads_from_running() -> None:
    globs = ["first", *(f"{'*a' * 60}*{number:02}?b" for number in range(99))]
    start(DiscoveredDevices(with_model=["first"]), devices={"include": globs})  # re keeps the compiled expression
    devices = DiscoveredDevices(with_model=[*(f"{'a' * 120}{number:06}" for number in range(2000)), "first"])

    def turns_meanwhile() -> int:
        matching = Thread(target=start, args=(devices,), kwargs={"devices": {"include": globs}})
        matching.start()
        turns = 0
        while matching.is_alive():
            turns += 1
            matching.join(timeout=0.001)
        return turns

    # About 2 if one call matches all devices. A busy machine may leave this thread without a turn too.
    assert any(turns_meanwhile() > 10 for _ in range(4))


def test_part_of_a_list_has_at_most_900_kib_before_compression() -> None:
    exact = [f"d{n:07}" + "x" * 1015 for n in range(900)]  # 1,023 characters and a separator each
    assert len(pack(exact)) == 1
    assert len(pack([*exact, "d"])) == 2


def test_status_has_at_most_twenty_samples_of_each_kind() -> None:
    ids = [f"d{n:02}" for n in range(30)]
    snapshot = start(DiscoveredDevices(with_model=["a"], with_data=ids, invalid_names=(300, ids))).progress.snapshot
    assert snapshot.without_model == (30, tuple(ids[:20]))
    assert snapshot.invalid_names == (300, tuple(ids[:20]))


def test_list_config_map_of_a_full_part_fits_into_a_config_map() -> None:
    part = pack([f"{n:07}" + os.urandom(58).hex() for n in range(7_000)])[0]
    assert len(b64encode(part)) < 1024 * 1024
