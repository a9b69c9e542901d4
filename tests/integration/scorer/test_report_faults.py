"""Reports over files that another client changed, and reports that stop after a write, in a folder and on Azurite."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from device_scorer.cli import build_parser
from device_scorer.cli.report import run
from device_scorer.contract.digest import METADATA_KEY
from device_scorer.settings import Settings, read_settings
from device_scorer.store.base import Store
from device_scorer.store.factory import open_store
from device_scorer.window import Window
from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.scorer_command import scorer
from tests.testkit.scorer_fleet import END, PARTITION, START, a_model, bundle, readings

SLUG = "20180828T230000Z_20180829T000000Z"
TILE = "_history/plant/PT3600S/2018-W35.csv.gz"
OUTBOX = "_outbox/plant.json"
RECORD = "_runs/u1/job.json"
FIRST = datetime(2018, 8, 27, tzinfo=UTC)
HOUR = timedelta(hours=1)
HEADER = "TS,Device,Tag,Val,Prediction,Score\n"


@pytest.fixture(params=["folder", pytest.param("azurite", marks=pytest.mark.needs_services)])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the arguments that name an empty store; the environment has the rest."""
    monkeypatch.setenv("FLEETSCORE_INCIDENTS", json.dumps({"fleet": "plant"}))
    if request.param == "folder":
        return ["--store", str(tmp_path / "store")]
    for name, value in request.getfixturevalue("storage").environment().items():
        monkeypatch.setenv(name, value)
    return []


@pytest.fixture
def store(place: list[str], request: pytest.FixtureRequest) -> Iterator[Store]:
    """Return the store."""
    environment = {} if place else request.getfixturevalue("storage").environment()
    opened = open_store(read_settings(environment, place[1] if place else None))
    yield opened
    opened.close()


def content_of(store: Store, name: str) -> bytes:
    blob = store.read("predictions", name)
    assert blob is not None, name
    return blob.content


def replaced(how: str, content: bytes) -> bytes:
    """Return the content as another client leaves it."""
    return {"cut": content[: len(content) // 2], "edited": content[:-9] + b"#" + content[-8:], "replaced": b"<html>"}[
        how
    ]


@pytest.mark.parametrize("how", ["cut", "edited", "replaced"])
def test_changed_files_are_reported_set_aside_and_not_fatal(
    place: list[str], store: Store, tmp_path: Path, how: str
) -> None:
    window = ["--window-start", START, "--window-end", END]
    for device in ("press-1", "press-2"):
        store.write("models", f"{device}.joblib", bundle({"1": a_model()}))
        store.write("data", f"{PARTITION}/{device}.csv", readings(device))
    assert scorer("score", *place, *window, "--", "press-1", "press-2").code == 0
    assert scorer("report", *place, *window).code == 0

    tile = replaced(how, content_of(store, TILE))
    store.write("predictions", TILE, tile, overwrite=True)
    store.write("predictions", "_mutes.csv", b"press-1,,,repair,Ann\npress-2,tomorrow,,,\n")
    name = f"{SLUG}/press-2.csv"
    blob = store.read("predictions", name)
    assert blob is not None
    digest = replaced(how, blob.metadata[METADATA_KEY].encode()).decode()
    store.write("predictions", name, blob.content, metadata={**blob.metadata, METADATA_KEY: digest}, overwrite=True)
    record = replaced(how, json.dumps({"v": 1, "messages": {"0": ["failed", "r", "m", "d"]}}).encode())
    store.write("predictions", RECORD, record, metadata={"failures": "1"})

    message = tmp_path / "message"
    result = scorer("report", *place, *window, "--run-uid", "u1", "--termination-log", message)
    assert result.code == 0
    problems = json.loads(content_of(store, f"{SLUG}/_summary.json"))["problems"]
    for text in (
        "the history of its windows begins again",
        "line 2 of _mutes.csv is ignored",
        "1 digest is invalid, the first is of press-2",
        f"1 outcome record is invalid, the first is {RECORD}",
    ):
        assert any(text in problem for problem in problems)
        assert text in result.err
    found = json.loads(message.read_bytes())
    assert (found["problems"], found["devices"], found["unreadable"]) == (4, 2, 0)
    aside = [info.name for info in store.list("predictions", "_history/") if ".damaged-" in info.name]
    assert [content_of(store, name) for name in aside] == [tile]
    again = scorer("report", *place, *window)
    assert "begins again" not in again.err
    assert len(list(store.list("predictions", "_history/"))) == 2


class OtherClientStore:
    """A store in which another client changes a blob before its first conditional write."""

    def __init__(self, store: Store, name: str, change: Callable[[Store], None]) -> None:
        self._store, self._name, self._change = store, name, [change]

    def write(self, container: str, name: str, content: bytes, **more: Any) -> str | None:
        if name == self._name and more.get("if_match") and self._change:
            self._change.pop()(self._store)
        return self._store.write(container, name, content, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.delete("predictions", OUTBOX),
        lambda store: store.write("predictions", OUTBOX, b"", overwrite=True),
        lambda store: store.write("predictions", OUTBOX, b'{"v": 2}', overwrite=True),
    ],
    ids=["removed", "emptied", "newer-version"],
)
def test_outbox_that_another_client_changes_loses_no_open_incident(
    store: Store, monkeypatch: pytest.MonkeyPatch, change: Callable[[Store], None]
) -> None:
    events: list[dict[str, Any]] = []
    with serve(_Hook, events=events) as url:
        monkeypatch.setenv("FLEETSCORE_NOTIFY", json.dumps([{"name": "hook", "type": "webhook", "url": url}]))
        report_windows(store, 1, stops=False)
        assert report_windows(cast("Store", OtherClientStore(store, OUTBOX, change)), 3, stops=False) == [False] * 3
    opened = {event["data"]["device"] for event in events if event["type"].endswith("opened")}
    assert opened == {"press-1", "press-2"}
    outbox = json.loads(content_of(store, OUTBOX))
    assert (outbox["v"], outbox["pending"]) == (1, [])
    assert {one[1] for _, _, incidents in outbox["announced"] for one in incidents} == opened


