import json

import msgspec
import pytest

from scoring_operator.contract.report_message import parse_report_message
from scoring_operator.planner.types import ReportCondition, WrittenReport
from scoring_operator.resources.report_fields import report_fields
from tests.testkit.builders import a_report_message


def written(raw: str = "", url: str = "") -> ReportCondition:
    return ReportCondition(
        True, "ReportWritten", "done", WrittenReport("w/report.html", url, parse_report_message(raw))
    )


def test_fields_are_the_figures_and_the_address_of_the_report() -> None:
    raw = a_report_message(
        sensors={"stuck": 2},
        incidents={"open": 3, "opened": 2, "openedUnmuted": 1, "closed": 2, "muted": 1, "causes": {"sensor": 3}},
        vanishedModels=4,
        problems=2,
        notifyProblems=1,
    )
    fields = report_fields(written(raw, "https://a.example/predictions/w/report.html"))
    assert fields["sensors"] == {"silent": 0, "sparse": 0, "stale": 0, "stuck": 2, "implausible": 0, "jumpy": 0}
    assert fields["incidents"] == {
        "open": 3,
        "opened": 2,
        "openedUnmuted": 1,
        "closed": 2,
        "muted": 1,
        "causes": {"machine": 0, "sensor": 3, "data": 0, "fleet": 0},
    }
    report = fields["report"]
    assert (report["path"], report["url"]) == ("w/report.html", "https://a.example/predictions/w/report.html")
    assert (report["vanishedModels"], report["problems"], report["notifyProblems"]) == (4, 2, 1)


@pytest.mark.parametrize(
    ("condition", "fields"),
    [
        (None, {}),
        (ReportCondition(None, "ReportRunning", "Job makes it"), {}),
        (ReportCondition(False, "OOMKilled", "memory"), {}),
        (written(), {"report": {"path": "w/report.html"}}),
    ],
    ids=["unchanged", "running", "failed", "without-result"],
)
def test_fields_without_a_result_have_no_figures(condition: ReportCondition | None, fields: dict[str, object]) -> None:
    assert report_fields(condition) == fields


@pytest.mark.fault("T11")
def test_fields_of_any_valid_result_have_less_than_2_kib() -> None:
    most = 10**15
    known = ("unreadable", "unmodelledDevices", "unscoredRows", "vanishedModels", "outdatedDevices", "problems")
    raw = json.dumps(
        {"v": 1}
        | dict.fromkeys(known, most)
        | {"sensors": {f"{n}": most for n in range(50)}, "incidents": {"open": most, "opened": most}}
    )
    fields = report_fields(written(raw))
    assert fields["report"]["unreadable"] == most
    assert len(msgspec.json.encode(fields)) < 2048
