"""The command `device`; `UPDATE_GOLDEN=1 pytest ...` writes the golden files, to be reviewed as a diff."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from device_scorer import SCIKIT_LEARN
from fleetscore import Window
from fleetscore.cli import main
from fleetscore.cli.device import next_steps
from fleetscore.cli.session import Session
from tests.unit.client.conftest import LAST, make_folder, score

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_folder(tmp_path_factory.mktemp("device") / "store")
    (folder / "predictions" / "_mutes.csv").write_text(
        "press-*,2018-01-01T00:00:00Z,2999-01-01T00:00:00Z,new valve,ann\n"
    )
    for model in (folder / "models").glob("*.joblib"):
        os.utime(model, (1535500000, 1535500000))
    return folder


def stable(text: str) -> str:
    """Return an output without what depends on the day and on the version of scikit-learn."""
    text = re.sub(
        r"(ageDays\W+|\()\d+( days|,|$)", r"\g<1>100\2", text.replace(SCIKIT_LEARN, "VERSION"), flags=re.MULTILINE
    )
    text = re.sub(r"(Strongest\W+-0\.\d{3})\d+", r"\1", text)
    return re.sub(r"(bytes\W+)\d+|[\d,]+( bytes)", r"\g<1>1000\2", text)


@pytest.mark.parametrize("form", ["table", "wide", "json", "yaml", "name"])
def test_device_has_the_golden_output_in_every_form(
    folder: Path, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Session, "place", lambda _: [])  # the reference shows the next step of a cluster
    assert main(["device", "press-2", "--store", str(folder), "-o", form]) == 0
    found, path = stable(capsys.readouterr().out), GOLDEN / f"device.{form}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    assert found == path.read_text(), "UPDATE_GOLDEN=1 rewrites it; review the diff"
    assert form != "table" or max(map(len, found.splitlines())) <= 80


def test_strip_and_next_step_are_of_the_length_of_the_newest_window(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path / "store")
    quarter = Window.parse("2018-08-28T23:45Z/15m")
    score(folder, quarter)
    assert main(["device", "press-2", "--store", str(folder), "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["newestWindow"], found["windows"]) == (
        quarter.column,
        [{"start": "2018-08-28T23:45:00Z", "state": "-"}],
    )
    assert "23:45" in found["next"][0]


def test_newest_window_without_a_state_is_unknown_in_the_strip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path / "store")
    later = Window(LAST.end, LAST.end + LAST.length)
    shutil.copytree(folder / "predictions" / LAST.slug, folder / "predictions" / later.slug)
    assert main(["device", "press-2", "--store", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "WINDOWS  2018-08-28T22:00Z to 2018-08-29T00:00Z/1h\n  SS?\n" in out
    assert "2018-08-29T00:00" in out.partition("NEXT")[2]


def test_unknown_device_is_an_error_with_similar_ids(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "press-22", "--store", str(folder)]) == 1
    error = capsys.readouterr().err
    assert "press-22 has neither a model nor a state in the last 48 windows; similar ids: press-2" in error


def test_missing_or_broken_model_does_not_hide_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = make_folder(tmp_path / "store")
    (other / "models" / "press-2.joblib").unlink()
    (other / "models" / "press-3.joblib").write_bytes(b"cos\nsystem\n.")
    for device, text in (("press-2", "none: press-2.joblib does not exist"), ("press-3", "cannot be read")):
        assert main(["device", device, "--store", str(other)]) == 0
        out = capsys.readouterr().out
        assert text in " ".join(out.split())
        assert "INCIDENTS" in out


@pytest.mark.parametrize(
    ("letters", "text"),
    [
        ("NA", "`fleetscore replay press-1 --window 2018-08-28T23:00Z`"),
        ("NF", "`fleetscore failed`; then score the device again: `fleetscore retry`"),
        ("NE", "check the connection of the device"),
        ("NS", "check the sensors"),
        ("N-", "`fleetscore run --window 2018-08-28T23:00Z -d press-1`"),
        ("", "`fleetscore run"),
    ],
    ids=["anomalous", "failed", "empty", "sensor", "not-run", "unknown"],
)
def test_next_step_follows_from_the_last_state(letters: str, text: str) -> None:
    (step,) = next_steps("press-1", LAST, list(letters), [], has_model=True, muted=False)
    assert text in step


def test_maintenance_is_a_next_step_of_an_open_incident_that_is_not_muted() -> None:
    rows = [{"State": "open"}]
    assert next_steps("a", LAST, ["N"], [], has_model=True, muted=False) == []
    assert next_steps("a", LAST, ["N"], [{"State": "closed"}], has_model=True, muted=False) == []
    assert next_steps("a", LAST, ["N"], rows, has_model=True, muted=True) == []
    assert "'$(a)'" in next_steps("$(a)", LAST, ["A"], [], has_model=True, muted=False)[0]
    assert "fleetscore mute a" in next_steps("a", LAST, ["N"], rows, has_model=True, muted=False)[0]


def test_json_has_the_states_of_the_windows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "press-3", "--store", str(folder), "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["windows"] == [
        {"start": "2018-08-28T22:00:00Z", "state": "S"},
        {"start": "2018-08-28T23:00:00Z", "state": "E"},
    ]
