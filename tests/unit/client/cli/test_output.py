"""Tables for people, and JSON, YAML and names for programs."""

import json
import re
import sys

import pytest
import yaml

from fleetscore.cli.output import Format, Table, columns, print_lines, print_table

ROWS = [{"Device": "press-7", "Rows": 12, "Detail": "a"}, {"Device": "hall\x1b[31m", "Rows": 3, "Detail": None}]
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