class Stopped(Exception):  # noqa: N818  it names a state
    """The process of a report was stopped."""


class StoppingStore:
    """A store whose process stops after a number of writes and deletions."""

    def __init__(self, store: Store, changes_left: int) -> None:
        self._store, self._left = store, changes_left

    def write(self, *arguments: Any, **more: Any) -> str | None:
        return cast("str | None", self._change(partial(self._store.write, *arguments, **more)))

    def delete(self, *arguments: Any) -> None:
        self._change(partial(self._store.delete, *arguments))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _change(self, change: partial[Any]) -> Any:
        result = change()
        self._left -= 1
        if not self._left:
            raise Stopped
        return result


class _Hook(RequestHandler):
    events: list[dict[str, Any]]

    def handle_request(self) -> None:
        self.events += json.loads(self.read_body())
        self.respond(200)


def _same(store: Store, _settings: Settings) -> Store:
    return store


def report_windows(store: Store, windows: int, *, stops: bool) -> list[bool]:
    """Report consecutive windows; the report of each one stops after one more change, and is repeated.

    Returns:
        Whether the report of each window was stopped.
    """
    stopped = []
    for index in range(windows):
        start = FIRST + index * HOUR
        window = Window(start, start + HOUR)
        for device, anomalous in (("press-1", index % 4 < 2), ("press-2", index % 6 < 3)):
            rows = "".join(f"{start:%FT%H}:0{at}:00Z,{device},t,{at}.5,{anomalous:d},-0.5\n" for at in range(5))
            counts = {"rows": "5", "anomalies": str(5 * anomalous)}
            metadata = {"window": "w", "tags": "*", "complete": "true", "badrows": "0", "unscoredrows": "0", **counts}
            name = f"{window.slug}/{device}.csv"
            store.write("predictions", name, (HEADER + rows).encode(), metadata=metadata)
        words = ["--store", ".", "--window-start", f"{start:%FT%TZ}", "--window-end", f"{window.end:%FT%TZ}"]
        arguments = build_parser("report").parse_args(words)
        stopping = cast("Store", StoppingStore(store, index + 1 if stops else -1))
        try:
            assert run(arguments, open_store=partial(_same, stopping)) == 0
            stopped.append(False)
        except Stopped:
            stopped.append(True)
            assert run(arguments, open_store=partial(_same, store)) == 0
    return stopped


def test_report_that_stops_after_any_write_loses_no_incident_and_no_event(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = 14
    events: dict[str, list[dict[str, Any]]] = {"reference": [], "stopped": []}
    reference = open_store(read_settings({}, str(tmp_path / "reference")))
    for name, one in (("reference", reference), ("stopped", store)):
        with serve(_Hook, events=events[name]) as url:
            monkeypatch.setenv("FLEETSCORE_NOTIFY", json.dumps([{"name": "hook", "type": "webhook", "url": url}]))
            stopped = report_windows(one, windows, stops=name == "stopped")
    assert stopped[:11] == [True] * 11, "a report has more than ten changes"
    assert not stopped[-1], "each change was the last one of a report"
    for info in reference.list("predictions", ""):
        if info.name.endswith((".csv", ".csv.gz", ".json")) and not info.name.startswith("_outbox/"):
            assert content_of(store, info.name) == content_of(reference, info.name), info.name
    contents = [json.dumps(event, sort_keys=True) for event in events["stopped"]]
    by_id = {json.loads(text)["id"] for text in contents}
    assert len(by_id) == len(set(contents)), "an id has two contents"
    assert by_id == {event["id"] for event in events["reference"]}
    assert len(by_id) > 6
