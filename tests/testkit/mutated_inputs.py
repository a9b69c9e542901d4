"""A process that feeds changed texts to a reader of what other clients can write, within limits.

Run as a program: `python -m tests.testkit.mutated_inputs READER SECONDS SEED`. It prints the number of inputs and the
CPU seconds of the slowest one. It fails with the first input whose reader raises an undocumented exception.
"""

import json
import random
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tests.testkit import client_readers, program_readers
from tests.testkit.reader import HUGE_JSON, Reader, compress, no_change

MIN_INPUTS = 20
"""The smallest number of inputs, whatever time they take on a busy machine."""

READERS: Mapping[str, Reader] = {**program_readers.READERS, **client_readers.READERS}
TOKENS = (b",", b'"', b"\n", b"\r", b"\0", b"nan", b"1e999", b"-", b"9" * 5000, b"\xff", b"\xe2\x80\xa8", b"*" * 200)


def bombs() -> list[bytes]:
    """Return small compressed texts that are up to 200 MB long."""
    parts, counts = (b"\n", b" ", b"a\n", b"[", b"0"), (10, 10**6, 10**8)
    return [compress(part * count) for part in parts for count in counts]


def change_bytes(content: bytes, rng: random.Random, tokens: Sequence[bytes] = TOKENS) -> bytes:
    """Return the bytes with one to four places replaced, deleted or extended."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        noise = rng.choice(tokens) if rng.random() < 0.3 else rng.randbytes(rng.randint(0, 3))
        changed[at : at + rng.randint(0, 3)] = noise
    return bytes(changed)


def change_lines(content: bytes, rng: random.Random) -> bytes:
    """Return the lines with one of them repeated, moved, deleted, or far too long."""
    lines = content.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    replacement = rng.choice(
        (
            lines[at : at + 1] * rng.choice((2, 10**6 // len(lines[at]))),
            [],
            [lines[at].strip() * (10**6 // len(lines[at]))],
            lines[::-1],
        )
    )
    return b"".join([*lines[:at], *replacement, *lines[at + 1 :]])


def change_json(content: bytes, rng: random.Random, values: Sequence[str] = HUGE_JSON) -> bytes:
    """Return a JSON document with one value at any depth replaced; other content has its bytes changed."""
    try:
        document = json.loads(content)
    except ValueError:
        return change_bytes(content, rng)
    places: list[tuple[Any, Any]] = []

    def visit(value: Any) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, entry in items:
            places.append((value, key))
            visit(entry)

    visit(document)
    if not places:
        return change_bytes(content, rng)
    parent, key = rng.choice(places)
    parent[key] = "\0place\0"
    return json.dumps(document).replace(json.dumps("\0place\0"), rng.choice(values)).encode()


def try_reader(reader: Reader, seconds: float, seed: int) -> tuple[int, float]:
    """Return the number of changed inputs within a time, and the CPU seconds of the slowest one.

    Args:
        reader: The reader.
        seconds: The time.
        seed: The seed of the changes.

    Raises:
        AssertionError: The reader raised another exception than those that it documents; the cause is attached.
    """
    rng = random.Random(seed)  # noqa: S311  # the changes repeat for a seed
    of_bytes = partial(change_bytes, tokens=(*TOKENS, *reader.tokens))
    changes = (of_bytes, change_lines, partial(change_json, values=reader.values))
    long_texts = bombs() if reader.has_bombs else []
    reader.read(reader.pack(reader.seed))  # it may import modules for seconds
    ends, tried, slowest = time.monotonic() + seconds, 0, 0.0
    while tried < MIN_INPUTS or time.monotonic() < ends:
        change = rng.choice(changes)
        content = reader.pack(change(reader.seed, rng))
        if reader.pack is not no_change and rng.random() < 0.3:
            content = of_bytes(reader.pack(reader.seed), rng)
        if long_texts and rng.random() < 0.1:
            content = rng.choice(long_texts)
        tried, began = tried + 1, time.process_time()
        try:
            reader.read(content)
        except reader.errors:
            pass
        except Exception as error:
            raise AssertionError(f"input {tried} of seed {seed}: {content[:300]!r}") from error
        slowest = max(slowest, time.process_time() - began)
    return tried, slowest


if __name__ == "__main__":
    found = READERS[sys.argv[1]]
    resource.setrlimit(resource.RLIMIT_AS, (found.address_space, found.address_space))
    print(*try_reader(found, float(sys.argv[2]), int(sys.argv[3])))
