"""The command `backfill` on a fake API server: the windows that exist, and the arguments."""

import json
from typing import Any

import pytest

from fleetscore.cli import main
from fleetscore.cli.backfill import summary
from fleetscore.contract.windows import Window
from fleetscore.runs.gaps import WindowState
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease

RANGE = ("--from", "2018-08-28T00:00Z", "--to", "2018-08-28T03:00Z")


def a_run(name: str, hour: int, condition: str) -> dict[str, Any]:
    times = {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}
    status = {"conditions": [{"type": condition, "status": "True"}]}
    metadata = {"name": name, "namespace": fake.NAMESPACE}
    return {"metadata": metadata, "spec": {"fleet": "default", "window": times}, "status": status}


@pytest.mark.parametrize("words", [(), ("--schedule", "hourly")], ids=["fleet", "schedule"])
def test_dry_run_lists_each_window_and_its_run(
    fake_release: FakeRelease, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    fake_release.lists[fake.RUNS] = [a_run("done", 0, "Complete"), a_run("lost", 1, "Failed")]
    assert main(["backfill", *RANGE, *words, "--dry-run", "client", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"Window": "2018-08-28T00:00Z/1h", "State": "complete", "Run": "done"},
        {"Window": "2018-08-28T01:00Z/1h", "State": "failed", "Run": "lost"},
        {"Window": "2018-08-28T02:00Z/1h", "State": "missing", "Run": ""},
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((*RANGE, "--schedule", "daily"), "has no schedule daily; it has hourly"),
        ((*RANGE, "--length", "0h"), "duration '0h' is invalid"),
        (
            ("--from", "2018-08-28", "--to", "2018-08-27"),
            "--from 2018-08-28T00:00:00Z is after --to 2018-08-27T00:00:00Z; swap them",
        ),
        (("--from", "2018-08-28", "--to", "2018-08-28"), "has no complete window of 1h; choose a longer range"),
        (("--from", "soon", "--to", "2018-08-27T00:00Z"), "time 'soon' is invalid"),
    ],
    ids=["schedule", "length", "swapped", "empty", "time"],
)
@pytest.mark.usefixtures("fake_release")
def test_invalid_argument_is_an_error(words: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backfill", *words]) == 1
    assert text in capsys.readouterr().err


@pytest.mark.usefixtures("fake_release")
@pytest.mark.parametrize("command", [("backfill", *RANGE), ("run", "--window", "2018-08-28T23:00Z"), ("retry",)])
def test_unknown_dry_run_is_a_wrong_usage(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--dry-run", "server"]) == 2
    assert "'server' is not one of 'none', 'client'" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_summary_counts_windows_by_state() -> None:
    window = Window.parse("2018-08-28T00:00Z")
    states = [WindowState(window, state) for state in ("missing", "complete", "missing")]
    assert summary(states, 2) == "3 windows: 1 complete, 2 missing; 2 runs are created"
