"""The signals of a simulated fleet."""

from dataclasses import replace

import pytest

from device_scorer.simulation.signals import (
    BAND_NOISE_MULTIPLE,
    KINDS,
    MAX_NOISE_MULTIPLE,
    MISSING_KINDS,
    SWEEP_READINGS,
    Injection,
    SimulatedFleet,
    build_signal,
    partition_values,
    plan_injections,
    select_anomalous_devices,
)

HOUR = 3600
FLEET = SimulatedFleet(
    seed=1, devices=8, tags=3, prefix="press", interval_seconds=15, start_epoch_seconds=0, anomaly_rate=0.25
)


def seconds(hour: int) -> list[int]:
    return list(range(hour * HOUR, (hour + 1) * HOUR, FLEET.interval_seconds))


def numbers(fleet: SimulatedFleet, hour: int, device: int = 0) -> list[list[float]]:
    values, _ = partition_values(fleet, device, seconds(hour), [])
    return [[float(value) for value in tag] for tag in values]


def band(device: int, tag: int) -> tuple[float, float]:
    source = build_signal(FLEET, device, tag)
    return source.sweep_value(0), source.sweep_value(SWEEP_READINGS - 1)


def test_seed_determines_the_readings() -> None:
    values, _ = partition_values(FLEET, 0, seconds(5)[:4], [])
    assert values == [
        ["13.24", "12.65", "13.28", "12.99"],
        ["32.33", "31.80", "31.55", "32.19"],
        ["58.20", "57.70", "58.26", "58.03"],
    ]


def test_another_seed_gives_other_readings() -> None:
    assert numbers(FLEET, 5) != numbers(replace(FLEET, seed=2), 5)


def test_more_devices_do_not_change_the_first_ones() -> None:
    assert numbers(FLEET, 5) == numbers(replace(FLEET, devices=900), 5)


def test_devices_differ_in_level() -> None:
    assert len({round(build_signal(FLEET, device, 0).centre, 3) for device in range(8)}) == 8


def test_sweep_spans_the_band_and_later_readings_stay_inside() -> None:
    low, high = band(0, 1)
    first_hour = numbers(FLEET, 0)[1]
    assert (first_hour[0], first_hour[SWEEP_READINGS - 1]) == (round(low, 2), round(high, 2))
    for hour in range(1, 49):
        assert low < min(numbers(FLEET, hour)[1]) <= max(numbers(FLEET, hour)[1]) < high


def test_readings_oscillate_daily() -> None:
    means = [sum(tag) / len(tag) for tag in (numbers(FLEET, hour)[0] for hour in range(24))]
    assert max(means) - min(means) > 2 * build_signal(FLEET, 0, 0).noise


@pytest.mark.parametrize(("rate", "count"), [(0, 0), (0.01, 1), (0.25, 2), (1, 8)])
def test_anomaly_rate_is_rounded_up_to_whole_devices(rate: float, count: int) -> None:
    assert len(select_anomalous_devices(replace(FLEET, anomaly_rate=rate), HOUR)) == count


def test_injected_spikes_and_shifts_are_outside_the_band() -> None:
    for hour in range(1, 20):
        values, kinds = partition_values(FLEET, 3, seconds(hour), plan_injections(FLEET, 3, hour * HOUR, 240))
        assert set(kinds.values()) == {"shift", "spike"}
        for row, tag in kinds:
            low, high = band(3, tag)
            assert not low - 0.5 < float(values[tag][row]) < high + 0.5


def test_injections_do_not_change_other_readings() -> None:
    values, kinds = partition_values(FLEET, 3, seconds(2), plan_injections(FLEET, 3, 2 * HOUR, 240))
    unchanged, _ = partition_values(FLEET, 3, seconds(2), [])
    changed = {(row, tag) for tag in range(3) for row in range(240) if values[tag][row] != unchanged[tag][row]}
    assert changed == set(kinds)


def test_stuck_value_freezes_inside_the_band_and_only_on_request() -> None:
    with_stuck = replace(FLEET, inject_stuck=True)
    assert "stuck" not in {event.kind for event in plan_injections(FLEET, 3, HOUR, 240)}
    assert "stuck" in {event.kind for event in plan_injections(with_stuck, 3, HOUR, 240)}
    values, kinds = partition_values(FLEET, 3, seconds(2), [Injection("stuck", 1, 10, 24, 6.0)])
    assert {values[1][row] for row in range(10, 34)} == {values[1][10]}
    assert kinds == {(row, 1): "stuck" for row in range(10, 34)}


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_partition_of_few_readings_has_anomalies(rows: int) -> None:
    events = plan_injections(FLEET, 0, HOUR, rows)
    assert events
    assert all(event.first_row >= 0 and event.first_row + event.row_count <= rows for event in events)


def test_sweep_has_20_readings_and_the_band_is_wider_than_the_noise() -> None:
    assert (SWEEP_READINGS, MAX_NOISE_MULTIPLE, BAND_NOISE_MULTIPLE) == (20, 3.5, 5.0)


def test_earlier_of_two_overlapping_injections_is_injected() -> None:
    shift, spike = Injection("shift", 1, 10, 24, 6.0), Injection("spike", 1, 12, 1, -6.0)
    alone, _ = partition_values(FLEET, 3, seconds(2), [shift])
    values, kinds = partition_values(FLEET, 3, seconds(2), [shift, spike])
    assert values == alone
    assert set(kinds.values()) == {"shift"}


@pytest.mark.parametrize("kind", KINDS)
def test_kind_of_fault_changes_the_readings_of_the_truth_only(kind: str) -> None:
    fleet = replace(FLEET, kinds=(kind,))
    times = list(range(0, 3600, 15))
    normal, _ = partition_values(fleet, 0, times, [])
    values, kinds = partition_values(fleet, 0, times, plan_injections(fleet, 0, 0, len(times)))
    changed = {
        (row, tag) for tag in range(fleet.tags) for row in range(len(times)) if values[tag][row] != normal[tag][row]
    }
    assert changed <= kinds.keys()
    assert set(kinds.values()) == {kind}
    assert all((values[tag][row] == "") == (kind in MISSING_KINDS) for row, tag in kinds)
    assert len({tag for _, tag in kinds}) == (fleet.tags if kind == "machine-off" else 1)


def test_device_that_is_not_selected_has_only_the_faults_of_the_hall() -> None:
    fleet = replace(FLEET, kinds=("spike", "hall"))
    assert {event.kind for event in plan_injections(fleet, 0, 0, 240)} == {"spike", "hall"}
    assert {event.kind for event in plan_injections(fleet, 0, 0, 240, selected=False)} == {"hall"}
    assert plan_injections(FLEET, 0, 0, 240, selected=False) == []


@pytest.mark.parametrize("kind", KINDS)
def test_fault_by_name_lasts_in_the_same_sensors(kind: str) -> None:
    fleet = replace(FLEET, kinds=(kind,))
    assert len({select_anomalous_devices(fleet, hour * HOUR) for hour in range(9)}) == 1
    assert len({frozenset(one.tag for one in plan_injections(fleet, 3, hour * HOUR, 240)) for hour in range(9)}) == 1
