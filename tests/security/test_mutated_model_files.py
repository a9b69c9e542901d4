"""Model files with changed bytes and instructions: the inert reader and the closed forms reject or label each of them.

The reader runs in a process whose address space is limited, so that a reader without bounds ends with an error. The
process of scikit-learn has tests of its own in test_mutated_models.py.
"""

import subprocess
import sys

import pytest

from tests.testkit.measurements import Long, RecordMeasurement
from tests.testkit.paths import ROOT

READER = r"""
import pickle, pickletools, resource, struct, sys, time, warnings, zlib
import numpy as np
from device_scorer.errors import PermanentError
from device_scorer.models import bundle, closed_form, unpickler
from device_scorer.models.allowlist import EMULATED_NAMES, INERT_CLASSES, SKLEARN_ONLY_NAMES
from device_scorer.models.pickle_functions import ScikitLearnNeeded
from tests.testkit.hostile_models import mutations, sound_models, written

seconds, rng = float(sys.argv[1]), np.random.default_rng(int(sys.argv[2]))
MODELS = list(sound_models().values())
FILES = [written(model, protocol) for model in MODELS for protocol in (None, 0, 2, 4, 5)]
VALUES = [10.0, -0.0, 1e300, -1e-300, 5e-324, 3.5e38]
NAMES = [f"c{name.rpartition('.')[0]}\n{name.rpartition('.')[2]}\n".encode()
         for name in (*INERT_CLASSES, *EMULATED_NAMES, *SKLEARN_ONLY_NAMES)]


def instructions(content):
    places = [place for _, _, place in pickletools.genops(content)] + [len(content)]
    return [content[a:b] for a, b in zip(places, places[1:])]


PROGRAMS = [instructions(written(model, protocol)) for model in MODELS for protocol in (2, 4)]
HUGE = [b"\x96" + struct.pack("<Q", 2**40), b"\x8e" + struct.pack("<Q", 2**62), b"r\xff\xff\xff\x7f", b"]" * 10**5,
        b"\x85" * 10**5, b"(" * 10**5, b"\x8a\xff" + b"\x7f" * 255, b"\x8b" + struct.pack("<i", 9999) + b"\x7f" * 9999,
        b"J\xff\xff\xff\x7f", b"G\x7f\xf0" + bytes(6), b"G\x7f\xf8" + bytes(6), b"I0x" + b"f" * 9999 + b"\n",
        b"J\0\0\x10\0" + b"\x85", b"\x8c\0", b"K\x01" * 5000, b"N0" * 10**5]


def changed_program():
    program = list(PROGRAMS[rng.integers(len(PROGRAMS))])
    for _ in range(rng.integers(1, 5)):
        at, kind = int(rng.integers(1, len(program))), rng.integers(6)
        other = PROGRAMS[rng.integers(len(PROGRAMS))]
        if kind == 0:
            del program[at : at + int(rng.integers(1, 4))]
        elif kind == 1:
            program.insert(at, other[rng.integers(len(other))])
        elif kind == 2:
            program[at : at] = program[max(0, at - int(rng.integers(1, 60))) : at] * int(rng.integers(1, 300))
        elif kind == 3:
            program.insert(at, HUGE[rng.integers(len(HUGE))])
        elif kind == 4:
            program.insert(at, NAMES[rng.integers(len(NAMES))])
        else:
            start = int(rng.integers(len(other)))
            program[at : at + 9] = other[start : start + 9]
    return b"".join(program)


def changed_file():
    content = FILES[rng.integers(len(FILES))]
    return next(mutations(content, 1, rng))


def read(content):
    try:
        plain = bundle.decompress(content, 2**26)
        tags = bundle.models_by_tag(unpickler.load_inert(plain))
    except PermanentError as error:
        assert len(str(error)) < 1000
        return
    except ScikitLearnNeeded:
        return
    for record in tags.values():
        try:
            model = closed_form.from_inert_object(record)
            if model is not None:
                labels, scores = model.predict(VALUES)
                assert set(labels) <= {0, 1} and len(labels) == len(scores) == len(VALUES)
        except PermanentError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000


used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, used + 2**29))
warnings.simplefilter("error")
ends, slowest, tried = time.monotonic() + seconds, 0.0, 0
while time.monotonic() < ends:
    kind, tried = rng.integers(10), tried + 1
    content = changed_program() if kind < 6 else changed_file() if kind < 9 else zlib.compress(changed_program(), 1)
    began = time.process_time()
    try:
        read(content)
    except BaseException:
        open(sys.argv[3], "wb").write(content)
        raise
    slowest = max(slowest, time.process_time() - began)
print(tried, slowest)
"""

pytestmark = [pytest.mark.slow, pytest.mark.fuzz, pytest.mark.timeout(1200)]
MAX_SECONDS = 10.0
"""The largest time of the processor that one file may take, in seconds; the budget of the reader allows a few."""


@pytest.mark.fault("T15", "F32")
@pytest.mark.parametrize("seed", [1, 2])
def test_changed_file_is_labelled_or_rejected_within_limits(
    seed: int, long: Long, record_measurement: RecordMeasurement, tmp_path: object
) -> None:
    seconds = 600 if long else 20
    done = subprocess.run(
        [sys.executable, "-c", READER, str(seconds), str(seed), f"{tmp_path}/failing.joblib"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    tried, slowest = done.stdout.split()
    assert int(tried) > 5 * seconds
    assert float(slowest) < MAX_SECONDS
    record_measurement(f"{tried} changed model files in {seconds} s, the slowest took {float(slowest):.2f} s of CPU")
