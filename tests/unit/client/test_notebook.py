"""The notebook of the documents runs over the fleet that its own commands make."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[3] / "docs" / "user" / "notebook.ipynb"
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder in which the commands of the first cell have run."""
    (commands,) = SHELL.findall("".join(json.loads(NOTEBOOK.read_text())["cells"][0]["source"]))
    variables = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["bash", "-e", "-c", commands], cwd=tmp_path, env=variables, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return tmp_path


@pytest.mark.slow
def test_each_cell_of_the_notebook_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    names: dict[str, Any] = {}
    for number, cell in enumerate(json.loads(NOTEBOOK.read_text())["cells"]):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)  # noqa: S102  the cells are ours
    assert names["history"].shape == (12, 2)
    assert len(names["anomalies"]) > 0
    assert len(names["files"]) == 2
