"""Every reader of a text that other clients can write, and a process that feeds it changed texts within limits.

Run as a program: `python -m tests.testkit.mutated_inputs READER SECONDS SEED`. It prints the number of inputs and the
CPU seconds of the slowest one. It fails with the first input whose reader raises an undocumented exception.
"""

import gzip
import json
import random
import resource
import sys
import tempfile
import time
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from device_scorer.contract.digest import DeviceDigest, SensorFlag, TagDigest, decode_digest, encode_digest
from device_scorer.contract.run_state import (
    DeviceOutcome,
    read_device_list,
    read_outcome_record,
    read_outcomes,
    with_messages,
)
from device_scorer.errors import DataInvalid, UsageInvalid
from device_scorer.health.history import Tile, TileDamaged, decode_tile, place_of
from device_scorer.health.mutes import parse_mutes
from device_scorer.models.expectations import decode_expectations
from device_scorer.notify.outbox import Entry, Outbox, decode_outbox, encode_outbox
from device_scorer.readings import read_rows
from device_scorer.report.statistics import compute_statistics
from device_scorer.report.tables import read_empty, read_failures
from device_scorer.window import Window
from scoring_operator.api import scoringrun
from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.scoringrun import RetryOf, parse_run
from scoring_operator.contract import history
from scoring_operator.contract.outcome_message import parse_outcome_message
from scoring_operator.errors import (
    InvalidDeviceList,
    InvalidHistory,
    InvalidProgress,
    InvalidRun,
    InvalidSettings,
    RunRejected,
)
from scoring_operator.kube import kubeconfig
from scoring_operator.planner.device_list import unpack
from scoring_operator.planner.pod_trouble import termination_text
from scoring_operator.planner.progress_codec import decode_progress, encode_progress
from scoring_operator.planner.retry import devices_from_report
from scoring_operator.schedules.gaps import read_run
from tests.testkit.builders import a_body, a_progress, a_run

ADDRESS_SPACE_BYTES = 2**30
CONFIG_MAP_ADDRESS_SPACE_BYTES = 2**29  # the memory limit of the operator in the chart
DEVICES = [f"press-{number}" for number in range(300)]
START = datetime(2018, 8, 27, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(hours=1))
FLEET = parse_fleet({"name": "default", "namespaces": ["scoring"]})

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
TOKENS = (b",", b'"', b"\n", b"\r", b"\0", b"nan", b"1e999", b"-", b"9" * 5000, b"\xff", b"\xe2\x80\xa8", b"*" * 200)


def no_change(content: bytes) -> bytes:
    return content


def compress(content: bytes) -> bytes:
    return zlib.compress(content, 1)


