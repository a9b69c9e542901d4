"""The kind of a file that is neither a bundle of models nor a CSV of readings, from its first bytes."""

import codecs
from collections.abc import Sequence

GZIP = "compressed by gzip"
_BEGINNINGS = (
    (b"PK\x03\x04", "a ZIP archive, such as .xlsx, .npz or .skops"),
    (b"\x1f\x8b", GZIP),
    (b"\x78\x01", "compressed by zlib"),
    (b"\x78\x5e", "compressed by zlib"),
    (b"\x78\x9c", "compressed by zlib"),
    (b"\x78\xda", "compressed by zlib"),
    (b"ZF0x", "compressed by joblib before 0.10"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard"),
    (b"\x04\x22\x4d\x18", "compressed by LZ4"),
    (b"PAR1", "a Parquet file"),
    (b"Obj\x01", "an Avro file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"version https://git-lfs", "a pointer of Git LFS, without the content"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_TEXTS = ((b"<", "HTML or XML"), (b"{", "JSON"), (b"[", "JSON"), (b"TS,Device,", "a CSV of readings"))
_TEXT_KINDS = frozenset(kind for _, kind in _TEXTS)


def describe(content: bytes) -> str:
    """Return the kind of a file as the end of the sentence "the file is ...", or '' for an unknown one.

    Args:
        content: The file, or at least its first 64 bytes.
    """
    beginning = content[:64]
    if not beginning:
        return "empty"
    for start, kind in _BEGINNINGS:
        if beginning.startswith(start):
            return kind
    if beginning[0] == 8 and beginning[2:3] == b"\x12":  # the version of the format, and the name of the producer
        return "an ONNX model"
    text = beginning.removeprefix(codecs.BOM_UTF8).lstrip()
    return next((kind for start, kind in _TEXTS if text.startswith(start)), "")


def describe_header(header: bytes, names: Sequence[str], columns: Sequence[str]) -> str:
    """Return what an invalid first line of a CSV is, as the end of a sentence, with the next step where it is known.

    Args:
        header: The first line.
        names: The names of its columns; empty if they cannot be read.
        columns: The names that it must have.
    """
    kind = describe(header)
    if not kind and b"\0" in header[:4]:
        kind = "UTF-16"
    if not kind or kind in _TEXT_KINDS:
        quoted = header[:80].decode("utf-8", "replace").strip()
        return f"is {quoted!r}{_header_hint(header, kind, names, columns)}"
    if kind.startswith("UTF-"):
        return f"the file is {kind}, it must be UTF-8"
    if kind == GZIP:
        return f"the file is {kind}; set the Content-Encoding of the blob to gzip, or decompress it"
    return f"the file is {kind}; it must be CSV"


def _header_hint(header: bytes, kind: str, names: Sequence[str], columns: Sequence[str]) -> str:
    """Return the next step for an invalid first line of text, or '' if none is known."""
    if kind in ("HTML or XML", "JSON"):
        return f"; the file is {kind}, it must be CSV"
    if b"\r" in header.rstrip(b"\r\n"):
        return "; the lines end in a carriage return, they must end in a line feed"
    for separator in (b";", b"\t", b"|"):
        if header.count(separator) >= len(columns) - 1:
            return f"; the separator is {separator.decode()!r}, it must be a comma"
    wrong = [name for name in columns if names.count(name) != 1]
    if len(wrong) == len(columns):
        if {name.lower() for name in columns} <= {name.lower() for name in names}:
            return "; capital and small letters differ"
        return "; the header is missing" if len(names) >= len(columns) and names[0][:1].isdigit() else ""
    verbs = "is missing or exists" if len(wrong) == 1 else "are missing or exist"
    return f"; {', '.join(wrong)} {verbs} twice"
