"""Tables for people, and JSON, YAML and names for programs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetscore.cli.output import Format, Table, columns, print_documents, print_lines, print_table

ROWS = [{"Device": "press-7", "Rows": 12, "Detail": "a"}, {"Device": "hall\x1b[31m", "Rows": 3, "Detail": None}]
MAIN = "import sys; from fleetscore.cli import main; sys.exit(main())"
TABLE = Table(list(columns("Device", "Rows#", "Detail+")), ROWS, "Device", "no devices")


def test_table_has_the_narrow_columns_with_numbers_at_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(TABLE, Format.TABLE)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["DEVICE     ROWS", "press-7      12", "hall?[31m     3"]


def test_wide_table_has_all_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(TABLE, Format.WIDE)
    assert "DETAIL" in capsys.readouterr().out.splitlines()[0]


def test_json_and_yaml_have_the_rows_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(TABLE, Format.JSON)
    assert json.loads(capsys.readouterr().out) == ROWS
    print_table(TABLE, Format.YAML)
    assert yaml.safe_load(capsys.readouterr().out) == ROWS


@pytest.mark.parametrize("form", [Format.JSON, Format.YAML])
def test_number_that_is_not_finite_is_null(form: Format, capsys: pytest.CaptureFixture[str]) -> None:
    print_documents([{"WorstVal": value} for value in (float("inf"), float("-inf"), float("nan"), 1.5)], form)
    values = [None, None, None, 1.5]
    assert yaml.safe_load(capsys.readouterr().out) == [{"WorstVal": value} for value in values]


@pytest.mark.parametrize("device", ["1e5", "-1.5E+3", "2.e1", ".5e1", "0o17", "12", "1.5", "0x1f", "1_0"])
def test_text_that_a_yaml_version_reads_as_a_number_is_quoted(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_documents({"Device": device, "Rows": 5, "Share": 1e-05}, Format.YAML)
    assert capsys.readouterr().out == f"Device: '{device}'\nRows: 5\nShare: 1.0e-05\n"


def test_names_are_one_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Table(TABLE.columns, ROWS[:1], "Device", ""), Format.NAME)
    assert capsys.readouterr().out == "press-7\n"


def test_empty_table_is_a_sentence_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Table(TABLE.columns, [], "Device", "no devices"), Format.TABLE)
    captured = capsys.readouterr()
    assert (captured.out, captured.err.strip()) == ("", "no devices")


def test_texts_of_other_parties_have_no_markup_and_no_emoji_codes(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Table(TABLE.columns, [], "Device", "fleet [/x] has no :key:"), Format.TABLE)
    print_lines(["  device [red]:key:[/red]"])
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("  device [red]:key:[/red]\n", "fleet [/x] has no :key:\n")


def test_commands_of_texts_begin_with_the_name_of_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/krew/bin/kubectl-fleetscore"])
    print_table(Table(TABLE.columns, [{"Device": "`fleetscore retry a`"}], "Device", ""), Format.TABLE)
    print_lines(["next: `fleetscore retry a`"])
    assert capsys.readouterr().out.splitlines()[1:] == [
        "`kubectl fleetscore retry a`",
        "next: `kubectl fleetscore retry a`",
    ]


def test_long_line_is_not_folded_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Table(TABLE.columns, [{"Device": "d" * 400, "Rows": 1}], "Device", ""), Format.TABLE)
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("length", [30, 70, 200])
def test_name_is_complete_on_a_terminal_of_80_columns(
    length: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(
        Table(TABLE.columns, [{"Device": "d" * length, "Rows": 1234, "Detail": "a b"}], "Device", ""), Format.WIDE
    )
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 80
    assert "".join(lines).count("d") == length


def ended(words: list[str], output: Any, **variables: str) -> tuple[int, str]:
    """Run the program with an output, and return its exit code and its errors."""
    command = [sys.executable, "-c", MAIN, *words]
    environment = {**os.environ, **variables}
    found = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, env=environment, check=False)
    return found.returncode, found.stderr.decode()


@pytest.mark.parametrize("format_", ["wide", "json", "name"])
def test_output_on_a_full_disk_is_an_error_without_a_traceback(format_: str, muted: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        code, error = ended(["mutes", "--store", str(muted), "-o", format_], full)
    assert code == 1
    assert error.startswith("error: the output cannot be used: No space left on device; free some space")
    assert error.count("\n") == 1


@pytest.mark.parametrize("format_", ["table", "json"])
def test_pipe_without_a_reader_ends_the_command_without_a_text(format_: str, muted: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    found = ended(["mutes", "--store", str(muted), "-o", format_], writer)
    os.close(writer)
    assert found == (1, "")


def test_closed_output_is_discarded(muted: Path) -> None:
    words = [sys.executable, "-c", MAIN, "mutes", "--store", str(muted)]
    command = ["sh", "-c", '"$@" >&-', "sh", *words]
    found = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    assert (found.returncode, found.stderr) == (0, b"")


def test_characters_that_the_encoding_lacks_are_escaped(muted: Path, tmp_path: Path) -> None:
    for format_ in ("table", "json", "yaml"):
        with (tmp_path / format_).open("wb") as file:
            words = ["mutes", "--store", str(muted), "-o", format_]
            assert ended(words, file, PYTHONIOENCODING="latin-1") == (0, ""), format_
    assert "\\u30d7" in (tmp_path / "table").read_text("ascii")
    assert json.loads((tmp_path / "json").read_text("ascii"))[0]["Devices"] == "\u30d7"
    assert yaml.safe_load((tmp_path / "yaml").read_text("ascii"))[0]["Devices"] == "\u30d7"


@pytest.fixture
def muted(tmp_path: Path) -> Path:
    """Return the folder of a fleet with a muted device."""
    folder = tmp_path / "fleet" / "predictions"
    folder.mkdir(parents=True)
    (folder / "_mutes.csv").write_text("Devices,From,Until,Why,Who\n\u30d7,,2999-01-01,oil,ann\n")
    return folder.parent
