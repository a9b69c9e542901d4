"""ConfigMaps of a run with changed bytes, values and structure: each is read, or rejected, within limits.

The reader runs in a process whose address space is limited, so that a reader without bounds ends with an error.
"""

import subprocess
import sys

import pytest

from tests.testkit.measurements import Long, RecordMeasurement
from tests.testkit.paths import ROOT

READER = r"""
import json, random, resource, sys, time, zlib
from scoring_operator.errors import InvalidDeviceList, InvalidProgress
from scoring_operator.planner.device_list import pack, unpack
from scoring_operator.planner.progress import decode, encode
from tests.testkit.builders import a_progress

resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
seconds, rng = float(sys.argv[1]), random.Random(int(sys.argv[2]))
TEXT = zlib.decompress(encode(a_progress(300, per_job=7)))
HUGE = ["[" * 10**5, "9" * 5000, "1e999", "-1", "[" + "[]," * 10**6 + "[]]", '"' + "0," * 10**6 + '1"',
        "{" + ",".join(f'"{n}":["{n}",0,0,0,0]' for n in range(10**5)) + "}", '"\\ud800"', "NaN", "null", "0.5"]
BOMBS = [zlib.compress(part * count, 1) for part in (b"\n", b" ", b"a\n", b"[", b"0") for count in (10, 10**6, 10**8)]


def changed_value(text):
    document = json.loads(text)
    key = rng.choice(list(document))
    parts = [f"{json.dumps(one)}:{rng.choice(HUGE) if one == key else json.dumps(value)}"
             for one, value in document.items()]
    return ("{" + ",".join(parts) + "}").encode()


def changed_bytes(text):
    found = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(found))
        found[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
    return bytes(found)


ends, slowest, tried = time.monotonic() + seconds, 0.0, 0
while time.monotonic() < ends:
    kind, tried = rng.choice([0, 1, 1, 1, 2, 2, 2, 3, 4, 4]), tried + 1
    if kind == 0:
        content = zlib.compress(changed_value(TEXT), 1)
    elif kind == 1:
        content = zlib.compress(changed_bytes(TEXT))
    elif kind == 2:
        content = changed_bytes(zlib.compress(TEXT))
    elif kind == 3:
        content = rng.choice(BOMBS)
    else:
        content = changed_bytes(pack([f"press-{n}" for n in range(300)])[0])
    began = time.process_time()
    for read, error in ((decode, InvalidProgress), (unpack, InvalidDeviceList)):
        try:
            read(content)
        except error:
            pass
    slowest = max(slowest, time.process_time() - began)
print(tried, slowest)
"""

pytestmark = [pytest.mark.slow, pytest.mark.fuzz]
MAX_SECONDS = 1.0
"""The largest time of the processor that one ConfigMap may take, in seconds."""


@pytest.mark.fault("T15", "T18")
def test_changed_config_map_is_read_or_rejected_within_limits(
    long: Long, record_measurement: RecordMeasurement
) -> None:
    seconds = 600 if long else 20
    done = subprocess.run(
        [sys.executable, "-c", READER, str(seconds), "1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    tried, slowest = done.stdout.split()
    record_measurement(f"{tried} changed ConfigMaps in {seconds} s, at most {float(slowest):.2f} s each, 512 MiB")
    assert float(slowest) < MAX_SECONDS
