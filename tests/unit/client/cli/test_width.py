"""The output of all commands on a real terminal of 80 columns, with long names of devices and runs, and its colours."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer.main

from fleetscore.cli.commands import app
from tests.testkit import fake_release as fake
from tests.testkit import scorer_fleet, terminal
from tests.testkit.client_fleet import FIRST, LAST, score, write_inputs
from tests.testkit.fake_release import FakeRelease, serve_release
from tests.testkit.kubeconfigs import write_kubeconfig

Served = tuple[FakeRelease, dict[str, str]]
pytestmark = pytest.mark.xdist_group("terminal")

DEVICES = tuple(f"hall-3-line-{number:02}-press-machine{number}" for number in range(10, 13))
BROKEN = "hall-3-line-99-press-machine99"
LONGEST = "x" * 128  # the longest id that IoT Hub allows
RUN, ACTIVE = "hourly-of-the-second-hall-20180828t2300z", "hourly-of-the-second-hall-20180829t0000z"
MESSAGE = f"{'the columns of the file are not those of readings; ' * 5}{LONGEST}"
SPAN = ("--from", "2018-08-28T20:00Z", "--to", "2018-08-28T23:00Z")
HOUR = ("--start", "2018-08-28", "--end", "2018-08-29")
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # click's group
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")
"""An SGR sequence (ECMA-48) with a colour."""

OF_FOLDER: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "anomalies": ((), DEVICES[1:2]),
    "compact": ((*HOUR, "--to", "out", "--format", "csv"), (LAST.column,)),
    "device": ((DEVICES[1],), DEVICES[1:2]),
    "failed": ((), (BROKEN,)),
    "incidents": ((), DEVICES[:2]),
    "mute": ((LONGEST, "--why", "oil"), ()),
    "mutes": ((), ("hall-3-*",)),
    "replay": ((DEVICES[1],), DEVICES[1:2]),
    "sensors": ((), DEVICES[:2]),
    "unmute": ((LONGEST,), ()),
}
"""The arguments of the commands that read a folder, and the texts that identify their rows."""

OF_CLUSTER: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "status": ((), (RUN, ACTIVE)),  # before the commands that create runs
    "backfill": ((*SPAN, "--dry-run", "client"), ("2018-08-28T20:00Z/1h",)),
    "cancel": ((ACTIVE,), (ACTIVE,)),
    "doctor": ((), ("crd", "storage")),
    "resume": ((ACTIVE,), (ACTIVE,)),
    "retry": ((RUN,), (f"{RUN[:37]}-retry-",)),
    "run": (("--window", "2018-08-28T23:00Z", "--name", f"{RUN}-again"), (f"{RUN}-again",)),
    "schedules": ((), ("hourly",)),
    "suspend": ((ACTIVE,), (ACTIVE,)),
    "wait": ((RUN,), (RUN, BROKEN)),
}
"""The arguments of the commands that read the cluster, and the texts that identify their rows."""

NOT_FOLDED = {"completion", "logs", "open", "ui"}
"""The commands that print a script, a log, a path or an address, which stay as they are."""

ERRORS: dict[str, tuple[str, ...]] = {
    "context": ("status", "--context", "c" * 100),
    "device": ("logs", LONGEST, "--run", RUN),
    "fleet": ("incidents", "--fleet", "f" * 100),
    "option": ("run", "--windows", LONGEST),
    "run": ("status", "r" * 50),
    "window": ("run", "--window", LONGEST),
}
"""Commands that fail, with long arguments."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet with incidents, flagged sensors, an anomaly, a failed device and a mute."""
    path = tmp_path_factory.mktemp("width") / "store"
    bad = (*scorer_fleet.NORMAL, scorer_fleet.SPIKE)
    for hour in (22, 23):
        write_inputs(path, hour, {DEVICES[0]: scorer_fleet.NORMAL, DEVICES[1]: bad, BROKEN: scorer_fleet.NORMAL})
    (path / "models" / f"{BROKEN}.joblib").write_bytes(b"broken")
    for window in (FIRST, LAST):
        score(path, window, (*DEVICES, BROKEN))
    mute = "hall-3-*,2018-01-01T00:00:00Z,2999-01-01T00:00:00Z,the valve of the press is replaced,ann@example.com\n"
    (path / "predictions" / "_mutes.csv").write_text(mute)
    return path


