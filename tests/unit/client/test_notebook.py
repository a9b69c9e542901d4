"""The notebook of the documents runs over a simulated fleet."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.testkit.scorer_command import scorer

NOTEBOOK = Path(__file__).parents[3] / "docs" / "user" / "notebook.ipynb"
END = "2018-08-29T00:00:00Z"


@pytest.fixture
def simulated_folder(tmp_path: Path) -> Path:
    store = tmp_path / "folder"
    words = ("--devices", "3", "--tags", "2", "--hours", "14", "--anomaly-hours", "2", "--anomaly-rate", "0.5")
    assert scorer("simulate", "--store", store, *words, "--end", END).code == 0
    assert scorer("train", "--store", store, "--end", "2018-08-28T22:00:00Z").code == 0
    for start, end in (("2018-08-28T22:00:00Z", "2018-08-28T23:00:00Z"), ("2018-08-28T23:00:00Z", END)):
        window = ("--window-start", start, "--window-end", end)
        assert scorer("score", "--store", store, *window, "--", "press-1", "press-2", "press-3").code == 0
        assert scorer("report", "--store", store, *window).code == 0
    return store


@pytest.mark.slow
def test_each_cell_of_the_notebook_runs(simulated_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(simulated_folder.parent)
    monkeypatch.setattr("tempfile.tempdir", str(simulated_folder.parent))
    names: dict[str, Any] = {}
    for number, cell in enumerate(json.loads(NOTEBOOK.read_text())["cells"]):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)  # noqa: S102  the cells are ours
    assert names["history"].shape == (3, 2)
    assert len(names["anomalies"]) > 0
    assert len(names["files"]) == 2
