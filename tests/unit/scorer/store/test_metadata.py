"""Tests of metadata as headers carry it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.contract.outcome_message import RowCounts
from device_scorer.scoring.predictions import InputVersions, build_metadata
from device_scorer.store.metadata import MAX_METADATA_VALUE_CHARS, clean_metadata, own_checksum, split_checksum
from device_scorer.window import Window


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


@pytest.mark.parametrize(
    ("keys", "checksum", "is_own"),
    [
        ("window complete runuid", "9a0364b9e99bb480dd25e1f0284c8555", True),
        ("window complete", "9a0364b9e99bb480dd25e1f0284c8555", True),
        ("window complete", "9A0364B9E99BB480DD25E1F0284C8555", False),
        ("window complete", "9a0364b9e99bb480dd25e1f0284c855", False),
        ("window complete", "mgNkuembtIDdJeHwKEyFVQ==", False),
        ("window complete", "", False),
        ("window", "9a0364b9e99bb480dd25e1f0284c8555", False),
        ("complete", "9a0364b9e99bb480dd25e1f0284c8555", False),
        ("", "9a0364b9e99bb480dd25e1f0284c8555", False),
    ],
)
def test_checksum_counts_only_in_the_form_and_metadata_of_predictions(
    keys: str, checksum: str, *, is_own: bool
) -> None:
    assert own_checksum(dict.fromkeys(keys.split(), "x"), checksum) == (checksum if is_own else "")


def test_metadata_of_predictions_have_an_own_checksum() -> None:
    window = Window(datetime(2018, 8, 28, 23, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))
    metadata = build_metadata(
        run_uid="",
        window=window,
        tags=frozenset(),
        complete=False,
        input_versions=InputVersions((), ""),
        row_counts=RowCounts(),
    )
    assert own_checksum(metadata, "9a0364b9e99bb480dd25e1f0284c8555") != ""
