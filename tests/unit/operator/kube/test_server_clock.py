"""The API server's clock, from Date headers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from scoring_operator.kube.server_clock import ServerClock


def header(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


@pytest.fixture(autouse=True)
def still_local_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)


def test_server_clock_follows_the_server_in_both_directions() -> None:
    clock = ServerClock()
    for hours in (1, -1):
        server = datetime.now(UTC) + timedelta(hours=hours)
        clock.observe(header(server), 1000.0, 1000.0)
        assert abs(clock.now() - server) <= timedelta(seconds=1)


def test_many_responses_make_the_server_clock_exact() -> None:
    clock = ServerClock()
    server = datetime(2026, 1, 1, tzinfo=UTC)
    for tenth in range(30):  # the server's clock reads 00:00:00.7 at our 1000.0
        local = 1000.0 + tenth / 10
        clock.observe(header(server + timedelta(seconds=0.7 + tenth / 10)), local, local)
    assert (clock.now() - server).total_seconds() == pytest.approx(0.7, abs=0.11)


def test_malformed_date_header_is_ignored() -> None:
    clock = ServerClock()
    before = clock.now()
    clock.observe("yesterday", 0.0, 0.0)
    assert clock.now() == before
