import time
import zlib
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from scoring_operator.api.fleets import Fleet, parse_fleet
from scoring_operator.api.intervals import Intervals
from scoring_operator.errors import InvalidDeviceList
from scoring_operator.planner.admission import fleet_if_unchanged, rejection
from scoring_operator.planner.device_list import (
    MAX_PART_BYTES,
    DiscoveredDevices,
    InitialState,
    create_initial_state,
    pack,
    rebuild,
    unpack,
)
from scoring_operator.planner.types import Blocker
from tests.operator.builders import NOW, UID, a_run, later

WINDOW = "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z"
FOUND = DiscoveredDevices(with_model=["fan-1", "press-1", "press-2"], with_data=["fan-2", "press-1", "press-3"])


def a_fleet(name: str = "default", **settings: Any) -> Fleet:
    return parse_fleet({"name": name, "namespaces": ["scoring"], **settings})


def frozen(found: DiscoveredDevices = FOUND, fleet: Fleet | None = None, **spec: Any) -> InitialState:
    start = create_initial_state(a_run(**spec), fleet or a_fleet(), found, NOW)
    assert isinstance(start, InitialState)
    return start


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"fleet": "other"}, "FleetNotFound", "fleets for this namespace: default"),
        ({"fleet": "foreign"}, "NamespaceNotAllowed", "its administrator can add it"),
        ({"writePolicy": "Overwrite"}, "OverwriteNotAllowed", "CreateOnly or IfChanged"),
        ({"resources": {"limits": {"memory": "9Gi"}}}, "ResourcesNotAllowed", "allows 2Gi"),
        ({"resources": {"requests": {"memory": "2Gi"}}}, "ResourcesNotAllowed", "above the limit 1Gi; set"),
    ],
)
def test_a_run_that_its_fleet_does_not_allow_is_refused_with_the_next_step(
    spec: dict[str, Any], reason: str, words: str
) -> None:
    foreign = parse_fleet({"name": "foreign", "namespaces": ["elsewhere"]})
    fleets = {"default": a_fleet(scorer={"maxResources": {"memory": "2Gi"}}), "foreign": foreign}
    trouble = rejection(a_run(**spec), fleets)
    assert trouble is not None
    assert trouble.reason == reason
    assert words in trouble.message


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"writePolicy": "Overwrite"},
        {"resources": {"limits": {"memory": "512Mi"}}},
        {"resources": {"requests": {"cpu": "100m"}}},
    ],
)
def test_a_run_that_its_fleet_allows_may_begin(spec: dict[str, Any]) -> None:
    assert rejection(a_run(**spec), {"default": a_fleet(predictions={"allowOverwrite": True})}) is None


def test_where_no_fleet_is_for_a_namespace_none_is_named() -> None:
    trouble = rejection(a_run(), {})
    assert trouble is not None
    assert trouble.message.endswith("fleets for this namespace: none")


@pytest.mark.parametrize(
    ("source", "devices"),
    [
        ({}, ["fan-1", "press-1", "press-2"]),
        ({"include": ["press-*"]}, ["press-1", "press-2"]),
        ({"ids": ["zeta", "alpha"]}, ["alpha", "zeta"]),
        ({"retryOf": {"name": "earlier"}}, ["fan-9", "press-1"]),
    ],
)
def test_the_devices_come_from_the_source_that_was_given_in_order_of_their_ids(
    source: dict[str, Any], devices: list[str]
) -> None:
    start = frozen(replace(FOUND, to_retry=["press-1", "fan-9"]), devices=source)
    assert list(start.devices) == devices
    assert start.progress.waiting == Intervals.range_to(len(devices))


@pytest.mark.parametrize(
    ("source", "lacking"),
    [({}, ("fan-2", "press-3")), ({"include": ["press-*"]}, ("press-3",)), ({"ids": ["press-1"]}, ())],
)
def test_devices_that_send_data_and_have_no_model_are_named_if_they_would_be_of_the_run(
    source: dict[str, Any], lacking: tuple[str, ...]
) -> None:
    assert frozen(devices=source).progress.snapshot.without_model == (len(lacking), lacking)


@pytest.mark.parametrize(
    ("spec", "found", "reason", "words"),
    [
        ({"maxDevices": 2}, FOUND, "TooManyDevices", "3 devices were found"),
        ({}, DiscoveredDevices(), "NoDevices", "has a model; see container 'models'"),
        ({"devices": {"include": ["pump-*"]}}, FOUND, "NoDevices", "matches devices.include"),
    ],
)
def test_a_list_that_is_too_long_or_empty_is_refused(
    spec: dict[str, Any], found: DiscoveredDevices, reason: str, words: str
) -> None:
    trouble = create_initial_state(a_run(**spec), a_fleet(), found, NOW)
    assert isinstance(trouble, Blocker)
    assert trouble.reason == reason
    assert words in trouble.message


def test_a_retry_of_nothing_is_a_run_without_devices_and_no_error() -> None:
    assert frozen(replace(FOUND, to_retry=[]), devices={"retryOf": {"name": "earlier"}}).progress.total == 0


