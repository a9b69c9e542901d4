"""A reader of a text that other clients can write: its sound text, its documented errors and its limits."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ADDRESS_SPACE_BYTES = 2**30
CONFIG_MAP_ADDRESS_SPACE_BYTES = 2**29  # the memory limit of the operator in the chart
DEVICES = [f"press-{number}" for number in range(300)]

YAML_TOKENS = (
    b"&a ",
    b"*a",
    b"<<: ",
    b"? ",
    b"!!int ''",
    b"!!bool x",
    b"!!timestamp x",
    b"2024-99-99",
    b"---\n",
    b"\t",
)
HUGE_JSON = (
    "[" * 10**5,
    "9" * 5000,
    "1e999",
    "-1",
    "[" + "[]," * 10**5 + "[]]",
    '"' + "0-299," * 10**5 + '0"',
    '"0-99999999999999999999"',
    '"' + "0," * 10**5 + '1"',
    "{" + ",".join(f'"{n}":"{n}"' for n in range(10**5)) + "}",
    '"\\ud800"',
    "NaN",
    "null",
    "true",
    "0.5",
    '""',
    "[]",
    "{}",
)
HUGE_DOCUMENTS = (
    *HUGE_JSON,
    "[" + "[]," * 10**6 + "[]]",
    '"' + "0," * 10**6 + '1"',
    "{" + ",".join(f'"{n}":["{n}",0,0,0,0]' for n in range(10**5)) + "}",
)


def no_change(content: bytes) -> bytes:
    return content


def compress(content: bytes) -> bytes:
    return zlib.compress(content, 1)


@dataclass(frozen=True)
class Reader:
    """A reader of a text that other clients can write.

    Attributes:
        seed: A sound text.
        read: The reader.
        errors: The exceptions that the reader documents.
        pack: The encoding around the text.
        values: The values in place of one of a JSON document.
        has_bombs: True to try compressed texts that are far longer than their input.
        address_space: The limit of the process, in bytes.
        tokens: Texts that the format gives a meaning, in addition to those of every reader.
    """

    seed: bytes
    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...] = ()
    pack: Callable[[bytes], bytes] = no_change
    values: Sequence[str] = HUGE_JSON
    has_bombs: bool = False
    address_space: int = ADDRESS_SPACE_BYTES
    tokens: Sequence[bytes] = ()


def csv_text(header: str, *rows: str) -> bytes:
    """Return the lines of a CSV."""
    return "\n".join([header, *rows, ""]).encode()
