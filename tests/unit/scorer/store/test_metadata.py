"""Tests of metadata as headers carry it."""

from hypothesis import given
from hypothesis import strategies as st

from device_scorer.store.metadata import MAX_METADATA_VALUE_CHARS, clean_metadata, split_checksum


@given(st.dictionaries(st.sampled_from(["sklearn", "tags", "runuid"]), st.text(max_size=6000)))
def test_cleaned_value_cannot_end_its_header(metadata: dict[str, str]) -> None:
    for value in clean_metadata(metadata).values():
        value.encode("ascii")
        assert value.isprintable()
        assert value == value.strip()
        assert 0 < len(value) <= MAX_METADATA_VALUE_CHARS == 4096


def test_line_break_is_encoded_and_no_second_header_is_made() -> None:
    cleaned = clean_metadata({"sklearn": "1.9\r\nx-ms-meta-complete: false", "complete": "true"})
    assert cleaned == {"sklearn": "1.9%0D%0Ax-ms-meta-complete: false", "complete": "true"}


def test_printable_ascii_is_kept_as_it_is() -> None:
    text = "".join(map(chr, range(0x21, 0x7F)))
    assert clean_metadata({"tags": text}) == {"tags": text}


def test_empty_value_is_left_out() -> None:
    assert clean_metadata({"tags": " ", "rows": ""}) == {}


def test_checksum_is_separated_from_the_metadata() -> None:
    assert split_checksum({"RunUid": "u", "MD5": "abc"}) == ({"runuid": "u"}, "abc")
    assert split_checksum({}) == ({}, "")
