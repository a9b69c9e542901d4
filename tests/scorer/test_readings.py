"""Readings as they come: what is a row, what is not, and that texts stay as they were."""

import contextlib
import io
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer import readings
from device_scorer.errors import DataInvalid
from device_scorer.readings import Row, parse_lines, parse_timestamp, parse_value

AT = 1_535_497_205  # 2018-08-28T23:00:05Z
HEADER = b"TS,Device,Tag,Value\n"


def rows_of(content: bytes, **options: bool) -> tuple[list[Row], list[str]]:
    bad: list[str] = []
    return list(parse_lines(io.BytesIO(content), on_bad=lambda _, reason: bad.append(reason), **options)), bad


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2018-08-28 23:00:05.000", AT),
        ("2018-08-28T23:00:05", AT),
        ("2018-08-28T23:00:05Z", AT),
        ("2018-08-28T23:00:05.999999999Z", AT),
        ("2018-08-28T23:00:05,5+00:00", AT),
        ("2018-08-29T01:00:05+02:00", AT),
        ("2018-08-29T04:30:05+0530", AT),
        ("2018-08-28T17:00:05-06", AT),
        ("2018-08-28T23:00", AT - 5),
        ("1535497205000", AT),
        ("1535497205999", AT),
        ("-1", -1),
        ("999999999", 999_999),
        ("10000000000", 10_000_000),
        ("1969-12-31T23:59:59.5Z", -1),
    ],
)
def test_every_accepted_form_of_an_instant_is_read(text: str, seconds: int) -> None:
    assert parse_timestamp(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2018-08-28",
        "28.08.2018 23:00",
        "2018-08-28T25:00:00",
        "2018-13-01T00:00",
        "now",
        "1535497205.5",
        "1000000000",
        "9999999999",
        "\uff11\uff15",
        "2018-W35-2T00:00",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  whichever message
        parse_timestamp(text)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reading_of_an_instant_otherwise(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_timestamp(text), int)


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1.0), ("-1.5e3", -1500.0), (" 2 ", 2.0), ("+.5", 0.5), ("1e149", 1e149)]
)
def test_numbers_are_read(text: str, value: float) -> None:
    assert parse_value(text) == value


@pytest.mark.fault("D1")
@pytest.mark.parametrize(
    "text", ["", "NaN", "nan", "inf", "-Infinity", "1e999", "1e150", "1_000", "0x10", "٣", "1,5", "n/a", "1 2"]
)
def test_what_is_no_finite_plausible_number_is_nan(text: str) -> None:
    assert parse_value(text) != parse_value(text)


@pytest.mark.fault("D9")
def test_texts_stay_as_they_came() -> None:
    (row,), bad = rows_of(HEADER + b"2018-08-28 23:00:05.000,001, 4,10.160\n")
    assert row == Row("2018-08-28 23:00:05.000", "001", " 4", "10.160", AT, 10.16)
    assert bad == []


@pytest.mark.fault("D3")
@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfTS,Device,Tag,Value\r\n2018-08-28T23:00:05Z,1,4,1\r\n",
        b"Value,Unit,Tag,TS,Device\n1,bar,4,2018-08-28T23:00:05Z,1\n",
        b'TS,Device,Tag,Value\n"2018-08-28T23:00:05Z","1","4","1"\n',
        b"TS, Device ,Tag,Value\n2018-08-28T23:00:05Z,1,4,1\n\n\n",
    ],
    ids=["BOM and CRLF", "other order and more columns", "quotes", "spaces in the header, empty lines"],
)
def test_harmless_variants_are_accepted(content: bytes) -> None:
    rows, bad = rows_of(content)
    assert [(row.device, row.tag, row.value) for row in rows] == [("1", "4", "1")]
    assert bad == []


def test_ids_with_commas_and_quotes_are_read() -> None:
    (row,), _ = rows_of(HEADER + b'2018-08-28T23:00:05Z,"press,1","tag ""a""",1\n')
    assert (row.device, row.tag) == ("press,1", 'tag "a"')


