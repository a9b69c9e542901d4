"""The operator reads the result that the scorer's report writes."""

import json
from dataclasses import replace

import msgspec

from device_scorer.contract.causes import CAUSES as SCORER_CAUSES
from device_scorer.contract.digest import FLAGS as SCORER_FLAGS
from device_scorer.health.incidents import OPENED, Incident
from device_scorer.report.fleet_health import FleetHealth, IncidentRow
from device_scorer.report.result import report_result
from scoring_operator.contract.report_message import CAUSES, FLAGS, MAX_MESSAGE_BYTES, parse_report_message
from tests.testkit.scorer_report import a_summary


def test_both_know_the_same_faults_and_causes() -> None:
    assert set(FLAGS) == set(SCORER_FLAGS)
    assert set(CAUSES) == set(SCORER_CAUSES)


def test_operator_reads_every_key_of_a_result() -> None:
    summary = a_summary(3)
    incident = IncidentRow(Incident("i", "press-7", "machine", OPENED, "A", 0, None, 2), summary.window.start, None)
    muted = replace(incident, muted="repair")
    hall = replace(incident, incident=replace(incident.incident, device="", cause="fleet"), muted="repair")
    content = report_result(summary, FleetHealth([incident, muted, hall], problems=["a", "b"], notify_problems=1))
    message = parse_report_message(content.decode())
    assert message is not None
    document = json.loads(content)
    read = msgspec.to_builtins(message)
    found = message.incidents
    assert (found.opened, found.opened_unmuted, found.opened_fleet, found.muted) == (3, 1, 1, 2)
    shown_elsewhere = {"devices", "anomalousDevices", "failures"}  # in status.devices and status.results
    assert document.keys() - shown_elsewhere == read.keys()
    assert {key: read[key] for key in document if isinstance(document[key], int) and key in read} == {
        key: value for key, value in document.items() if isinstance(value, int) and key in read
    }
    assert read["incidents"]["causes"] == dict.fromkeys(CAUSES, 0) | document["incidents"]["causes"]
    assert read["sensors"] == dict.fromkeys(FLAGS, 0) | document["sensors"]
    assert len(content) < MAX_MESSAGE_BYTES // 2
