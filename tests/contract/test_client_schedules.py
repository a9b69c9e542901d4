"""The client and the operator agree on the windows, the names and the runs of a schedule."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetscore.contract.schedules import parse_schedules
from fleetscore.contract.windows import Window
from fleetscore.runs.gaps import covers, run_name, window_states, windows_in
from scoring_operator.schedules import gaps, windows

ENTRY = {"name": "hourly", "fleet": "plant", "window": "PT15M", "delay": "PT5M", "run": {"tags": ["1"]}}
OPERATOR = windows.select_schedule({"schedules": [ENTRY]}, "hourly")
CLIENT = parse_schedules({"schedules": [ENTRY]})["hourly"]
START = datetime(2026, 1, 5, tzinfo=UTC)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis adds the zone


def pair(window: Any) -> tuple[datetime, datetime]:
    return window.start, window.end


@given(TIMES)
def test_last_window_of_a_time_is_the_same(time: datetime) -> None:
    found = windows.last_complete_window(time, length=timedelta(minutes=15), delay=timedelta(minutes=5))
    assert pair(CLIENT.last_window(time)) == pair(found)


@given(TIMES)
def test_windows_of_a_range_are_the_same(start: datetime) -> None:
    end = start + timedelta(hours=3, minutes=7)
    found = gaps.windows_between(start, end, timedelta(minutes=15))
    assert list(map(pair, windows_in(start, end, CLIENT))) == list(map(pair, found))


@pytest.mark.parametrize("taken", [(), ("hourly-20260105t000000z",)], ids=["free", "taken"])
def test_name_and_spec_of_a_run_are_the_same(taken: tuple[str, ...]) -> None:
    (first, *_) = gaps.windows_between(START, START + timedelta(hours=1), timedelta(minutes=15))
    run = gaps.build_backfill_run(OPERATOR, first, namespace="scoring", existing_names=taken)
    window = Window(first.start, first.end)
    assert run_name(CLIENT, window, taken) == run["metadata"]["name"]
    assert CLIENT.spec(window) == run["spec"]


def a_run(quarter: int, condition: str, **spec: Any) -> dict[str, Any]:
    start, end = (START + timedelta(minutes=15 * one) for one in (quarter, quarter + 1))
    times = {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
    conditions = [{"type": condition, "status": "True", "reason": "R"}] if condition else []
    own = {"fleet": "plant", "tags": ["1"], "window": times}
    metadata = {"name": f"r{quarter}", "labels": {}}
    return {"metadata": metadata, "spec": {**own, **spec}, "status": {"conditions": conditions}}


def test_states_of_windows_are_the_same() -> None:
    runs = [a_run(0, "Complete"), a_run(1, "Failed"), a_run(2, ""), a_run(3, "Complete", tags=["2"])]
    runs[3]["metadata"]["labels"]["fleetscore.dev/schedule"] = "hourly"  # from before a change of the schedule
    listed = gaps.windows_between(START, START + timedelta(hours=1), timedelta(minutes=15))
    theirs = gaps.classify_windows(OPERATOR, listed, [gaps.read_run(msgspec.json.encode(one)) for one in runs])
    ours = window_states([Window(*pair(one)) for one in listed], runs, CLIENT, matches=covers)
    for state in ("complete", "active", "failed", "missing"):
        assert [pair(one.window) for one in ours if one.state == state] == list(map(pair, getattr(theirs, state)))
