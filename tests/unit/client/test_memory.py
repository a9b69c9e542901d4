"""The memory of a process that reads many windows of a fleet."""

import subprocess
import sys
from pathlib import Path

import pytest

from fleetscore import Window

MAX_MEBIBYTES = 300
DEVICES, WINDOWS, ROWS = 300, 2, 240
"""A window has the same memory in a month; 1,000 devices in place of 300 are read one after the other, too."""
SCRIPT = """
import re, sys
from datetime import UTC, datetime
from pathlib import Path
from fleetscore import Fleet

fleet = Fleet.folder(sys.argv[1])
span = datetime(2018, 8, 1, tzinfo=UTC), datetime(2018, 9, 1, tzinfo=UTC)
rows = sum(len(frame) for frame in fleet.iter_predictions(*span))
fleet.compact(*span, Path(sys.argv[1]) / "out", "parquet")
kibibytes = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]  # ru_maxrss has the parent's peak
print(rows, int(kibibytes) // 1024)
"""


@pytest.mark.slow
def test_windows_of_many_devices_are_read_in_bounded_memory(tmp_path: Path) -> None:
    lines = "".join(f"2018-08-01T00:{n // 60:02}:{n % 60:02}Z,press-1,1,{n}.5,0,0.0123\n" for n in range(ROWS))
    content = f"TS,Device,Tag,Val,Prediction,Score\n{lines}"
    for hour in range(WINDOWS):
        folder = tmp_path / "predictions" / Window.parse(f"2018-08-01T{hour:02}:00Z").slug
        folder.mkdir(parents=True)
        (folder / "_summary.json").write_text("{}")
        (folder / "press-0.csv").write_text(content)
        for device in range(1, DEVICES):
            (folder / f"press-{device}.csv").hardlink_to(folder / "press-0.csv")
    words = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    rows, mebibytes = map(int, ended.stdout.split())
    assert rows == DEVICES * WINDOWS * ROWS
    assert mebibytes < MAX_MEBIBYTES