@pytest.mark.parametrize(
    ("devices", "asked", "per_job"),
    [(3, 7, 7), (2000, "Auto", 1), (2001, "Auto", 2), (100_000, "Auto", 50), (1_000_000, "Auto", 500)],
)
def test_auto_makes_at_most_two_thousand_jobs(devices: int, asked: int | str, per_job: int) -> None:
    found = DiscoveredDevices(with_model=[f"d{n}" for n in range(devices)])
    assert frozen(found, devicesPerJob=asked, maxDevices=1_000_000).progress.snapshot.devices_per_job == per_job


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
def test_complete_predictions_of_this_window_and_these_tags_by_another_are_not_made_again(
    metadata: dict[str, str], spec: dict[str, Any], already: int
) -> None:
    start = frozen(replace(FOUND, predictions={"press-1": metadata}), **spec)
    assert start.progress.count("alreadyScored") == already


def test_a_long_list_is_cut_into_parts_that_fit_a_config_map_and_read_back_as_it_was() -> None:
    devices = [f"device-{n:06}-{'x' * 100}" for n in range(20_000)]
    parts = pack(devices)
    assert len(parts) == -(-20_000 * 115 // MAX_PART_BYTES)
    assert unpack(parts) == devices


def test_the_names_of_a_list_prove_its_devices_and_the_fleets_settings() -> None:
    names = set(frozen().parts)
    assert set(frozen(fleet=a_fleet()).parts) == names
    assert not set(frozen(replace(FOUND, with_model=["fan-1"])).parts) & names
    assert not set(frozen(fleet=a_fleet(models={"path": "v2/{device}.joblib"})).parts) & names
    assert not set(frozen(uid="another").parts) & names


@pytest.mark.parametrize(
    ("told", "first_pod"), [({}, None), ({"firstPodTime": "2026-11-24T12:00:10Z"}, (later(10), 0.0))]
)
def test_a_run_whose_progress_was_lost_begins_anew_with_its_times_kept(told: dict[str, str], first_pod: object) -> None:
    status = {"startTime": "2026-11-24T12:00:00Z", **told}
    start = rebuild(a_run(status=status), frozen(), later(100))
    assert start.progress.snapshot.rebuilt
    assert (start.progress.clock.started, start.progress.clock.since) == (NOW, later(100))
    assert start.progress.clock.first_pod == first_pod


SECRET: dict[str, Any] = {"auth": "existingSecret", "existingSecret": {"name": "fleet-storage"}}
OURS: dict[str, Any] = {"storage": {"accountUrl": "https://ours.blob.core.windows.net", **SECRET}}


@pytest.mark.fault("T1", "T7")
@pytest.mark.parametrize(
    "edited",
    [
        pytest.param({"storage": {**OURS["storage"], "accountUrl": "https://theirs.example"}}, id="endpoint"),
        pytest.param({"storage": {"accountUrl": "https://ours.blob.core.windows.net"}}, id="way of signing in"),
        pytest.param({"storage": {**OURS["storage"], "existingSecret": {"name": "another"}}}, id="Secret"),
        pytest.param({"storage": {**OURS["storage"], "predictions": "others"}}, id="container"),
        pytest.param({"models": {"trust": "any"}}, id="trust"),
        pytest.param({"predictions": {"path": "{window}/../{device}.csv"}}, id="path"),
        pytest.param({"predictions": {"allowOverwrite": True}}, id="overwriting"),
        pytest.param({"name": "another"}, id="name"),
        pytest.param({"image": "theirs.example/scorer"}, id="what no fleet has"),
        pytest.param({"storage": 7}, id="rubbish"),
    ],
)
def test_a_fleet_that_was_edited_in_a_runs_config_map_is_not_believed(edited: dict[str, Any]) -> None:
    fleets = {"default": a_fleet(**OURS), "another": a_fleet("another", **OURS)}
    saved = frozen(fleet=fleets["default"]).progress.snapshot.fleet
    assert fleet_if_unchanged(a_run(), saved, fleets) == fleets["default"]
    assert fleet_if_unchanged(a_run(), saved | edited, fleets) is None


@pytest.mark.fault("T1")
def test_how_scorers_run_is_the_administrators_word_of_now_and_never_a_config_maps() -> None:
    before = a_fleet(scorer={"serviceAccountName": "scorer"})
    now = a_fleet(scorer={"serviceAccountName": "scorer", "resources": {"limits": {"memory": "2Gi"}}})
    saved = frozen(fleet=before).progress.snapshot.fleet
    assert fleet_if_unchanged(a_run(), saved, {"default": now}) == now
    theirs = saved | {"scorer": {"serviceAccountName": "cluster-admin"}}
    assert fleet_if_unchanged(a_run(), theirs, {"default": now}) == now


@pytest.mark.parametrize("fleets", [{}, {"default": parse_fleet({"name": "default", "namespaces": ["elsewhere"]})}])
def test_a_fleet_that_is_taken_away_ends_what_was_begun_with_it(fleets: dict[str, Fleet]) -> None:
    assert fleet_if_unchanged(a_run(), msgspec.to_builtins(a_fleet()), fleets) is None


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
def test_a_device_list_that_no_operator_wrote_is_refused(part: bytes) -> None:
    with pytest.raises(InvalidDeviceList, match="device list"):
        unpack([part])


@pytest.mark.fault("T12")
def test_a_hundred_hostile_globs_over_many_devices_take_no_longer_than_a_few() -> None:
    devices = [f"{'d' * 100}{number:06}" for number in range(20_000)]
    globs = [f"none-{number}*" for number in range(99)] + ["*19999"]
    began = time.process_time()
    start = frozen(DiscoveredDevices(with_model=devices, with_data=devices), devices={"include": globs})
    assert start.devices == [devices[-1]]
    assert time.process_time() - began < 2  # one by one they took 7 s
