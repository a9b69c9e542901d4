"""Tests of the parser of readings."""

import io
import json
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.csv_lines import MAX_FIELDS
from device_scorer.errors import DataInvalid
from device_scorer.quality import parse_quality
from device_scorer.readings import (
    BLOCK_LINES,
    EXCLUDED,
    ColumnLayout,
    Row,
    parse_lines,
    parse_timestamp,
    parse_value,
    read_rows,
)

AT = 1_535_497_205  # 2018-08-28T23:00:05Z
HEADER = b"TS,Device,Tag,Value\n"


def rows_of(content: bytes, *, reject_unterminated: bool = True) -> tuple[list[Row], list[str]]:
    bad: list[str] = []
    source = io.BytesIO(content)
    rows = parse_lines(source, on_bad=lambda _, why: bad.append(why), reject_unterminated=reject_unterminated)
    return list(rows), bad


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
def test_timestamp_of_each_form_returns_its_second(text: str, seconds: int) -> None:
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
        "2018-08-28T23:00:05+01:75",  # Python reads it as +02:15
        "2018-08-28T23:00:05-0060",
        "2018-08-28T23:00:05+24:00",
    ],
)
def test_timestamp_of_another_form_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  whichever message
        parse_timestamp(text)


OFFSETS = st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.datetimes(timezones=OFFSETS), st.sampled_from(["T", " "]))
def test_timestamp_of_any_iso_instant_returns_its_second(instant: datetime, separator: str) -> None:
    utc = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
    assert parse_timestamp(instant.isoformat(separator)) == (utc - EPOCH) // timedelta(seconds=1)


@given(st.integers(10**10, 10**15 - 1))
def test_timestamp_of_epoch_milliseconds_is_rounded_down(milliseconds: int) -> None:
    assert parse_timestamp(str(milliseconds)) == milliseconds // 1000
    assert parse_timestamp(str(-milliseconds)) == -milliseconds // 1000


@given(st.text(max_size=30).filter(lambda text: not set(text) >= set("-:") and not text.lstrip("-").isdecimal()))
def test_timestamp_of_any_other_text_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="neither ISO 8601 nor epoch milliseconds"):
        parse_timestamp(text)


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1.0), ("-1.5e3", -1500.0), (" 2 ", 2.0), ("+.5", 0.5), ("1e149", 1e149)]
)
def test_value_is_parsed_as_a_number(text: str, value: float) -> None:
    assert parse_value(text) == value


@pytest.mark.fault("D1")
@pytest.mark.parametrize(
    "text", ["", "NaN", "nan", "inf", "-Infinity", "1e999", "1e150", "1_000", "0x10", "٣", "1,5", "n/a", "1 2"]
)
def test_value_that_is_not_a_usable_number_is_nan(text: str) -> None:
    assert parse_value(text) != parse_value(text)


@pytest.mark.fault("D9")
def test_row_keeps_its_texts_unchanged() -> None:
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
def test_variants_of_csv_are_accepted(content: bytes) -> None:
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
def test_invalid_header_is_quoted_in_the_error(header: bytes, quoted: str) -> None:
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
        (b"2018-08-28T23:00:05Z,1,\xff\xfe,1\n", "the line is not UTF-8"),
        (b'2018-08-28T23:00:05Z,1,"4,1\n', "unexpected end"),
    ],
)
def test_malformed_line_is_reported_and_the_next_is_read(line: bytes, reason: str) -> None:
    rows, bad = rows_of(HEADER + line + b"2018-08-28T23:00:05Z,1,4,7\n")
    assert [row.value for row in rows] == ["7"]
    assert len(bad) == 1
    assert reason in bad[0]


@pytest.mark.fault("D5")
def test_last_line_without_a_line_end_is_reported() -> None:
    content = HEADER + b"2018-08-28T23:00:05Z,1,4,10.5\n2018-08-28T23:00:20Z,1,4,10"
    rows, bad = rows_of(content)
    assert [row.value for row in rows] == ["10.5"]
    assert "may be truncated" in bad[0]
    assert len(rows_of(content, reject_unterminated=False)[0]) == 2


def test_epoch_seconds_are_reported_as_such() -> None:
    _rows, bad = rows_of(b"TS,Device,Tag,Value\n1535497205,1,4,1\n")
    assert bad == ["TS looks like epoch seconds: it must be ISO 8601 or epoch milliseconds"]


@pytest.mark.parametrize("text", ["1535497205000000", "1535497205000000000"])
def test_finer_epochs_are_reported_as_such(text: str) -> None:
    with pytest.raises(ValueError, match="looks like epoch micro- or nanoseconds: it must be ISO 8601 or epoch milli"):
        parse_timestamp(text)


