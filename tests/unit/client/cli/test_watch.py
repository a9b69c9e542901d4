"""The live view of a run."""

import io
from typing import Any

from rich.console import Console

from fleetscore.cli.next_steps import Option, set_place
from fleetscore.cli.watch import BAR_WIDTH, bar_text, duration_text, live_view, watch
from fleetscore.runs.follow import Pace


def a_run(phase: str, **devices: int) -> dict[str, Any]:
    conditions = [{"type": phase, "status": "True"}] if phase in ("Complete", "Failed") else []
    waiting = [{"type": "Waiting", "status": "True", "message": "quota of pods"}] if phase == "Running" else []
    status = {"phase": phase, "window": "2018-08-28T23:00Z/1h", "devices": devices, "results": {"anomalies": 4}}
    return {"metadata": {"name": "hourly"}, "status": {**status, "conditions": conditions + waiting}}


RUNNING = a_run("Running", total=1000, scored=400, failed=1, active=100, pending=499)
ENDED = a_run("Complete", total=1000, scored=999, failed=1)


def printed(found: object, *, terminal: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=terminal, no_color=True, highlight=False)
    if isinstance(found, list):
        watch(found, console)
    else:
        console.print(found)
    return out.getvalue()


def test_live_view_has_a_bar_per_outcome_pace_time_left_and_cause() -> None:
    pace = Pace()
    pace.add(0, 1)
    pace.add(100, 401)
    lines = printed(live_view(RUNNING, pace)).splitlines()
    assert lines[0].split() == ["hourly", "2018-08-28T23:00Z/1h", "Running"]
    assert [line.split()[0] for line in lines[1:5]] == ["scored", "failed", "active", "pending"]
    assert lines[1].count("━") == 12
    assert [line.strip() for line in lines[5:]] == [
        "401 of 1,000 devices done, 4 anomalies",
        "240 devices a minute, about 2 min left",
        "waits: quota of pods",
    ]
    assert max(map(len, lines)) <= 80


def test_live_view_has_the_canary() -> None:
    run = a_run("Running", total=9, active=3)
    run["status"]["message"] = "0 of 9 devices done; canary: 2 of 3 Jobs ended"
    assert "  canary: 2 of 3 Jobs ended" in printed(live_view(run, Pace())).splitlines()


def test_live_view_of_a_suspended_run_names_the_command_for_its_place() -> None:
    set_place([Option(("-n", "--namespace"), "plant")])
    try:
        lines = printed(live_view(a_run("Suspended", total=9, active=3), Pace())).splitlines()
    finally:
        set_place()
    assert "  waits: `fleetscore resume hourly -n plant` continues it" in lines


def test_bar_has_at_least_one_and_at_most_all_characters() -> None:
    assert [bar_text(count, 1000).count("━") for count in (1, 500, 1000, 5000)] == [1, 15, BAR_WIDTH, BAR_WIDTH]


def test_pipe_has_a_line_per_change_and_then_the_result() -> None:
    lines = printed([RUNNING, RUNNING, ENDED]).splitlines()
    assert lines[0] == "hourly: Running, 401 of 1000 devices done, 100 active, 1 failed; quota of pods"
    assert sum("Running" in line for line in lines) == 1
    assert "  1000 of 1000 devices done: 999 scored, 1 failed" in lines


def test_terminal_has_one_live_view_and_then_the_result() -> None:
    text = printed([RUNNING, ENDED], terminal=True)
    assert "━" in text
    assert [line.strip() for line in text.rstrip().splitlines()[-2:]] == [
        "4 anomalies",
        "next: `fleetscore retry hourly`",
    ]


def test_duration_is_printed_in_seconds_minutes_or_hours() -> None:
    assert [duration_text(s) for s in (4.2, 89, 600, 3 * 3600 + 300)] == ["4 s", "89 s", "10 min", "3 h 5 min"]
