"""Changed texts for every reader of what other clients can write: each is read, or rejected, within limits.

Models have tests of their own.
"""

import subprocess
import sys

import pytest

from tests.testkit.measurements import Long, RecordMeasurement
from tests.testkit.mutated_inputs import READERS
from tests.testkit.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.fuzz]
MAX_CPU_SECONDS = 1.0
"""The largest time of the processor that one input may take: inputs have at most a megabyte."""


@pytest.mark.fault("T15", "T18")
@pytest.mark.parametrize("name", READERS)
def test_changed_input_is_read_or_rejected_within_limits(
    name: str, long: Long, record_measurement: RecordMeasurement
) -> None:
    seconds = 600 if long else 3
    done = subprocess.run(
        [sys.executable, "-m", "tests.testkit.mutated_inputs", name, str(seconds), "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    tried, slowest = done.stdout.split()
    mebibytes = READERS[name].address_space // 2**20
    record_measurement(f"{name}: {tried} inputs in {seconds} s, at most {float(slowest):.2f} s each, {mebibytes} MiB")
    assert int(tried) > 10
    assert float(slowest) < MAX_CPU_SECONDS
