"""Memory and CPU time of a large device and of many devices: the process as a pod starts it, on Azurite."""

import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from tests.testkit.azurite import Storage
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.paths import ROOT
from tests.testkit.scorer_fleet import END, PARTITION, START, a_model, bundle, readings

MEASURED = ROOT / "bench" / "measure_process.py"
TAGS = [str(tag) for tag in range(1, 6)]
pytestmark = pytest.mark.slow


class Cost(NamedTuple):
    """Exit code, CPU seconds and peak memory of one process."""

    code: int
    cpu: float
    mib: float


def cost(storage: Storage, devices: Sequence[str], *, start: str = START) -> Cost:
    score = [sys.executable, "-m", "device_scorer", "score", "--window-start", start, "--window-end", END, "--"]
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(MEASURED), *score, *devices],
        env=storage.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    code, cpu, mib = done.stdout.splitlines()[-1].split()
    return Cost(int(code), float(cpu), float(mib))


def fill(storage: Storage, device: str, rows: int) -> None:
    """Write a device with `rows` readings of several thousand different values."""
    lines = [
        f"2018-08-28T23:{at // 60 % 60:02d}:{at % 60:02d}Z,{device},{TAGS[at % 5]},{8 + at * 7919 % 5000 / 1000}\n"
        for at in range(rows)
    ]
    storage.put("models", f"{device}.joblib", bundle(dict.fromkeys(TAGS, a_model())))
    storage.put("data", f"{PARTITION}/{device}.csv", f"TS,Device,Tag,Value\n{''.join(lines)}".encode())


@pytest.mark.fault("D6", "T15")
def test_million_readings_fit_into_512_mib_with_linear_cost(
    storage: Storage, record_measurement: RecordMeasurement
) -> None:
    fill(storage, "quarter", 250_000)
    fill(storage, "million", 1_000_000)
    quarter, million = cost(storage, ["quarter"]), cost(storage, ["million"])
    record_measurement(
        f"1,000,000 readings: {million.mib:.0f} MiB, {million.cpu:.1f} s CPU; 250,000: {quarter.cpu:.1f} s"
    )
    assert (quarter.code, million.code) == (0, 0)
    assert million.mib < 512
    assert million.cpu < 6 * quarter.cpu


@pytest.mark.fault("F32")
def test_memory_does_not_grow_with_the_number_of_devices(
    storage: Storage, record_measurement: RecordMeasurement
) -> None:
    devices = [f"press-{number}" for number in range(200)]
    models, data = bundle({"1": a_model()}), {device: readings(device, values=[10.0] * 60) for device in devices}
    for device in devices:
        storage.put("models", f"{device}.joblib", models)
        storage.put("data", f"{PARTITION}/{device}.csv", data[device])
    few, many = cost(storage, devices[:4]), cost(storage, devices)
    record_measurement(f"4 devices: {few.mib:.0f} MiB, 200 devices: {many.mib:.0f} MiB")
    assert (few.code, many.code) == (0, 0)
    assert many.mib < few.mib + 12


@pytest.mark.fault("D6", "F32")
def test_memory_of_large_windows_does_not_grow_with_the_devices(
    storage: Storage, record_measurement: RecordMeasurement
) -> None:
    devices = [f"press-{number}" for number in range(5)]
    tags = [f"{'sensor' * 40}-{number}" for number in range(50)]
    model = bundle(dict.fromkeys(tags, a_model()))
    for device in devices:
        storage.put("models", f"{device}.joblib", model)
        for hour in range(20):
            lines = (
                f"2018-08-28T{hour:02d}:00:00Z,{device},{tags[at % 50]},{8 + (hour * 6000 + at) / 30000:.12f}\n"
                for at in range(6000)
            )
            storage.put(
                "data", f"20180828T{hour:02d}00Z/{device}.csv", f"TS,Device,Tag,Value\n{''.join(lines)}".encode()
            )
    one, four = (cost(storage, names, start="2018-08-28T00:00:00Z") for names in (devices[:1], devices[1:]))
    record_measurement(f"35 MB of readings in 20 partitions: 1 device {one.mib:.0f} MiB, 4 devices {four.mib:.0f} MiB")
    assert (one.code, four.code) == (0, 0)
    assert four.mib < one.mib + 100
