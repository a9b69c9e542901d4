"""Windows shorter and longer than the hours that readings come in: each reading is scored by exactly one of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.formatting import format_time, parse_duration
from scoring_operator.contract.blob_paths import data_patterns
from scoring_operator.schedules.windows import last_complete_window
from tests.testkit.scorer_command import scorer
from tests.testkit.scorer_fleet import Fleet, csv_of

MIDNIGHT = datetime(2018, 8, 28, tzinfo=UTC)
EVERY = timedelta(minutes=5)
DEVICE = "press-1"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Return a fleet of one device with a reading every five minutes of a day, in hourly files."""
    fleet = Fleet(tmp_path)
    fleet.device()
    for start in range(24):
        times = [MIDNIGHT + timedelta(hours=start) + n * EVERY for n in range(12)]
        fleet.put(DEVICE, csv_of(*((format_time(at), DEVICE, "1", "10.0") for at in times)), f"20180828T{start:02}00Z")
    return fleet


@pytest.mark.fault("F22")
@pytest.mark.parametrize(("length", "firings"), [("PT15M", 12), ("PT1H", 3), ("P1D", 1)])
@pytest.mark.slow
def test_consecutive_windows_score_each_reading_once(fleet: Fleet, length: str, firings: int) -> None:
    step = parse_duration(length)
    data = parse_fleet({"name": "default", "namespaces": ["scoring"]}).data
    scored: list[str] = []
    for number in range(firings):
        window = last_complete_window(MIDNIGHT + (number + 1) * step, length=step, delay=timedelta())
        places = data_patterns(data.path, parse_duration(data.partition), window)
        assert [f"{place.prefix}{DEVICE}{place.suffix}" for place in places] == [
            f"20180828T{start:02}00Z/{DEVICE}.csv"
            for start in range(24)
            if window.start < MIDNIGHT + timedelta(hours=start + 1) and MIDNIGHT + timedelta(hours=start) < window.end
        ]
        span = ("--window-start", format_time(window.start), "--window-end", format_time(window.end))
        assert scorer("score", "--store", str(fleet.folder), *span, "--", DEVICE).code == 0
        name = "_".join(f"{moment:%Y%m%dT%H%M%SZ}" for moment in (window.start, window.end))
        blob = fleet.store.read("predictions", f"{name}/{DEVICE}.csv")
        assert blob is not None
        scored += [line.split(",")[0] for line in blob.content.decode().splitlines()[1:]]
    assert scored == [format_time(MIDNIGHT + n * EVERY) for n in range(firings * step // EVERY)]
