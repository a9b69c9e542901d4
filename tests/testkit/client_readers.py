"""The readers of the client and its console for texts that other clients can write."""

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import yaml

from fleetscore import frames
from fleetscore.cluster.lists import read_list
from fleetscore.cluster.responses import response_error
from fleetscore.console import reader as console
from fleetscore.console.history import join_tiles
from fleetscore.contract import blob_paths
from fleetscore.contract.documents import parse_yaml
from fleetscore.contract.fleets import parse_fleets
from fleetscore.contract.mutes import parse_mutes
from fleetscore.contract.schedules import read_schedules
from fleetscore.contract.tiles import parse_tile, states_between
from fleetscore.contract.windows import Window
from fleetscore.doctor.gather_storage import read_notices
from fleetscore.doctor.pods import last_line
from fleetscore.errors import ClusterUnavailable, DataInvalid, TooLarge
from fleetscore.runs import cron
from fleetscore.runs.gaps import due_windows
from fleetscore.runs.jobs import lines_of
from fleetscore.store.base import Blob, BlobInfo, Store
from tests.testkit.reader import DEVICES, YAML_TOKENS, Reader, csv_text

START = datetime(2018, 8, 27, tzinfo=UTC)
END = START + timedelta(hours=1)


class _OneBlob:
    """A store in which each blob has the same content."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, _container: str, name: str, *, max_bytes: int | None = None) -> Blob:
        assert max_bytes
        return Blob(BlobInfo(name, len(self._content), "1"), self._content)


def _yaml(document: Any) -> bytes:
    return yaml.safe_dump(document).encode()


def _a_fleets_file() -> bytes:
    secret = {"name": "fleet-storage", "key": "connectionString", "kind": "connectionString"}
    storage = {"accountUrl": "https://a.blob.core.windows.net", "auth": "existingSecret", "existingSecret": secret}
    paths = {"data": {"path": "{yyyy}{MM}{dd}/{device}.csv", "partition": "P1D"}, "quality": {"badValues": [-9999]}}
    return _yaml({"fleets": [{"name": "default", "namespaces": ["scoring"], "storage": storage, **paths}]})


def _a_schedules_file() -> bytes:
    run = {"writePolicy": "IfChanged", "ttlSecondsAfterFinished": 3600}
    return _yaml({"schedules": [{"name": "hourly", "fleet": "default", "window": "PT1H", "delay": "PT3M", "run": run}]})


def _a_tile() -> bytes:
    first = int(START.timestamp())
    comment = f"# fleet=plant length=PT3600S first={first} windows=20\nDevice,States\n"
    return (comment + "".join(f"{device},NNAASSFFEEPP--??NNNN\n" for device in DEVICES[:30])).encode()


def _an_outbox() -> bytes:
    return json.dumps({"v": 1, "pending": [["mail", "e1", {"a": 1}], ["hook", "e2", {}]], "dropped": 2}).encode()


def _read_schedules(content: bytes) -> object:
    found = read_schedules(content.decode("utf-8", "replace"))
    return [due_windows(one, created=START, now=END, count=48) for one in found.values()]


def _read_tile(content: bytes) -> object:
    tile = parse_tile(content, "tile")
    windows = join_tiles([tile]).windows
    return windows, next(states_between(tile, START, END), None)


def _next_firing(content: bytes) -> object:
    expression, _, zone = content.decode("utf-8", "replace").partition("@")
    return cron.next_firing(expression, zone, START)


def _read_names(content: bytes) -> object:
    names = [name[:1024] for name in content.decode("utf-8", "replace").split("\n")[:5000]]  # as the service allows
    devices = [blob_paths.device_from_name("{window}/{device}.csv", name) for name in names]
    return devices, [Window.from_slug(name.partition("/")[0]) for name in names]


def _a_list() -> bytes:
    runs = [{"metadata": {"name": f"run-{number}"}, "spec": {}, "status": {"phase": "Running"}} for number in range(9)]
    return json.dumps({"kind": "List", "metadata": {"continue": "next"}, "items": runs}).encode()


def _read_list(content: bytes) -> object:
    last = json.dumps({"metadata": {}, "items": []}).encode()
    read = lambda query: last if "continue" in query else content  # noqa: E731
    return list(read_list(read, {}, "https://server", "list runs"))


def _a_failure() -> bytes:
    message = 'jobs.batch is forbidden: User "me" cannot list resource "jobs" in API group "batch"'
    return json.dumps({"kind": "Status", "message": message, "reason": "Forbidden", "code": 403}).encode()


def _read_failure(content: bytes) -> object:
    path = "/apis/fleetscore.dev/v1alpha1/namespaces/scoring/scoringruns"
    status = (302, 400, 401, 403, 404, 409, 500)[len(content) % 7]
    return response_error(status, "x", content, action="list runs", path=path, server="https://server")


_ROWS = [f"2018-08-27T00:10:{n}Z,d,t,1.5" for n in range(10, 60)]
_LINES = b'{"device": "press-1", "message": "scored"}\n{"message": "ended"}\n'

READERS: Mapping[str, Reader] = {
    "fleets-file": Reader(
        _a_fleets_file(),
        lambda content: parse_fleets(parse_yaml(content.decode("utf-8", "replace"), "fleets.yaml")),
        (DataInvalid,),
        tokens=YAML_TOKENS,
    ),
    "schedules-file": Reader(_a_schedules_file(), _read_schedules, (DataInvalid,), tokens=YAML_TOKENS),
    "cron-expression": Reader(b"5,7 0-23/2 * jan-dec MON@Europe/Berlin", _next_firing, (ValueError,)),
    "history-tile-in-the-client": Reader(
        _a_tile(), _read_tile, (DataInvalid,), lambda content: gzip.compress(content, 1)
    ),
    "mutes-in-the-client": Reader(
        csv_text("Devices,From,Until,Why,Who", "hall3-*,2018-08-27T00:00:00Z,,repair,me"),
        lambda content: [(one.state(START), one.covers("hall3-press-1")) for one in parse_mutes(content)],
    ),
    "outbox-in-the-client": Reader(
        _an_outbox(), lambda content: read_notices(cast("Store", _OneBlob(content)), "default")
    ),
    "predictions-in-the-client": Reader(
        csv_text("TS,Device,Tag,Val,Prediction,Score", *[f"{row},1,-0.5" for row in _ROWS]),
        lambda content: frames.predictions_frame(content, "d.csv"),
        (DataInvalid,),
    ),
    "readings-in-the-client": Reader(
        csv_text("TS,Device,Tag,Value", *_ROWS), lambda content: frames.readings_frame(content, "d.csv"), (DataInvalid,)
    ),
    "report-in-the-client": Reader(
        csv_text("Id,Device,Cause,State,Since", *[f"{n},press-{n},sensor,open,2018-08-27" for n in range(50)]),
        lambda content: (list(console._csv_rows(content, "_incidents.csv")), frames.table_frame(content, "a.csv")),
        (DataInvalid,),
    ),
    "log-in-the-client": Reader(
        _LINES,
        lambda content: (list(lines_of(text := content.decode("utf-8", "replace"), "press-1")), last_line(text)),
    ),
    "list-of-the-cluster": Reader(_a_list(), _read_list, (ClusterUnavailable, TooLarge)),
    "failure-of-the-cluster": Reader(_a_failure(), _read_failure),
    "blob-names-in-the-client": Reader(b"20180827T000000Z_20180827T010000Z/press%201.csv\n_runs/a/b.json", _read_names),
}