def bombs() -> list[bytes]:
    """Return small compressed texts that are up to 200 MB long."""
    parts, counts = (b"\n", b" ", b"a\n", b"[", b"0"), (10, 10**6, 10**8)
    return [compress(part * count) for part in parts for count in counts]


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
    """

    seed: bytes
    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...] = ()
    pack: Callable[[bytes], bytes] = no_change
    values: Sequence[str] = HUGE_JSON
    has_bombs: bool = False
    address_space: int = ADDRESS_SPACE_BYTES


def _csv(header: str, *rows: str) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def _a_digest() -> bytes:
    flags = (SensorFlag("stuck", 1535324400, "the value 5 for 40 min"),)
    tags = tuple(TagDigest(f"t{n}", 60, 1, 0, 3540, -1.0, 2.0, 0.5, 60, flags=flags) for n in range(20))
    return encode_digest(DeviceDigest(tags, 3540, (0,) * 60, 0, (("x", 3),))).encode()


def _a_tile() -> bytes:
    place = place_of("plant", WINDOW)
    assert place is not None
    return gzip.decompress(Tile(place, dict.fromkeys(DEVICES[:30], "N" * place.count)).encode())


def _decode_tile(content: bytes) -> object:
    place = place_of("plant", WINDOW)
    assert place is not None
    return decode_tile(content, place)


def _read_tile(content: bytes) -> object:
    place = history.place_of("plant", scoringrun.Window(WINDOW.start, WINDOW.end))
    assert place is not None
    return list(history.read_tile(content, place))


def _an_outcome_message() -> bytes:
    document = {
        "v": 1,
        "devices": 300,
        "outcomes": {"scored": "0-297", "failed": "298-299"},
        "reasons": {"ModelInvalid": "298-299"},
        "rows": 9,
        "anomalies": 1,
        "top": [[0, 9, 1]],
        "samples": [[298, "ModelInvalid", "no"]],
    }
    return json.dumps(document).encode()


def _a_kubeconfig() -> bytes:
    document = {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "me", "namespace": "scoring"}}],
        "clusters": [{"name": "one", "cluster": {"server": "https://kube.internal:6443", "tls-server-name": "kube"}}],
        "users": [{"name": "me", "user": {"token": "secret", "as": "other"}}],
    }
    return json.dumps(document).encode()


def _load_kubeconfig(content: bytes) -> object:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        return kubeconfig.load(file.name, {})


def _ignore(_line: bytes, _reason: str) -> None:
    """Ignore a malformed line, as `device-scorer score` counts it."""


FAILURES = _csv("Device,Outcome,Reason,Message", 'press-1,failed,ModelInvalid,"no, not\na model"', "press-2,partial,,")
PREDICTIONS = _csv(
    "TS,Device,Tag,Val,Prediction,Score", *[f"2018-08-27T00:10:{n}Z,d,t,1.5,1,-0.5" for n in range(10, 60)]
)
RECORD = json.dumps({"v": 1, "messages": {"0": ["failed", "ModelInvalid", "no", "press-1"]}}).encode()
KNOWN = {"press-1": DeviceOutcome("failed", "ModelInvalid")}

READERS: Mapping[str, Reader] = {
    "readings": Reader(
        _csv("TS,Device,Tag,Value", *[f"2018-08-27T00:10:{n}Z,d,t,1.5" for n in range(10, 60)]),
        lambda content: sum(1 for _ in read_rows(content, on_bad=_ignore)),
        (DataInvalid,),
    ),
    "predictions": Reader(PREDICTIONS, lambda content: compute_statistics(content, WINDOW), (DataInvalid,)),
    "digest": Reader(_a_digest(), lambda content: decode_digest(content.decode("latin-1"))),
    "digest-content": Reader(
        zlib.decompress(b64decode(_a_digest()[2:])),
        lambda content: decode_digest("1." + b64encode(content).decode()),
        pack=zlib.compress,
    ),
    "device-list": Reader("\n".join(DEVICES).encode(), lambda c: read_device_list([c]), (UsageInvalid,), zlib.compress),
    "progress": Reader(
        zlib.decompress(encode_progress(a_progress(300, per_job=7, already="0-40"))),
        lambda content: read_outcomes(content, DEVICES),
        (UsageInvalid,),
        zlib.compress,
    ),
    "progress-in-the-operator": Reader(
        zlib.decompress(encode_progress(a_progress(300, per_job=7))),
        decode_progress,
        (InvalidProgress,),
        compress,
        values=HUGE_DOCUMENTS,
        has_bombs=True,
        address_space=CONFIG_MAP_ADDRESS_SPACE_BYTES,
    ),
    "device-list-in-the-operator": Reader(
        "\n".join(DEVICES).encode(),
        unpack,
        (InvalidDeviceList,),
        compress,
        has_bombs=True,
        address_space=CONFIG_MAP_ADDRESS_SPACE_BYTES,
    ),
    "outcome-record": Reader(RECORD, lambda content: with_messages(KNOWN, read_outcome_record(content) or ())),
    "history-tile": Reader(_a_tile(), _decode_tile, (TileDamaged,), lambda content: gzip.compress(content, 1)),
    "history-tile-in-the-operator": Reader(
        _a_tile(), _read_tile, (InvalidHistory,), lambda content: gzip.compress(content, 1)
    ),
    "mutes": Reader(
        _csv("Devices,From,Until,Why,Who", "hall3-*,2018-08-27T00:00:00Z,,repair,me"), lambda c: parse_mutes(c, WINDOW)
    ),
    "outbox": Reader(
        encode_outbox(Outbox((Entry("mail", "e1", {"a": 1}),), (("mail", "e0"),))), decode_outbox, (DataInvalid,)
    ),
    "expectations": Reader(
        b'{"version": 1, "tags": {"t": [60.0, 1.0, 2.0, 600.0]}}',
        lambda content: decode_expectations(json.loads(content)),
        (ValueError, RecursionError),
    ),
    "earlier-report": Reader(FAILURES, lambda content: (read_failures(content), read_empty(content))),
    "list-of-failed-devices": Reader(
        FAILURES, lambda content: devices_from_report(a_run(), RetryOf("gone"), FLEET, content), (RunRejected,)
    ),
    "termination-message": Reader(
        _an_outcome_message(),
        lambda content: (parse_outcome_message(content, 300), termination_text(content.decode("utf-8", "replace"))),
    ),
    "spec-of-a-run": Reader(
        json.dumps(a_body(devices={"include": ["press-*"]}, parallelism=3)["spec"]).encode(),
        lambda content: parse_run(a_body() | {"spec": msgspec.json.decode(content)}),
        (InvalidRun, msgspec.DecodeError, RecursionError, UnicodeDecodeError),
    ),
    "listed-run": Reader(
        json.dumps(a_body()).encode(), read_run, (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
    ),
    "kubeconfig": Reader(_a_kubeconfig(), _load_kubeconfig, (InvalidSettings,)),
}


def change_bytes(content: bytes, rng: random.Random) -> bytes:
    """Return the bytes with one to four places replaced, deleted or extended."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        noise = rng.choice(TOKENS) if rng.random() < 0.3 else rng.randbytes(rng.randint(0, 3))
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
    long_texts = bombs() if reader.has_bombs else []
    ends, tried, slowest = time.monotonic() + seconds, 0, 0.0
    reader.read(reader.pack(reader.seed))
    while time.monotonic() < ends:
        change = rng.choice((change_bytes, change_lines, partial(change_json, values=reader.values)))
        content = reader.pack(change(reader.seed, rng))
        if reader.pack is not no_change and rng.random() < 0.3:
            content = change_bytes(reader.pack(reader.seed), rng)
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
