"""The output of the commands that list; `UPDATE_GOLDEN=1 pytest ...` writes the golden files; review the diff."""

import os
import re
from pathlib import Path

import pytest

from fleetscore.cli import main
from tests.testkit import fake_release as fake
from tests.testkit.client_fleet import LAST, make_folder
from tests.testkit.fake_release import FakeRelease

GOLDEN = Path(__file__).parent / "golden"
MUTES = "press-*,2018-01-01T00:00:00Z,2999-01-01T00:00:00Z,new valve,ann\n"
FAILURES = "Device,Outcome,Reason,Message\npress-4,failed,ModelCorrupt,press-4.joblib is not a model\n"
RUN = {
    "metadata": {"name": "hourly-20180828t230000z", "creationTimestamp": "2018-08-29T00:05:00Z"},
    "spec": {"fleet": "default", "window": {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}},
    "status": {
        "phase": "Complete",
        "window": LAST.column,
        "devices": {"total": 3, "scored": 2, "failed": 1},
        "results": {"anomalies": 1},
        "duration": "12s",
        "message": "3 of 3 devices done",
    },
}
SCORE = re.compile(r"-0\.\d+")
"""A score, whose last digits depend on the version of scikit-learn that fitted the model."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_folder(tmp_path_factory.mktemp("golden") / "store")
    (path / "predictions" / "_mutes.csv").write_text(MUTES)
    (path / "predictions" / LAST.slug / "_failures.csv").write_text(FAILURES)
    return path


@pytest.mark.parametrize("form", ["table", "wide", "json", "yaml"])
@pytest.mark.parametrize("command", ["anomalies", "failed", "incidents", "mutes", "sensors"])
def test_list_has_the_golden_output(command: str, form: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--store", str(folder), "-o", form]) == 0
    check_golden(command, form, capsys.readouterr().out)


@pytest.mark.parametrize("form", ["table", "wide", "json", "yaml"])
def test_status_has_the_golden_output(form: str, fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]) -> None:
    fake_release.lists[fake.RUNS] = [RUN]
    assert main(["status", "-o", form]) == 0
    check_golden("status", form, capsys.readouterr().out)


def check_golden(command: str, form: str, out: str) -> None:
    """Compare an output with its golden file, without the digits that vary and spaces at the ends of lines."""
    lines = SCORE.sub("SCORE", out).splitlines()
    found, path = "".join(f"{line.rstrip()}\n" for line in lines), GOLDEN / f"{command}.{form}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found)
    assert found == path.read_text(), "UPDATE_GOLDEN=1 rewrites it; review the diff"
