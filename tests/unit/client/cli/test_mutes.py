"""The commands for mutes, over a fleet in a folder."""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetscore.cli import main
from fleetscore.contract.windows import format_time
from fleetscore.store.folder import FolderStore

FILE = "predictions/_mutes.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "predictions").mkdir()
    return tmp_path


def run(folder: Path, *words: str) -> int:
    return main([*words, "--store", str(folder)])


def test_mute_is_listed_and_removed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "mute", "press-*", "--why", "oil, new", "--until", "2999-01-01T00:00Z", "--who", "ann") == 0
    assert run(folder, "mutes", "-o", "wide") == 0
    assert run(folder, "mutes", "-d", "drill-1", "-o", "name") == 0
    assert run(folder, "unmute", "press-*") == 0
    out = capsys.readouterr().out.splitlines()
    command = f"fleetscore unmute 'press-*' --store {folder}"
    assert out[0] == f"press-* muted until 2999-01-01T00:00:00Z, from the next report on; `{command}` ends it"
    assert out[1].split() == ["DEVICES", "STATE", "FROM", "UNTIL", "WHY", "WHO", "LINE", "PROBLEM"]
    assert out[2].split()[0:2] == ["press-*", "active"]
    assert out[3:] == ["1 mute removed"]
    assert (folder / FILE).read_text() == "Devices,From,Until,Why,Who\n"


def test_spaces_around_the_devices_are_not_a_part_of_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "mute", " press-9 ", "--why", " new  valve ", "--who", " ann ", "-o", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["Devices"], row["Why"], row["Who"], row["Line"]) == ("press-9", "new valve", "ann", 2)
    assert run(folder, "mute", " press-9 ", "--why", "x") == 0
    assert "; `fleetscore unmute press-9 --store " in capsys.readouterr().out
    assert run(folder, "unmute", " press-9 ") == 0
    assert capsys.readouterr().out == "2 mutes removed\n"


@pytest.mark.parametrize("devices", ["-9", "--x y"])
def test_command_that_ends_a_mute_works_as_printed(
    folder: Path, capsys: pytest.CaptureFixture[str], devices: str
) -> None:
    assert main(["mute", "--why", "x", "--store", str(folder), "--", devices]) == 0
    _, command, *words = shlex.split(capsys.readouterr().out.split("`")[1])
    assert (command, main([command, *words])) == ("unmute", 0)


@pytest.mark.parametrize(("devices", "warned"), [("pres-7", True), ("Press-*", True), ("press-?", False)])
def test_mute_without_a_device_with_a_model_is_warned_about(
    folder: Path, capsys: pytest.CaptureFixture[str], devices: str, *, warned: bool
) -> None:
    (folder / "models").mkdir()
    (folder / "models" / "press-7.joblib").touch()
    assert run(folder, "mute", devices, "--why", "x") == 0
    warning = f"warning: no device with a model matches {devices}; the ids are case-sensitive\n"
    assert capsys.readouterr().err == warning * warned


def test_table_fits_into_80_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, "mute", "press-1", "--why", "new valve", "--until", "2999-01-01", "--who", "ann")
    capsys.readouterr()
    run(folder, "mutes")
    assert capsys.readouterr().out.rstrip() == (
        "DEVICES  STATE   UNTIL                 WHY        WHO\npress-1  active  2999-01-01T00:00:00Z  new valve  ann"
    )


def test_json_has_the_mute(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "mute", "a", "--why", "x", "--from", "2998-01-01", "--for", "4h", "-o", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["Devices"], row["State"], row["Until"]) == ("a", "future", "2998-01-01T04:00:00Z")


@pytest.mark.parametrize(
    ("end", "start"),
    [("20180829T000000Z", "2018-08-29T00:00:00Z"), ("29990829T000000Z", None), (None, None)],
    ids=["reported window", "window in the future", "no report"],
)
def test_mute_applies_to_the_next_report(
    folder: Path, capsys: pytest.CaptureFixture[str], end: str | None, start: str | None
) -> None:
    if end:
        window = folder / "predictions" / f"20180828T230000Z_{end}"
        window.mkdir()
        (window / "_summary.json").write_text("{}")
    before = format_time(datetime.now(UTC))
    assert run(folder, "mute", "a", "--why", "x", "--for", "4h", "-o", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["From"] == start if start else row["From"] >= before
    assert row["State"] == "active"
    assert row["Until"] > before


def test_ended_mutes_are_removed_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / FILE).write_text("Devices,From,Until,Why,Who\na,,2018-01-01T00:00:00Z,,\nb,,,,\nc,,2017-01-01,,\n")
    assert run(folder, "unmute", "--ended") == 0
    assert capsys.readouterr().out == "2 mutes removed\n"
    assert (folder / FILE).read_text() == "Devices,From,Until,Why,Who\nb,,,,\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("unmute", "press-1"), "no mute of press-1 exists; it is muted as press-*"),
        (("unmute", "drill"), "no mute of drill exists; `fleetscore mutes --store "),
        (("unmute",), "name the DEVICES of a mute, or use --ended"),
        (("mute", "a", "--why", "x", "--for", "1h", "--until", "2999-01-01"), "contradict each other"),
        (("mute", "a", "--why", "x", "--for", "9999999d"), "--for is invalid"),
        (("mute", "a", "--why", "x", "--until", "2018-01-01"), "has ended already"),
        (("mute", "a", "--why", "x", "--until", "noon"), "time 'noon' is invalid"),
    ],
    ids=range(7),
)
def test_invalid_request_changes_nothing(
    folder: Path, words: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / FILE).write_text("press-*,,,,\n")
    assert run(folder, *words) == 1
    assert text in capsys.readouterr().err
    assert (folder / FILE).read_text() == "press-*,,,,\n"


def test_concurrent_change_of_another_client_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, calls = FolderStore.write, []

    def write_late(self: FolderStore, container: str, name: str, content: bytes, *, if_match: str | None) -> bool:
        calls.append(if_match)
        if len(calls) == 1:
            (folder / FILE).write_text("other,,,,\n")
        return write(self, container, name, content, if_match=if_match)

    monkeypatch.setattr(FolderStore, "write", write_late)
    assert run(folder, "mute", "mine", "--why", "x") == 0
    assert [line.split(",")[0] for line in (folder / FILE).read_text().splitlines()] == ["other", "mine"]
    assert len(calls) == 2


def test_file_that_always_changes_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FolderStore, "write", lambda *_, **__: False)
    assert run(folder, "mute", "mine", "--why", "x") == 1
    assert "changed by other clients 20 times; try again" in capsys.readouterr().err


def test_file_above_the_limit_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / FILE).write_bytes(b"x" * (2**20 + 1))
    assert run(folder, "mutes") == 1
    assert "_mutes.csv is too large" in capsys.readouterr().err
