import pickle

import pytest

from device_scorer.file_kinds import describe, describe_header
from device_scorer.readings import COLUMNS


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"PK\x03\x04\x14\x00", "a ZIP archive, such as .xlsx, .npz or .skops"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"\x78\x9c\x00", "compressed by zlib"),
        (b"\x78\x5e\x00", "compressed by zlib"),
        (b"\x08\x08\x12\x07pytorch\x1a", "an ONNX model"),
        (b"ZF0x10", "compressed by joblib before 0.10"),
        (b"version https://git-lfs.github.com/spec/v1\noid x\n", "a pointer of Git LFS, without the content"),
        (b"\x08\x07\x12\x08skl2onnx\x1a", "an ONNX model"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>", "HTML or XML"),
        (b'{"TS": 1}', "JSON"),
        (b"TS,Device,Tag,Value\n", "a CSV of readings"),
        ("TS,Device".encode("utf-16"), "UTF-16"),
        ("TS,Device".encode("utf-32"), "UTF-32"),
        *((pickle.dumps({"a": 1}, protocol), "a pickle") for protocol in range(2, 6)),
        (pickle.dumps({"a": 1}, 0), ""),
        (pickle.dumps({"a": 1}, 1), ""),
        (b"Zeit;Wert\n", ""),
    ],
)
def test_file_is_described_by_its_first_bytes(content: bytes, kind: str) -> None:
    assert describe(content) == kind


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"\x1f\x8b\x08\x00", "set the Content-Encoding of the blob to gzip, or decompress it"),
        ("TS,Device".encode("utf-16"), "the file is UTF-16, it must be UTF-8"),
        ("TS,Device".encode("utf-16-le"), "the file is UTF-16, it must be UTF-8"),
        ("TS,Device".encode("utf-32"), "the file is UTF-32, it must be UTF-8"),
        (b"PAR1\x15\x04", "the file is a Parquet file; it must be CSV"),
        (b"\x80\x04\x95", "the file is a pickle; it must be CSV"),
        (b'{"TS": 1}\n', "is '{\"TS\": 1}'; the file is JSON, it must be CSV"),
        (b"TS;Device;Tag;Value\n", "is 'TS;Device;Tag;Value'; the separator is ';', it must be a comma"),
        (b"TS\tDevice\tTag\tValue\n", r"the separator is '\t', it must be a comma"),
        (b"# exported\n", "is '# exported'"),
        (b"TS,Device,Tag,Value\r2018", "; the lines end in a carriage return, they must end in a line feed"),
    ],
)
def test_invalid_header_is_described_with_the_next_step(header: bytes, text: str) -> None:
    assert describe_header(header, [], COLUMNS).endswith(text)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["TS", "Device", "Tag", "Val"], "; Value is missing or exists twice"),
        (["TS", "Device"], "; Tag, Value are missing or exist twice"),
        (["a", "b"], "is 'x'"),
        (["ts", "device", "tag", "value", "x"], "; capital and small letters differ"),
        (["2018-08-28T23:00:00Z", "press-1", "1", "9.5"], "; the header is missing"),
        ([], "is 'x'"),
    ],
)
def test_wrong_columns_of_a_header_are_named(names: list[str], text: str) -> None:
    assert describe_header(b"x\n", names, COLUMNS).endswith(text)
