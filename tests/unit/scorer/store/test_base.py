"""Tests of the checksum."""

from device_scorer.store.base import md5_hex


def test_md5_is_returned_in_hex() -> None:
    assert md5_hex(b"") == "d41d8cd98f00b204e9800998ecf8427e"  # RFC 1321, appendix A.5
