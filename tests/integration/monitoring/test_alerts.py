"""Each alert fires over series that should make it fire, and over others it does not."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.charts import CHART

from tests.integration.monitoring.alert_rules import rules
from tests.integration.monitoring.promtool import Series, alerts, evaluate, promtool

pytestmark = pytest.mark.usefixtures("helm", "promtool")

# The schedules of VALUES: hourly is late after 2 x 60 + 5 minutes, quarterly after 2 x 15; daily is suspended.
OF_RUN = 'namespace="scoring",fleet="default",run_namespace="scoring"'
WINDOW = f'fleetscore_last_complete_window_timestamp_seconds{{{OF_RUN},schedule="%s"}}'
HOURLY, QUARTERLY = WINDOW % "hourly", WINDOW % "quarterly"
FRESH = {QUARTERLY: "0+60x400"}
STALLED = f'fleetscore_stalled_runs{{{OF_RUN},pod="a",reason="Unschedulable"}}'
HELD_BY_QUEUE = STALLED.replace("Unschedulable", "SuspendedByAnotherController")
WITHOUT_MODEL = f'fleetscore_last_window_devices_without_model{{{OF_RUN},schedule="hourly",pod="a"}}'
AGE = 'fleetscore_watch_age_seconds{namespace="scoring",pod="%s",resource="jobs"}'
HEALTH = f'fleetscore_last_window_%s{{{OF_RUN},schedule="hourly",pod="a"}}'
OPENED, NOTICES, REPORT_FAILED = HEALTH % "opened_incidents", HEALTH % "notify_problems", HEALTH % "report_failed"
FLAGGED = f'fleetscore_last_window_flagged_sensors{{{OF_RUN},schedule="hourly",pod="%s",flag="%s"}}'
BY_HAND = OPENED.replace('schedule="hourly"', 'schedule=""')
URL = "https://fleet.blob.core.windows.net/predictions/20180828T230000Z_20180829T000000Z/report.html"
CONTROLLER = 'fleetscore_controller_age_seconds{namespace="scoring",pod="a"}'
HELD = 'fleetscore_lease_held{namespace="scoring",pod="%s"}'


def devices(pod: str = "a", **outcomes: int) -> Series:
    name = f'fleetscore_last_window_devices{{{OF_RUN},schedule="hourly",pod="{pod}",outcome="%s"}}'
    return {name % outcome: f"{count}x60" for outcome, count in outcomes.items()}


def requests(**codes: int) -> Series:
    """Requests a minute by code."""
    name = 'fleetscore_api_requests_total{namespace="scoring",pod="a",verb="POST",code="%s"}'
    return {name % code[1:]: f"0+{count}x60" for code, count in codes.items()}


def case(alert: str, what: str, series: Series, *, minutes: int, fires: int) -> Any:
    return pytest.param(alert, series, minutes, fires, id=f"{alert.removeprefix('Fleetscore')}: {what}")


CASES = [
    case("FleetscoreWindowMissing", "none for two intervals", {**FRESH, HOURLY: "0x400"}, minutes=131, fires=1),
    case("FleetscoreWindowMissing", "the next is due", {**FRESH, HOURLY: "0x400"}, minutes=124, fires=0),
    case(
        "FleetscoreWindowMissing",
        "one an hour",
        {**FRESH, HOURLY: "0x124 3600x59 7200x59 10800x59"},
        minutes=240,
        fires=0,
    ),
    case(
        "FleetscoreWindowMissing",
        "one of two operators is behind",
        {**FRESH, HOURLY.replace("}", ',pod="a"}'): "0x400", HOURLY.replace("}", ',pod="b"}'): "0+60x400"},
        minutes=300,
        fires=0,
    ),
    case(
        "FleetscoreNoCompleteWindow",
        "a run of another namespace has its labels",
        {**FRESH, HOURLY.replace('run_namespace="scoring"', 'run_namespace="evil"'): "0+60x400"},
        minutes=127,
        fires=1,
    ),
    case("FleetscoreNoCompleteWindow", "never one", FRESH, minutes=127, fires=1),
    case("FleetscoreNoCompleteWindow", "new schedule", FRESH, minutes=120, fires=0),
    case("FleetscoreNoCompleteWindow", "no operator", {}, minutes=127, fires=2),
    case("FleetscoreWindowMissing", "quarters", {HOURLY: "0+60x400", QUARTERLY: "0x400"}, minutes=36, fires=1),
    case("FleetscoreRunStalled", "for long", {STALLED: "1x60"}, minutes=6, fires=1),
    case("FleetscoreRunStalled", "for a short time", {STALLED: "1x60"}, minutes=4, fires=0),
    case("FleetscoreRunStalled", "on and off", {STALLED: "1x3 0x1 1x3 0x1 1x3 0x1 1x3"}, minutes=19, fires=0),
    case("FleetscoreRunStalled", "held by a queue", {HELD_BY_QUEUE: "1x60"}, minutes=30, fires=0),
    case(
        "FleetscoreDevicesWithoutModel", "too many", {**devices(scored=100), WITHOUT_MODEL: "21x60"}, minutes=5, fires=1
    ),
    case("FleetscoreDevicesWithoutModel", "few", {**devices(scored=100), WITHOUT_MODEL: "20x60"}, minutes=5, fires=0),
    case("FleetscoreDevicesFailed", "too many", devices(scored=88, failed=12), minutes=5, fires=1),
    case("FleetscoreDevicesFailed", "few", devices(scored=91, failed=9), minutes=5, fires=0),
    case("FleetscoreDevicesFailed", "in quarantine", devices(scored=88, quarantined=12), minutes=5, fires=1),
    case("FleetscoreDevicesFailed", "not run", devices(scored=50, failed=0, notRun=50), minutes=5, fires=1),
    case("FleetscoreDevicesFailed", "empty", devices(scored=20, failed=0, empty=80), minutes=5, fires=0),
    case(
        "FleetscoreDevicesFailed",
        "reported twice",
        {**devices("a", scored=91, failed=9), **devices("b", scored=91, failed=9)},
        minutes=5,
        fires=0,
    ),
    case("FleetscoreDevicesEmpty", "too many", devices(scored=40, alreadyScored=5, empty=55), minutes=5, fires=1),
    case("FleetscoreDevicesEmpty", "few", devices(scored=20, alreadyScored=40, empty=40), minutes=5, fires=0),
    case("FleetscoreNewIncidents", "one", {OPENED: "1x60"}, minutes=1, fires=1),
    case("FleetscoreNewIncidents", "of an earlier window", {OPENED: "1x20 0x40"}, minutes=30, fires=0),
    case("FleetscoreNewIncidents", "of a run by hand", {BY_HAND: "1x60"}, minutes=30, fires=0),
    case(
        "FleetscoreNewIncidents",
        "two operators",
        {OPENED: "1x9", OPENED.replace('"a"', '"b"'): "1x9"},
        minutes=5,
        fires=1,
    ),
    case(
        "FleetscoreSensorsFlagged",
        "four",
        {FLAGGED % ("a", "stuck"): "2x9", FLAGGED % ("a", "silent"): "2x9"},
        minutes=5,
        fires=1,
    ),
    case(
        "FleetscoreSensorsFlagged",
        "three",
        {FLAGGED % ("a", "stuck"): "2x9", FLAGGED % ("a", "silent"): "1x9"},
        minutes=5,
        fires=0,
    ),
    case(
        "FleetscoreSensorsFlagged",
        "reported twice",
        {FLAGGED % ("a", "stuck"): "2x9", FLAGGED % ("b", "stuck"): "2x9"},
        minutes=5,
        fires=0,
    ),
    case("FleetscoreNotificationsFail", "one receiver", {NOTICES: "1x60"}, minutes=5, fires=1),
    case("FleetscoreNotificationsFail", "none", {NOTICES: "0x60"}, minutes=5, fires=0),
    case("FleetscoreReportFailed", "the latest", {REPORT_FAILED: "1x60"}, minutes=5, fires=1),
    case("FleetscoreReportFailed", "an earlier one", {REPORT_FAILED: "1x9 0x51"}, minutes=12, fires=0),
    case("FleetscoreOperatorDown", "no operator", {}, minutes=6, fires=1),
    case("FleetscoreOperatorDown", "no leader", {HELD % "a": "0x60", HELD % "b": "0x60"}, minutes=6, fires=1),
    case("FleetscoreOperatorDown", "one is active", {HELD % "a": "0x60", HELD % "b": "1x60"}, minutes=6, fires=0),
    case("FleetscoreOperatorDown", "takes over", {HELD % "a": "1x9 0x3 1x30", HELD % "b": "0x60"}, minutes=13, fires=0),
    case("FleetscoreWatchStale", "no sign", {AGE % "a": "0+60x60", AGE % "b": "30x60"}, minutes=10, fires=1),
    case("FleetscoreWatchStale", "alive", {AGE % "a": "60x60", AGE % "b": "75x60"}, minutes=10, fires=0),
    case(
        "FleetscoreWatchStale", "inactive controller", {AGE % "a": "60x60", CONTROLLER: "0+60x60"}, minutes=10, fires=1
    ),
    case("FleetscoreWatchStale", "active controller", {AGE % "a": "60x60", CONTROLLER: "5x60"}, minutes=10, fires=0),
    case("FleetscoreThrottled", "for long", requests(_201=95, _429=5), minutes=30, fires=1),
    case("FleetscoreThrottled", "hardly", requests(_201=1000, _429=5), minutes=30, fires=0),
    case("FleetscoreThrottled", "never", requests(_201=1000), minutes=30, fires=0),
]


@pytest.mark.parametrize(("alert", "series", "minutes", "fires"), CASES)
def test_alert_fires_exactly_for_its_series(
    tmp_path: Path, alert: str, series: Series, minutes: int, fires: int
) -> None:
    firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
    assert evaluate(tmp_path, {firing: fires}, series, minutes=minutes, rules=rules()) == ""


def test_alert_for_new_incidents_has_the_address_of_the_report(tmp_path: Path) -> None:
    info = HEALTH.replace("}", f',url="{URL}"}}') % "report_info"
    alert = {
        "exp_labels": {"fleet": "default", "run_namespace": "scoring", "schedule": "hourly", "severity": "warning"},
        "exp_annotations": {
            "summary": "New incidents in the latest window of hourly of fleet default: 2.",
            "description": "The report and its _incidents.csv name device, cause, begin and owner. "
            "Mutes are in _mutes.csv.",
            "report": URL,
        },
    }
    assert (
        alerts(tmp_path, "FleetscoreNewIncidents", [alert], {OPENED: "2x9", info: "1x9"}, minutes=5, rules=rules())
        == ""
    )


def test_every_alert_has_a_firing_and_a_silent_case() -> None:
    tried = {(parameters.values[0], bool(parameters.values[3])) for parameters in CASES}
    alerts = {rule["alert"] for group in rules()["groups"] for rule in group["rules"]}
    assert tried == {(alert, fires) for alert in alerts for fires in (True, False)}


def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules()))
    assert promtool("check", "rules", "--lint=all", "--lint-fatal", str(tmp_path / "rules.yaml")) == ""


def test_operations_guide_describes_each_alert() -> None:
    guide = (CHART.parents[1] / "docs" / "operations" / "monitoring.md").read_text()
    for group in rules()["groups"]:
        for rule in group["rules"]:
            assert f"| `{rule['alert']}` |" in guide
