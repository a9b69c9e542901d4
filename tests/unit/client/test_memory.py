"""The memory of a process that reads many windows of a fleet."""

import subprocess
import sys
from pathlib import Path

import pytest

from fleetscore import Window

MAX_MEBIBYTES = 300
MAX_GROWTH = 1.1
"""Memory after six windows, as a share of that after two: a month has 720. The devices of a window are read in turn."""

DEVICES, WINDOWS, ROWS = 100, 6, 240
SCRIPT = """
import re, sys
from datetime import UTC, datetime
from pathlib import Path
from fleetscore import Fleet

fleet = Fleet.folder(sys.argv[1])
span = datetime(2018, 8, 1, tzinfo=UTC), datetime(2018, 9, 1, tzinfo=UTC)

def peak():
    found = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())  # ru_maxrss has the parent's peak
    return int(found[1]) // 1024

rows, peaks = 0, []
for frame in fleet.iter_predictions(*span):
    rows += len(frame)
    peaks.append(peak())
fleet.compact(*span, Path(sys.argv[1]) / "out", "parquet")
print(rows, peaks[len(peaks) // 3], peaks[-1], peak())
"""


@pytest.mark.slow
def test_windows_of_many_devices_are_read_in_bounded_memory(tmp_path: Path) -> None:
    folders = [tmp_path / "predictions" / Window.parse(f"2018-08-01T{hour:02}:00Z").slug for hour in range(WINDOWS)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "_summary.json").write_text("{}")
    for device in (f"press-{number}" for number in range(DEVICES)):
        lines = "".join(f"2018-08-01T00:{n // 60:02}:{n % 60:02}Z,{device},1,{n}.5,0,0.0123\n" for n in range(ROWS))
        (folders[0] / f"{device}.csv").write_text(f"TS,Device,Tag,Val,Prediction,Score\n{lines}")
        for folder in folders[1:]:
            (folder / f"{device}.csv").hardlink_to(folders[0] / f"{device}.csv")
    words = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    rows, two_windows, six_windows, compacted = map(int, ended.stdout.split())
    assert rows == DEVICES * WINDOWS * ROWS
    assert six_windows <= MAX_GROWTH * two_windows
    assert compacted < MAX_MEBIBYTES