@pytest.mark.fault("D2")
@pytest.mark.parametrize(
    ("header", "quoted"),
    [
        (b"TS;Device;Tag;Value\n", "TS;Device;Tag;Value"),
        (b"TS,Device,Value\n", "TS,Device,Value"),
        (b"TS,Device,Tag,Value,Value\n", "Value,Value"),
        (b"<!DOCTYPE html><html>\n", "<!DOCTYPE html>"),
        (b"\xff\xfeT\x00S\x00\n", "UTF-16, it must be UTF-8"),
        (b"\n", "''"),
        (b'TS,"Device\n', "Device"),
    ],
    ids=["semicolons", "a column missing", "a column twice", "HTML", "UTF-16", "empty line", "open quote"],
)
def test_a_wrong_header_is_an_error_that_quotes_it(header: bytes, quoted: str) -> None:
    with pytest.raises(DataInvalid, match="must name the columns") as refused:
        rows_of(header + b"2018-08-28T23:00:05Z,1,4,1\n")
    assert quoted in str(refused.value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"2018-08-28T23:00:05Z,1,4\n", "3 fields in place of 4"),
        (b"2018-08-28T23:00:05Z,1,4,1,1\n", "5 fields"),
        (b"yesterday,1,4,1\n", "neither ISO 8601"),
        (b"2018-08-28T23:00:05Z,,4,1\n", "Device or Tag is empty"),
        (b"2018-08-28T23:00:05Z,1,,1\n", "Device or Tag is empty"),
        (b"2018-08-28T23:00:05Z,1,\xff\xfe,1\n", "can't decode"),
        (b'2018-08-28T23:00:05Z,1,"4,1\n', "unexpected end"),
    ],
)
def test_a_line_that_is_no_reading_is_handed_back_and_the_next_is_read(line: bytes, reason: str) -> None:
    rows, bad = rows_of(HEADER + line + b"2018-08-28T23:00:05Z,1,4,7\n")
    assert [row.value for row in rows] == ["7"]
    assert len(bad) == 1
    assert reason in bad[0]


@pytest.mark.fault("D5")
def test_a_last_line_without_an_end_may_be_cut_and_is_no_reading() -> None:
    content = HEADER + b"2018-08-28T23:00:05Z,1,4,10.5\n2018-08-28T23:00:20Z,1,4,10"
    rows, bad = rows_of(content)
    assert [row.value for row in rows] == ["10.5"]
    assert "cut short" in bad[0]
    assert len(rows_of(content, reject_unterminated=False)[0]) == 2


def test_epoch_seconds_are_a_bad_row_that_says_so() -> None:
    _rows, bad = rows_of(b"TS,Device,Tag,Value\n1535497205,1,4,1\n")
    assert bad == ["TS looks like epoch seconds: it must be ISO 8601 or epoch milliseconds"]


@pytest.mark.fault("D4")
def test_nothing_and_a_header_alone_are_no_rows() -> None:
    assert rows_of(b"") == ([], [])
    assert rows_of(HEADER) == ([], [])


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    rows, _ = rows_of(HEADER + content)
    assert all(row.device and row.tag for row in rows)


LINES = st.sampled_from(
    [
        *[b"2018-08-28T23:00:05Z,1,4,7\n"] * 8,
        b"1535497205000,press_1,t\xc3\xa4g,-1.5e3\r\n",
        b"2018-08-28T23:00:05Z,1,4, 8 \r\r\n",
        b"2018-08-28T23:00:05Z,1,4,1_000\n",
        b"2018-08-28T23:00:05Z,1,4,\xd9\xa3\n",
        b"2018-08-28T23:00:05Z,1,4,NaN\n",
        b"2018-08-28T23:00:05Z,1,4,-Infinity\n",
        b"2018-08-28T23:00:05Z,1,4,1e150\n",
        b"2018-08-28T23:00:05Z,1,4,n/a\n",
        b"2018-08-28T23:00:05Z,1,\xff,1\n",
        b'2018-08-28T23:00:05Z,"1","4,\x85",1\n',
        b'2018-08-28T23:00:05Z,1,"4,1\n',
        b"2018-08-28T23:00:05Z,1,4\x0c,1\n",
        b"2018-08-28T23:00:05Z,,4,1\n",
        b"2018-08-28T23:00:05Z,1,4\n",
        b"yesterday,1,4,1\n",
        b" \n",
        b"\n",
        b"2018-08-28T23:00:05Z,1,4,10",
        b"\r",
    ]
)


@given(st.lists(LINES, max_size=12), st.integers(1, 5))
def test_many_lines_at_a_time_are_read_as_one_by_one(lines: list[bytes], block: int) -> None:
    content, bad = HEADER + b"".join(lines), []
    with mock.patch.object(readings, "_BLOCK_LINES", block):
        found = list(readings.read_rows(content, on_bad=lambda _, reason: bad.append(reason)))
    singly, singly_bad = rows_of(content)
    assert repr([*map(tuple, found)]) == repr([*map(tuple, singly)])  # as texts, since no NaN equals another
    assert bad == singly_bad
