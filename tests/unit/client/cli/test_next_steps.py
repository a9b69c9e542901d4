"""The commands that are printed as next steps: they work as printed, for the place that was asked of."""

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fleetscore import Window
from fleetscore.cli import main
from fleetscore.cli.device import next_steps
from fleetscore.cli.next_steps import Option, option_of, report_again, score_again, set_place, with_place
from fleetscore.cli.session import Session
from tests.testkit import scorer_fleet
from tests.testkit.client_fleet import LAST, make_folder, score, write_inputs
from tests.testkit.scorer_command import scorer
from tests.unit.client.cli.command_lines import READING

COMMAND = re.compile(r"`((?:fleetscore|device-scorer) [^`]+)`")


@pytest.fixture(autouse=True)
def default_place() -> Iterator[None]:
    yield
    set_place()


@pytest.fixture(scope="module")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet: press-4 cannot be scored, and press-5 has not been."""
    path = make_folder(tmp_path_factory.mktemp("next") / "store")
    write_inputs(path, 23, {"press-4": scorer_fleet.NORMAL})
    (path / "models" / "press-4.joblib").write_bytes(b"broken")
    score(path, LAST, ("press-4",))
    write_inputs(path, 23, {"press-5": scorer_fleet.NORMAL})
    return path


@pytest.fixture
def folder(made_folder: Path, tmp_path: Path) -> Path:
    """A copy in a folder whose name a shell splits."""
    return shutil.copytree(made_folder, tmp_path / "my store")


def commands_of(text: str) -> list[list[str]]:
    """Return the words of the commands of an output, whose lines may be folded."""
    return [shlex.split(one) for one in COMMAND.findall(" ".join(text.split()))]


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("device", ["press-2", "press-4", "press-5"])
def test_each_next_step_of_a_device_of_a_folder_works_as_printed(
    device: str, form: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["device", device, "--store", str(folder), "-o", form]) == 0
    out = capsys.readouterr().out
    found = commands_of(out)
    assert found
    for program, command, *words in found:
        assert str(folder) in words
        if program == "device-scorer":
            scorer(command, *words)
        else:
            assert command in READING
            assert main([command, *words]) == 0
    assert ("device-scorer score" in out) == (device != "press-2")


def test_scoring_as_printed_gives_the_device_predictions_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_inputs(tmp_path, 23, {"press-1": scorer_fleet.NORMAL})
    for program, command, *words in commands_of(score_again(tmp_path, LAST, "press-1", "IfChanged")):
        assert (program, scorer(command, *words).code) == ("device-scorer", 0)
    assert main(["replay", "press-1", "--store", str(tmp_path)]) == 0
    assert "SAME" in capsys.readouterr().out


@pytest.mark.parametrize("letter", "FP-?ASE")
def test_next_step_of_a_folder_names_no_command_for_runs(letter: str) -> None:
    text = " ".join(next_steps("a", LAST, [letter], [], has_model=True, muted=False, store=Path("fleet")))
    assert [words for words in commands_of(text) if words[0] == "fleetscore" and words[1] not in READING] == []


def test_end_of_a_mute_names_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "predictions").mkdir()
    assert main(["mute", "press-1", "--why", "oil", "--store", str(tmp_path)]) == 0
    ((program, *words),) = commands_of(capsys.readouterr().out)
    assert (program, words) == ("fleetscore", ["unmute", "press-1", "--store", str(tmp_path)])
    assert main(words) == 0


def test_error_names_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "predictions").mkdir()
    assert main(["unmute", "press-1", "--store", str(tmp_path)]) == 1
    assert f"; `fleetscore mutes --store {tmp_path}` lists them" in capsys.readouterr().err


@pytest.mark.usefixtures("fake_release")
def test_next_step_names_the_namespace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--window", "2018-08-28T23:00Z", "--name", "mine", "-n", "scoring"]) == 0
    ((_, *words),) = commands_of(capsys.readouterr().out)
    assert words == ["status", "mine", "--watch", "-n", "scoring"]


def test_commands_of_a_text_get_the_options_that_they_lack() -> None:
    set_place([Option(("-n", "--namespace"), "a b"), Option(("--use-fleet-secret",))])
    assert with_place("see `fleetscore status`") == "see `fleetscore status -n 'a b' --use-fleet-secret`"
    once = with_place("`fleetscore status -n c` and `fleetscore wait --namespace=d`")
    assert once == "`fleetscore status -n c --use-fleet-secret` and `fleetscore wait --namespace=d --use-fleet-secret`"
    assert with_place(once) == once


def test_place_has_each_option_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEETSCORE_USE_FLEET_SECRET", raising=False)
    session = Session(context="aks", namespace="scoring", fleet="plant", use_fleet_secret=True)
    texts = [one.text for one in session.place()]
    assert texts == ["-n scoring", "--context aks", "--fleet plant", "--use-fleet-secret"]
    assert Session().place() == []
    assert [one.text for one in replace(session, store=Path("a b")).place()] == ["--store 'a b'"]
    monkeypatch.setenv("FLEETSCORE_USE_FLEET_SECRET", "1")
    assert "--use-fleet-secret" not in [one.text for one in session.place()]


def test_place_of_a_command_does_not_remain(tmp_path: Path) -> None:
    assert main(["mutes", "--store", str(tmp_path / "missing")]) == 1
    assert with_place("`fleetscore status`") == "`fleetscore status`"


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (LAST, "2018-08-28T23:00Z"),
        (Window(LAST.start, LAST.start + timedelta(minutes=15)), "2018-08-28T23:00Z/15m"),
        (Window(LAST.start + timedelta(seconds=5), LAST.end), "2018-08-28T23:00:05Z/2018-08-29T00:00:00Z"),
    ],
    ids=["hour", "quarter", "second"],
)
def test_window_of_a_command_is_the_window(window: Window, text: str) -> None:
    assert option_of(window) == text
    assert Window.parse(text) == window


def test_report_of_a_folder_is_a_complete_command() -> None:
    (found,) = commands_of(report_again(Path("a b"), LAST))
    assert found[:4] == ["device-scorer", "report", "--store", "a b"]
    assert report_again(None, LAST) == "`fleetscore run --window 2018-08-28T23:00Z`"
