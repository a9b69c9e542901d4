"""The sections of incidents and faulty sensors."""

from datetime import UTC, datetime

from device_scorer.contract.digest import SensorFlag
from device_scorer.health.globs import DeviceGlob
from device_scorer.health.history import STATES
from device_scorer.health.incidents import Incident
from device_scorer.health.settings import Owner
from device_scorer.report.fleet_health import FleetHealth, IncidentRow
from device_scorer.report.health_sections import (
    STATE_CLASSES,
    incidents_section,
    sensors_section,
    since_text,
    strip,
)
from device_scorer.report.statistics import FlaggedSensor

SINCE = datetime(2018, 8, 28, 22, tzinfo=UTC)


def an_incident(device: str, state: str = "open", muted: str | None = None) -> IncidentRow:
    incident = Incident("id", device, "machine", state, "A", 0, None, 3)
    return IncidentRow(incident, SINCE, None, ["<temp>"], "-0.5", Owner(DeviceGlob("*"), "Ann"), muted)


def test_incidents_that_last_are_first_and_muted_ones_last() -> None:
    health = FleetHealth([an_incident("m", muted="x"), an_incident("c", "closed"), an_incident("o")], problems=["<p>"])
    drawn = incidents_section(health)
    assert drawn.index(">o<") < drawn.index(">c<") < drawn.index(">m<")
    for text in ("2018-08-28 22:00", "&lt;temp&gt;", "Ann", "open (muted)", "&lt;p&gt;"):
        assert text in drawn


def test_fleet_without_incidents_has_a_placeholder() -> None:
    assert "none" in incidents_section(FleetHealth())
    assert sensors_section(FleetHealth()) == ""


def test_faulty_sensors_have_their_fault_and_detail() -> None:
    sensor = FlaggedSensor("<t>", 7, SensorFlag("silent", 0, "no reading"))
    drawn = sensors_section(FleetHealth(sensors=[("d", sensor)] * 105))
    assert drawn.count("&lt;t&gt;") == 100
    assert "and 5 more" in drawn
    assert "no reading" in drawn


def test_strip_has_a_square_per_window() -> None:
    health = FleetHealth([an_incident("d"), an_incident("e", "closed")], strips={"d": "NA?"})
    assert strip(health, "d").count("<i ") == 3
    assert strip(health, "x") == ""
    assert since_text(health, "d") == "<p>machine incident since 2018-08-28T22:00:00Z</p>"
    assert (since_text(health, "e"), since_text(health, "x")) == ("", "")


def test_every_state_has_a_colour() -> None:
    assert set(STATE_CLASSES) == STATES