def a_run(name: str, phase: str, *, ended: bool, **devices: int) -> dict[str, Any]:
    failure = {"device": BROKEN, "reason": "DataInvalid", "message": MESSAGE}
    status = {
        "phase": phase,
        "window": LAST.column,
        "devices": {"total": 10_000, **devices},
        "results": {"anomalies": 12345},
        "message": f"{sum(devices.values())} of 10000 devices done; {MESSAGE}",
        "failures": [failure] if ended else [],
        "conditions": [{"type": "Complete" if ended else "Waiting", "status": "True", "message": MESSAGE}],
    }
    window = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}
    metadata = {"name": name, "namespace": fake.NAMESPACE, "uid": name, "creationTimestamp": "2018-08-29T00:05:00Z"}
    return {"metadata": metadata, "spec": {"fleet": "default", "window": window}, "status": status}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A release with an ended and an active run, and the environment of its user."""
    with serve_release() as found:
        found.lists[fake.CRON_JOBS] = [fake.cron_job(created=timedelta(hours=4))]
        found.lists[fake.RUNS] = [
            a_run(RUN, "PartiallyFailed", ended=True, scored=9_990, failed=10),
            a_run(ACTIVE, "Running", ended=False, scored=7),
        ]
        config = write_kubeconfig(tmp_path_factory.mktemp("width"), found.url, namespace=fake.NAMESPACE)
        yield found, {"KUBECONFIG": str(config), "AZURE_STORAGE_CONNECTION_STRING": ""}


@pytest.fixture(scope="module")
def shown(folder: Path, served: Served) -> dict[str, str]:
    """The outputs of all commands, and of the help of all commands, on one terminal."""
    store = ("--store", str(folder))
    words = {name: (name, *own, *store) for name, (own, _) in OF_FOLDER.items()}
    words["compact"] = tuple(str(folder.parent / "out") if one == "out" else one for one in words["compact"])
    words |= {name: (name, *own) for name, (own, _) in OF_CLUSTER.items()}
    words |= {f"{name}-error": own for name, own in ERRORS.items()}
    words |= {f"{name}-help": (name, "--help") for name in COMMANDS} | {"help": ("--help",)}
    words["status-run"] = ("status", RUN)
    return dict(zip(words, terminal.outputs(list(words.values()), **served[1]), strict=True))


def test_each_command_is_tested_or_prints_what_cannot_be_folded() -> None:
    assert {*OF_FOLDER, *OF_CLUSTER, *NOT_FOLDED} == set(COMMANDS)


@pytest.mark.parametrize("name", [*OF_FOLDER, *OF_CLUSTER])
def test_output_fits_into_80_columns_with_whole_names(name: str, shown: dict[str, str]) -> None:
    lines = terminal.lines_of(shown[name])
    assert any(lines)
    assert "Traceback" not in shown[name]
    assert terminal.too_wide(lines) == []
    identities = (OF_FOLDER | OF_CLUSTER)[name][1]
    assert [one for one in identities if not any(one in line for line in lines)] == []


def test_help_errors_and_a_run_fit_into_80_columns(shown: dict[str, str]) -> None:
    others = set(shown) - {*OF_FOLDER, *OF_CLUSTER}
    assert {name: wide for name in others if (wide := terminal.too_wide(terminal.lines_of(shown[name])))} == {}
    assert [name for name in others if "Traceback" in shown[name]] == []
    assert all("error" in shown[f"{name}-error"].lower() for name in ERRORS)
    assert COLOUR.search(shown["help"])
    assert MESSAGE[:40] in " ".join(terminal.lines_of(shown["status-run"]))


def watched(served: Served, folder: Path, **environment: str) -> str:
    """Return what a run that ends, its help and a table look like on a terminal."""
    found, variables = served
    states = iter([a_run("watched", "Running", ended=False, scored=7, failed=2)])
    ended = a_run("watched", "Complete", ended=True, scored=9_998, failed=2)
    found.objects[f"{fake.RUNS}/watched"] = lambda: next(states, ended)
    commands = [("status", "watched", "--watch"), ("status", "--help"), ("incidents", "--store", str(folder))]
    return "".join(terminal.outputs(commands, **variables, **environment))


def test_live_view_fits_into_80_columns_and_has_colours(served: Served, folder: Path) -> None:
    text = watched(served, folder)
    lines = terminal.lines_of(text)
    assert terminal.too_wide(lines) == []
    assert any("9 of 10,000 devices done, 12,345 anomalies" in line for line in lines)
    assert any(line.startswith("  scored") and "━" in line for line in lines)
    assert COLOUR.search(text)


def test_no_color_switches_colours_off(served: Served, folder: Path) -> None:
    text = watched(served, folder, NO_COLOR="1")
    assert "━" in text
    assert COLOUR.findall(text) == []


def test_dumb_terminal_gets_no_escape_sequence(served: Served, folder: Path) -> None:
    text = watched(served, folder, TERM="dumb")
    assert "\x1b" not in text
    lines = terminal.lines_of(text)
    assert terminal.too_wide(lines) == []
    assert "watched: Running, 9 of 10000 devices done, 0 active, 2 failed;" in " ".join(lines)


@pytest.mark.parametrize("size", ["0", "", "00", "²"])
def test_size_of_the_terminal_replaces_a_variable_without_a_size(folder: Path, size: str) -> None:
    commands = [("mutes", "--store", str(folder)), ("mutes", "--help"), ERRORS["window"]]  # they show no progress
    expected = terminal.outputs(commands)
    assert terminal.outputs(commands, COLUMNS=size, LINES=size) == expected
    assert len(terminal.lines_of(expected[0])) > 3
