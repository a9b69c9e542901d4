"""Models that mean harm, in a packed Job of the real program: they cost only their own devices."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer
from sklearn.svm import OneClassSVM

from tests.testkit.hostile_code import OnLoad
from tests.testkit.hostile_models import ANY, COLUMN, PLAIN
from tests.testkit.paths import ROOT
from tests.testkit.processes import has_ended
from tests.testkit.scorer_fleet import END, START, Fleet, a_model, bundle, readings
from tests.testkit.waiting import until

SOUND = [f"sound-{number}" for number in range(10)]
VALUES = (9.5, 10.0, 10.5, 99.0, 8.0, 1e149)
PER_JOB = 12
REASONS = {"ModelInvalid", "ModelRejected", "ModelIncompatible", "DeadlineExceeded"}

pytestmark = [pytest.mark.slow, pytest.mark.fault("F32"), pytest.mark.fault("T15")]


def a_quantile_model() -> Any:
    """Return a model that only scikit-learn evaluates."""
    steps = make_pipeline(QuantileTransformer(n_quantiles=5, random_state=1), OneClassSVM(nu=0.1))
    return steps.fit(COLUMN)


@pytest.fixture
def packed(tmp_path: Path) -> Fleet:
    """Return a fleet of ten sound devices, half of them evaluated by scikit-learn."""
    return a_sound_fleet(tmp_path / "fleet")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """Return the predictions of the sound devices in a Job without others."""
    folder = tmp_path_factory.mktemp("sound")
    fleet = a_sound_fleet(folder / "fleet")
    run_job(fleet, SOUND, folder)
    predictions = take_predictions(fleet)
    assert all(predictions.values())
    return predictions


def a_sound_fleet(folder: Path) -> Fleet:
    fleet = Fleet(folder)
    bundles = [bundle({"1": a_model()}), bundle({"1": a_quantile_model()})]
    for number, device in enumerate(SOUND):
        fleet.device(device, models=bundles[number % 2], data=readings(device, values=VALUES))
    return fleet


def run_job(fleet: Fleet, devices: list[str], tmp_path: Path, program: str = "device_scorer") -> dict[str, Any]:
    """Score the devices in one process, and return its outcome message."""
    message = tmp_path / "message"
    line = ["--window-start", START, "--window-end", END, "--device-deadline-seconds", "300"]
    done = subprocess.run(
        [sys.executable, "-m", program, "score", "--store", str(fleet.folder), *line, "--", *devices],
        env={**os.environ, "FLEETSCORE_TERMINATION_LOG": str(message), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "unexpected error" not in done.stderr
    content = json.loads(message.read_bytes())
    assert isinstance(content, dict)
    return content


def take_predictions(fleet: Fleet) -> dict[str, str | None]:
    found = {device: fleet.predictions(device) for device in SOUND}
    for info in list(fleet.store.list("predictions")):
        fleet.store.delete("predictions", info.name)
    return found


def in_groups(names: list[str]) -> list[list[str]]:
    return [names[start : start + PER_JOB] for start in range(0, len(names), PER_JOB)]


@pytest.fixture
def groups_of(long: bool) -> Callable[[list[str]], list[list[str]]]:  # noqa: FBT001  the fixture of the flag --long
    """Return the function that divides hostile models among Jobs: with --long, each has a Job of its own."""
    return lambda names: [[name] for name in names] if long else [names]


@pytest.mark.parametrize(
    ("group", "trust"),
    [(group, trust) for models, trust in ((PLAIN, "allowlist"), (ANY, "any")) for group in in_groups(list(models))],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_sound_devices_are_scored_as_without_the_hostile_ones(
    packed: Fleet,
    expected: dict[str, str | None],
    group: list[str],
    trust: str,
    groups_of: Callable[[list[str]], list[list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLEETSCORE_MODELS_TRUST", trust)
    for names in groups_of(group):
        hostile = [f"hostile-{number}" for number in range(len(names))]
        for device, name in zip(hostile, names, strict=True):
            packed.device(device, models=(PLAIN | ANY)[name](), data=readings(device, values=VALUES))
        mixed = [device for pair in zip(SOUND, [*hostile, *[""] * 10], strict=False) for device in pair if device]
        program = "tests.testkit.short_limits" if trust == "any" else "device_scorer"
        message = run_job(packed, [*mixed, *hostile[10:]], tmp_path, program)
        assert set(message["reasons"]) <= REASONS
        assert take_predictions(packed) == expected, message


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_stopped_scorer_leaves_no_process(packed: Fleet, stop: signal.Signals) -> None:
    packed.device("hostile", models=bundle({"1": OnLoad("sleep")}), data=readings("hostile"))
    line = ["--window-start", START, "--window-end", END, "--", "hostile", *SOUND]
    scorer = subprocess.Popen(
        [sys.executable, "-m", "device_scorer", "score", "--store", str(packed.folder), *line],
        env={**os.environ, "FLEETSCORE_MODELS_TRUST": "any", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: all(packed.predictions(device) for device in SOUND), "predictions of the sound devices")
    # The kernel moves the children of a thread that ends, so one list may lack them.
    processes = until(
        lambda: found if len(found := descendants(scorer.pid)) > 1 else None, "the fork server and a worker"
    )
    scorer.send_signal(stop)
    assert scorer.wait(60) in (75, -stop, 130)
    until(lambda: all(map(has_ended, processes)), "the end of the processes of scikit-learn")


def descendants(pid: int) -> list[int]:
    """Return the processes that a process and its children have started, parents first."""
    children = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended, and its children belong to another thread
            children += [int(child) for child in thread.read_text().split()]
    return [*children, *(grandchild for child in children for grandchild in descendants(child))]
