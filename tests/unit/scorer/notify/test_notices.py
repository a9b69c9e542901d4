"""The forms of notices, and the selection for a receiver."""

import hashlib
import hmac
import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.notify.notices import Notice, clean, signature, to_alert, to_cloud_event

SINCE, END = datetime(2018, 8, 28, 21, tzinfo=UTC), datetime(2018, 8, 28, 23, tzinfo=UTC)
OPENED = Notice(
    event="opened", id="i1", fleet="plant", cause="machine", window_end=END, since=SINCE, device="press-7",
    tags=("temp", "speed"), windows=2, detail="30 of 240 readings", owner="hall3", contact="hall3@example.com",
    report="https://x/report.html",
)  # fmt: skip


def test_alert_has_the_labels_of_the_contract_and_annotations() -> None:
    assert to_alert(OPENED, ends_at=None) == {
        "labels": {
            "alertname": "FleetscoreIncident", "fleet": "plant", "device": "press-7", "cause": "machine",
            "owner": "hall3",
        },
        "annotations": {
            "summary": "device press-7 of fleet plant: machine incident since 2018-08-28T21:00:00Z",
            "description": "30 of 240 readings", "tags": "temp, speed", "since": "2018-08-28T21:00:00Z",
            "windows": "2", "contact": "hall3@example.com", "report": "https://x/report.html",
            "command": "kubectl fleetscore device press-7 --fleet plant",
        },
        "startsAt": "2018-08-28T21:00:00Z",
    }  # fmt: skip


def test_closed_alert_ends_with_its_window_and_open_one_at_the_given_time() -> None:
    closed = replace(OPENED, event="closed", until=END)
    assert to_alert(closed, ends_at=None)["endsAt"] == "2018-08-28T23:00:00Z"
    assert to_alert(closed, ends_at=None)["labels"] == to_alert(OPENED, ends_at=None)["labels"]
    assert to_alert(OPENED, ends_at=SINCE)["endsAt"] == "2018-08-28T21:00:00Z"


def test_alert_never_ends_before_it_starts() -> None:
    early = replace(OPENED, event="closed", since=END, window_end=SINCE)
    alert = to_alert(early, ends_at=None)
    assert alert["startsAt"] == alert["endsAt"] == "2018-08-28T21:00:00Z"


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({"device": "a b"}, "kubectl fleetscore device 'a b' --fleet plant"),
        ({"device": ""}, "kubectl fleetscore doctor --fleet plant"),
        ({"device": "", "event": "runFailed"}, "kubectl fleetscore status --fleet plant"),
        ({"device": "", "event": "more"}, "kubectl fleetscore incidents --fleet plant"),
    ],
)
def test_notice_has_the_next_command(changes: dict[str, str], command: str) -> None:
    assert to_cloud_event(replace(OPENED, **changes))["data"]["command"] == command  # type: ignore[arg-type]


def test_closed_incident_of_the_fleet_says_how_long_it_lasted() -> None:
    closed = replace(OPENED, event="closed", device="", cause="fleet", until=END)
    since = "fleet plant: incident of many devices since 2018-08-28T21:00:00Z"
    assert closed.summary == f"{since} is closed; it lasted until 2018-08-28T23:00:00Z"


def test_failed_run_has_its_own_alert_name() -> None:
    failed = replace(OPENED, event="runFailed", device="", cause="run")
    assert to_alert(failed, ends_at=None)["labels"]["alertname"] == "FleetscoreRunFailed"
    assert "A run of fleet plant failed" in to_alert(failed, ends_at=None)["annotations"]["summary"]


def test_count_of_further_notices_is_not_the_alert_of_the_fleets_incident() -> None:
    more = to_alert(replace(OPENED, event="more", device="", cause="fleet"), ends_at=None)
    assert "incident" not in more["labels"]
    assert more["labels"]["alertname"] == "FleetscoreMoreIncidents"
    assert more["annotations"]["summary"] == "fleet plant: more incidents than this receiver takes"


def test_cloud_event_has_the_required_attributes_and_a_stable_id() -> None:
    event = to_cloud_event(OPENED)
    assert {key: event[key] for key in ("specversion", "type", "source", "subject", "time", "datacontenttype")} == {
        "specversion": "1.0", "type": "dev.fleetscore.incident.opened", "source": "/fleetscore/plant",
        "subject": "press-7", "time": "2018-08-28T23:00:00Z", "datacontenttype": "application/json",
    }  # fmt: skip
    assert event["data"]["since"] == "2018-08-28T21:00:00Z"
    assert event["id"] == to_cloud_event(replace(OPENED, tags=("other",)))["id"]
    assert event["id"] != to_cloud_event(replace(OPENED, event="closed"))["id"]
    assert event["id"] != to_cloud_event(replace(OPENED, window_end=SINCE))["id"]


@pytest.mark.parametrize(("text", "line"), [("a\r\nb\x00c\u202e", "a b?c?"), ("x" * 900, "x" * 500), ("ü ☃", "ü ☃")])
def test_text_becomes_one_printable_line(text: str, line: str) -> None:
    assert clean(text) == line


def test_signature_is_the_hmac_of_the_body() -> None:
    assert signature(b"body", "key") == "sha256=" + hmac.new(b"key", b"body", hashlib.sha256).hexdigest()


TEXTS = st.text(max_size=40)
INSTANTS = st.integers(0, 250_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(
    st.builds(
        Notice,
        event=st.sampled_from(["opened", "closed", "runFailed", "more"]),
        id=TEXTS,
        fleet=st.text(min_size=1, max_size=40).filter(lambda text: text.strip()),
        cause=st.sampled_from(["machine", "sensor", "data", "fleet", "run"]),
        window_end=INSTANTS,
        since=INSTANTS,
        until=st.none() | INSTANTS,
        device=TEXTS,
        tags=st.lists(TEXTS, max_size=30),
        detail=TEXTS,
        owner=TEXTS,
        report=TEXTS,
    )
)
def test_event_is_one_for_the_sdk_of_cloudevents(notice: Notice) -> None:
    body = json.dumps(to_cloud_event(notice)).encode()
    event = JSONFormat().read(CloudEvent, body)
    assert event.get_specversion() == "1.0"
    assert event.get_id() == notice.event_id
    assert event.get_type().startswith("dev.fleetscore.")
    assert event.get_time() == notice.window_end
    assert event.get_subject()
    assert re.fullmatch(r"/fleetscore/(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+", event.get_source())  # RFC 3986
    data = event.get_data()
    assert isinstance(data, dict)
    assert data["cause"] == notice.cause
    assert len(body) < 32_768


def test_two_incidents_of_a_fleet_are_two_alerts() -> None:
    first, second = (replace(OPENED, id=one, device="", cause="fleet") for one in ("a", "b"))
    labels = [to_alert(notice, ends_at=None)["labels"] for notice in (first, replace(first, event="closed"), second)]
    assert labels[2]["incident"] == "b"
    assert labels[0] == {
        "alertname": "FleetscoreIncident", "fleet": "plant", "cause": "fleet", "owner": "hall3", "incident": "a",
    }  # fmt: skip
    assert labels[1] == labels[0]