@pytest.mark.fault("T15")
@pytest.mark.parametrize("quote", ["", '"x",'])
def test_line_of_too_many_fields_is_malformed(quote: str) -> None:
    assert MAX_FIELDS == 1000
    line = f"{quote}{',' * 1_000_000}\n".encode()
    rows, bad = rows_of(HEADER + line + b"2018-08-28 23:00:05,d,t,1\n")
    assert ([row.number for row in rows], bad) == ([1.0], ["the line has more than 1,000 fields"])


@pytest.mark.fault("T15")
def test_header_of_too_many_columns_is_invalid() -> None:
    with pytest.raises(DataInvalid, match=r"the first line has 1,000,004 columns, more than 1,000; remove the others"):
        rows_of(HEADER[:-1] + b"," * 1_000_000 + b"\n")
    widest = HEADER[:-1] + b"," * 996 + b"\n"
    assert len(rows_of(widest + b"2018-08-28 23:00:05,d,t,1" + b"," * 996 + b"\n")[0]) == 1


@pytest.mark.fault("T15")
def test_lines_of_many_fields_cost_little_memory() -> None:
    content = HEADER + (b"," * 20_000 + b"\n") * 100
    tracemalloc.start()
    try:
        assert list(read_rows(content, on_bad=lambda *_: None)) == []
        assert tracemalloc.get_traced_memory()[1] < 4 * len(content)
    finally:
        tracemalloc.stop()


def test_column_of_the_quality_rules_that_exists_twice_is_invalid() -> None:
    quality = parse_quality(json.dumps({"badWhen": {"column": "Quality", "values": ["Bad"]}}))
    with pytest.raises(DataInvalid, match="has the column 'Quality' of the quality rules twice; remove one"):
        list(read_rows(b"TS,Device,Tag,Value,Quality,Quality\n", on_bad=lambda *_: None, quality=quality))


@pytest.mark.fault("D4")
def test_csv_without_lines_has_no_rows() -> None:
    assert rows_of(b"") == ([], [])
    assert rows_of(HEADER) == ([], [])


@given(st.binary(max_size=300))
def test_any_bytes_return_only_rows_with_device_and_tag(content: bytes) -> None:
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
def test_blocks_of_lines_return_the_same_rows_as_single_lines(lines: list[bytes], block: int) -> None:
    content, bad = HEADER + b"".join(lines), []
    found = list(read_rows(content, on_bad=lambda _, reason: bad.append(reason), block_lines=block))
    singly, singly_bad = rows_of(content)
    assert repr([*map(tuple, found)]) == repr([*map(tuple, singly)])  # as texts, since no NaN equals another
    assert bad == singly_bad


def test_read_rows_parses_blocks_of_1024_lines() -> None:
    line = b"2018-08-28T23:00:05Z,1,4,7\n"
    assert len(list(read_rows(HEADER + line * 3000, on_bad=lambda *_: None))) == 3000
    assert BLOCK_LINES == 1024


@pytest.mark.fault("D1")
@pytest.mark.parametrize("sign", ["", "-"])
def test_block_with_a_value_above_the_bound_has_nan(sign: str) -> None:
    content = HEADER + f"2018-08-28T23:00:05Z,1,4,{sign}1e150\n2018-08-28T23:00:05Z,1,4,{sign}9e149\n".encode()
    numbers = [row[5] for row in read_rows(content, on_bad=lambda *_: None)]
    assert repr(numbers) == f"[nan, {sign}9e+149]"


MARKED = b"""Quality,TS,Device,Tag,Value
Bad,2018-08-28T23:00:05Z,d,1,0
Good,2018-08-28T23:00:05Z,d,1,50
 Bad ,2018-08-28T23:00:05Z,d,temp-1,50
Good,2018-08-28T23:00:05Z,d,1,-9999.00
Good,2018-08-28T23:00:05Z,d,temp-1,-9999
Bad,2018-08-28T23:00:05Z,d,1,I/O Timeout
"""
RULES = {
    "badValues": [-9999],
    "badWhen": {"column": "Quality", "values": ["Bad"]},
    "tags": {"temp-*": {"badValues": [50]}},
}


@pytest.mark.parametrize("block", [1, 2, 1024])
@pytest.mark.parametrize("quote", [False, True])
def test_quality_rules_exclude_rows(block: int, *, quote: bool) -> None:
    content = MARKED.replace(b"Good", b'"Good"') if quote else MARKED
    found = read_rows(content, on_bad=lambda *_: None, block_lines=block, quality=parse_quality(json.dumps(RULES)))
    excluded = [row[5] == EXCLUDED for row in found]
    assert excluded == [True, False, True, True, False, True]


def test_columns_that_a_csv_lacks_are_listed() -> None:
    layouts: list[ColumnLayout] = []
    quality = parse_quality(json.dumps(RULES))
    list(read_rows(HEADER, on_bad=lambda *_: None, quality=quality, on_layout=layouts.append))
    list(parse_lines([MARKED.splitlines()[0]], on_bad=lambda *_: None, quality=quality, on_layout=layouts.append))
    assert [layout.missing_columns for layout in layouts] == [["Quality"], []]
