"""The output of the commands that list; `UPDATE_GOLDEN=1 pytest ...` writes the golden files; review the diff."""

import os
import re
from pathlib import Path

import pytest

from fleetscore.cli import main
from tests.testkit.client_fleet import make_folder

GOLDEN = Path(__file__).parent / "golden"
MUTES = "press-*,2018-01-01T00:00:00Z,2999-01-01T00:00:00Z,new valve,ann\n"
SCORE = re.compile(r"-0\.\d+")
"""A score, whose last digits depend on the version of scikit-learn that fitted the model."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_folder(tmp_path_factory.mktemp("golden") / "store")
    (path / "predictions" / "_mutes.csv").write_text(MUTES)
    return path


@pytest.mark.parametrize("form", ["table", "wide", "json", "yaml"])
@pytest.mark.parametrize("command", ["anomalies", "incidents", "mutes", "sensors"])
def test_list_has_the_golden_output(command: str, form: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--store", str(folder), "-o", form]) == 0
    lines = SCORE.sub("SCORE", capsys.readouterr().out).splitlines()
    found, path = "".join(f"{line.rstrip()}\n" for line in lines), GOLDEN / f"{command}.{form}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found)
    assert found == path.read_text(), "UPDATE_GOLDEN=1 rewrites it; review the diff"
