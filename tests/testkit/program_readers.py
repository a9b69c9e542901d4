"""The readers of operator and scorer for texts that other clients can write. Models have tests of their own."""

import gzip
import json
import tempfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
from scoring_operator.contract.report_message import parse_report_message
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
from scoring_operator.planner.pod_reasons import termination_text
from scoring_operator.planner.progress_codec import decode_progress, encode_progress
from scoring_operator.planner.retry import devices_from_report
from scoring_operator.schedules.gaps import read_run
from tests.testkit.builders import a_body, a_progress, a_run
from tests.testkit.reader import (
    CONFIG_MAP_ADDRESS_SPACE_BYTES,
    DEVICES,
    HUGE_DOCUMENTS,
    YAML_TOKENS,
    Reader,
    compress,
    csv_text,
)

START = datetime(2018, 8, 27, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(hours=1))
FLEET = parse_fleet({"name": "default", "namespaces": ["scoring"]})


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


def _a_report_message() -> bytes:
    incidents = {"open": 3, "opened": 1, "openedUnmuted": 1, "causes": {"machine": 2, "fleet": 1}, "openedFleet": 1}
    counts = {"unreadable": 1, "problems": 2, "notifyProblems": 1, "sensors": {"stuck": 2}, "incidents": incidents}
    return json.dumps({"v": 1, "complete": True, **counts}).encode()


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


FAILURES = csv_text(
    "Device,Outcome,Reason,Message", 'press-1,failed,ModelInvalid,"no, not\na model"', "press-2,partial,,"
)
PREDICTIONS = csv_text(
    "TS,Device,Tag,Val,Prediction,Score", *[f"2018-08-27T00:10:{n}Z,d,t,1.5,1,-0.5" for n in range(10, 60)]
)
RECORD = json.dumps({"v": 1, "messages": {"0": ["failed", "ModelInvalid", "no", "press-1"]}}).encode()
KNOWN = {"press-1": DeviceOutcome("failed", "ModelInvalid")}

READERS: Mapping[str, Reader] = {
    "readings": Reader(
        csv_text("TS,Device,Tag,Value", *[f"2018-08-27T00:10:{n}Z,d,t,1.5" for n in range(10, 60)]),
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
        csv_text("Devices,From,Until,Why,Who", "hall3-*,2018-08-27T00:00:00Z,,repair,me"),
        lambda c: parse_mutes(c, WINDOW),
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
    "report-message": Reader(
        _a_report_message(), lambda content: parse_report_message(content.decode("utf-8", "replace"))
    ),
    "spec-of-a-run": Reader(
        json.dumps(a_body(devices={"include": ["press-*"]}, parallelism=3)["spec"]).encode(),
        lambda content: parse_run(a_body() | {"spec": msgspec.json.decode(content)}),
        (InvalidRun, msgspec.DecodeError, RecursionError, UnicodeDecodeError),
    ),
    "listed-run": Reader(
        json.dumps(a_body()).encode(), read_run, (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
    ),
    "kubeconfig": Reader(_a_kubeconfig(), _load_kubeconfig, (InvalidSettings,), tokens=YAML_TOKENS),
}
