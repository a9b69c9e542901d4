"""Tests of the limits of the lines of a CSV, and of the fields of a line."""

import pytest

from fleetscore.csv_lines import check_lines, split_line
from fleetscore.errors import DataInvalid

HEADER = b"TS,Device,Tag,Value\n"


@pytest.mark.parametrize("content", [b"," * (2**20 + 1), HEADER + b"x" * 2**21 + b"\n"], ids=["header", "line"])
def test_line_of_any_length_is_rejected(content: bytes) -> None:
    with pytest.raises(DataInvalid, match=r"w/a\.csv is invalid: a line has more than 1,048,576 bytes; write it again"):
        check_lines(content, "w/a.csv")


@pytest.mark.parametrize(
    "content", [b"", HEADER, HEADER + b"1" * 2**20 + b"\n", HEADER * 100_000], ids=["empty", "header", "long", "many"]
)
def test_lines_within_the_limits_are_accepted(content: bytes) -> None:
    check_lines(content, "w/a.csv")


@pytest.mark.parametrize("begin", [b"", b"\n \n", b'"a\nb",'], ids=["first-line", "blank-lines", "open-quote"])
def test_too_many_columns_are_rejected(begin: bytes) -> None:
    with pytest.raises(DataInvalid, match=r"w/a\.csv is invalid: its first line names more than 1,000 columns, or"):
        check_lines(begin + b"," * 1000 + b"\n", "w/a.csv")


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (b"a,b\r", ["a", "b"]),
        (b'"a,b",c', ["a,b", "c"]),
        (b'"a,b', []),
        (b"\xff", []),
        (b"a\0", []),
        (b"," * 1000, []),
        (b"," * 999, [""] * 1000),
    ],
    ids=["plain", "quoted", "open quote", "not UTF-8", "zero byte", "too many", "most"],
)
def test_line_has_its_fields_or_none(line: bytes, fields: list[str]) -> None:
    assert split_line(line) == fields
