"""The checks of fleets and schedules: each breakage is found, and its cure is named."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetscore.contract.fleets import FleetLayout, SecretReference
from fleetscore.contract.schedules import Schedule
from fleetscore.contract.windows import Window
from fleetscore.doctor.facts import Container, Facts, FleetFacts, Models, Notices, ScheduleFacts, SecretKey, SecretState
from fleetscore.doctor.findings import Finding, Result, Right, Unseen
from fleetscore.doctor.fleet_checks import check_fleets, check_schedules
from fleetscore.runs.cron_job import CronJob

UNSEEN = Right("get", "secrets", "", "scoring").unseen()
KEY = SecretKey("scoring", "account", "connectionString")
LAYOUT = FleetLayout("plant", ("scoring",), secret=SecretReference("account"))
CONTAINERS = {"models": Container(), "data": Container(), "predictions": Container()}
FLEET = FleetFacts(
    LAYOUT, CONTAINERS, Models(12, limit=1000), {KEY: SecretState.PRESENT}, ("hook",), Notices(),
    {"metadata": {"name": "hourly-1"}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}},
)  # fmt: skip
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
WINDOWS = tuple(Window(START + timedelta(hours=n), START + timedelta(hours=n + 1)) for n in range(2))
CRON_JOB = CronJob("fleetscore-hourly", "hourly", "5 * * * *", "UTC", suspended=False, created=START, last=START)
SCHEDULE = ScheduleFacts("scoring", "hourly", CRON_JOB, schedule=Schedule("hourly", "plant"))
WRONG_KEY = Container("https://a rejects the key (AuthenticationFailed)", "copy the key again")


def facts(**changes: Any) -> Facts:
    return Facts("scoring", "0.1.0", UNSEEN, UNSEEN, UNSEEN, **changes)


def of_fleet(**changes: Any) -> list[Finding]:
    return list(check_fleets(facts(fleets=(replace(FLEET, **changes),))))


def of_schedule(**changes: Any) -> list[Finding]:
    return list(check_schedules(facts(schedules=(replace(SCHEDULE, **changes),))))


def a_run(type_: str, **status: Any) -> dict[str, Any]:
    condition = {"type": type_, "status": "True", "reason": "R", "message": "the Secret has no key"}
    return {"metadata": {"name": "hourly-1"}, "status": {"conditions": [condition], **status}}


def test_healthy_fleet_and_schedule_have_only_oks() -> None:
    found = [*of_fleet(), *of_schedule()]
    assert [one.check for one in found] == ["secrets", "storage", "identity", "models", "notifications", "schedules"]
    assert {one.result for one in found} == {Result.OK}


@pytest.mark.parametrize(
    ("changes", "check", "message", "cure"),
    [
        ({"secrets": {KEY: SecretState.MISSING}}, "secrets", "Secret account does not exist in namespace scoring",
         "kubectl -n scoring create secret generic account --from-file=connectionString=FILE"),
        ({"secrets": {KEY: SecretState.WITHOUT_KEY}}, "secrets", "Secret account in namespace scoring has no key",
         "add the key, or name another"),
        ({"containers": dict.fromkeys(CONTAINERS, WRONG_KEY)}, "storage", "rejects the key", "copy the key again"),
        ({"containers": {**CONTAINERS, "data": Container("container data does not exist", "check")}}, "storage",
         "container data does not exist", "check"),
        ({"models": Models(0)}, "models", "container models has no models", "device-scorer train"),
        ({"models": Models(0, ("a.pkl", "b.pkl"))}, "models", "matches {device}.joblib; there are a.pkl, b.pkl",
         "models.path"),
        ({"notices": Notices({"hook": 3})}, "notifications", "receiver hook has not accepted 3 notices", "next report"),
        ({"notices": Notices({"hook": 3}), "newest_run": a_run("Complete", report={"notifyProblems": 1})},
         "notifications", "receiver hook has not accepted 3 notices", "-l fleetscore.dev/run=hourly-1,"),
        ({"newest_run": a_run("Complete", report={"notifyProblems": 1})}, "notifications",
         "the report of run hourly-1 has 1 problems with receivers", "`notify` of the fleet"),
        ({"notices": Notices({}, 7)}, "notifications", "7 notices were dropped", "receiver"),
        ({"newest_run": a_run("Stalled")}, "runs", "does not continue: the Secret has no key", "fleetscore status"),
        ({"newest_run": a_run("Complete", failureReasons={"IdentityUnavailable": 4}, failures=[
            {"reason": "IdentityUnavailable", "message": "no federated credential"}])}, "identity",
         "failed because of IdentityUnavailable: no federated credential", "fleetscore status hourly-1"),
    ],
    ids=["secret-missing", "secret-key", "wrong-key", "missing-container", "no-models", "models-path", "notices",
         "notices-and-report", "report", "notices-dropped", "stalled", "identity"],
)  # fmt: skip
def test_breakage_of_a_fleet_is_a_problem(changes: dict[str, Any], check: str, message: str, cure: str) -> None:
    found = [one for one in of_fleet(**changes) if one.result is not Result.OK]
    assert [(one.result, one.check, one.subject) for one in found] == [(Result.PROBLEM, check, "fleet plant")]
    assert message in found[0].message
    assert cure in found[0].cure


@pytest.mark.parametrize(
    ("changes", "message", "cure"),
    [
        ({"cron_job": replace(CRON_JOB, suspended=True)}, "the schedule is suspended", '"suspend":false'),
        ({"missing": WINDOWS[:1]},
         "1 windows have no run: 2026-01-05T08:00Z/1h; the CronJob fired last at 2026-01-05T08:00:00Z",
         "describe cronjob fleetscore-hourly"),
        ({"missing": WINDOWS, "cron_job": replace(CRON_JOB, last=WINDOWS[1].end)},
         "2 windows have no run: 2026-01-05T08:00Z/1h, 2026-01-05T09:00Z/1h",
         "backfill -n scoring --schedule hourly --from 2026-01-05T08:00:00Z --to 2026-01-05T10:00:00Z"),
        ({"missing": WINDOWS[:1], "job_failure": "Job h-1: BackoffLimitExceeded: ImagePullBackOff"},
         "1 windows have no run: 2026-01-05T08:00Z/1h; Job h-1: BackoffLimitExceeded: ImagePullBackOff",
         "check the image's name"),
        ({"job_failure": "Job h-1: FailedCreate: exceeded quota"}, "Job h-1: FailedCreate: exceeded quota", "raise"),
        ({"cron_job": None}, "the CronJob of the schedule does not exist", "helm upgrade"),
        ({"fleet_exists": False}, "the schedule names fleet plant, which does not serve namespace scoring", "add the"),
        ({"account": "wrong"}, "ServiceAccount wrong of the schedule's Jobs does not exist", "create serviceaccount"),
        ({"schedule": None}, "the schedules file has no schedule of this name", "helm upgrade"),
    ],
    ids=["suspended", "not-fired", "missing-windows", "failed-job-and-windows", "failed-job", "without-cronjob",
         "unknown-fleet", "account", "without-settings"],
)  # fmt: skip
def test_breakage_of_a_schedule_is_a_problem(changes: dict[str, Any], message: str, cure: str) -> None:
    (found,) = of_schedule(**changes)
    assert (found.result, found.message) == (Result.PROBLEM, message)
    assert cure in found.cure


def test_missing_right_of_the_jobs_of_a_schedule_is_a_problem() -> None:
    right = Right("create", "scoringruns", "fleetscore.dev", "scoring")
    assert [one.result for one in of_schedule(rights={right: True})] == [Result.OK]
    found = of_schedule(rights={right: False})[1]
    assert (found.result, found.check) == (Result.PROBLEM, "rights")
    assert found.message == "the Jobs of the schedule may not create scoringruns.fleetscore.dev"
    assert of_schedule(rights=UNSEEN)[1].result is Result.UNKNOWN


@pytest.mark.parametrize(
    "found",
    [
        list(check_fleets(facts(fleets=UNSEEN))),
        of_fleet(secrets={KEY: UNSEEN})[:1],
        of_fleet(containers=dict.fromkeys(CONTAINERS, UNSEEN))[1:2],
        list(check_schedules(facts(schedules=UNSEEN))),
        of_schedule(schedule=UNSEEN),
        of_schedule(missing=UNSEEN),
    ],
    ids=["fleets", "secrets", "storage", "schedules", "settings", "runs"],
)
def test_missing_right_is_unknown_and_named(found: list[Finding]) -> None:
    assert [(one.result, one.message) for one in found] == [(Result.UNKNOWN, "this user may not get secrets")]
    assert "a Role in namespace scoring with the rule" in found[0].cure


def test_fleet_that_cannot_be_read_has_no_finding_about_its_content() -> None:
    found = of_fleet(containers={"models": Unseen("no", "ask")}, models=None, notices=None, newest_run=None, secrets={})
    assert [one.check for one in found] == ["storage"]


def test_namespace_without_a_fleet_is_a_problem_and_without_a_schedule_is_not() -> None:
    assert [one.result for one in check_fleets(facts(fleets=()))] == [Result.PROBLEM]
    assert [one.result for one in check_schedules(facts(schedules=()))] == [Result.OK]


def test_unknown_fleet_is_a_problem_and_runs_of_one_are_a_warning() -> None:
    (found,) = check_fleets(facts(fleets=(), fleet="nonesuch"))
    assert (found.result, found.message) == (Result.PROBLEM, "no fleet nonesuch serves namespace scoring")
    stray = {"metadata": {"name": "r-1"}}
    last = list(check_fleets(facts(fleets=(FLEET,), stray_runs={"other\n": stray}, other_fleets=3)))[-2:]
    assert [(one.result, one.message) for one in last] == [
        (Result.WARNING, "run r-1 names fleet other, which does not serve scoring"),
        (Result.UNKNOWN, "3 fleets more were not checked"),
    ]


def test_problems_with_receivers_are_known_without_the_storage() -> None:
    run = a_run("Complete", report={"notifyProblems": 2})
    found = [one for one in of_fleet(notices=None, newest_run=run) if one.check == "notifications"]
    assert [(one.result, one.message) for one in found] == [
        (Result.PROBLEM, "the report of run hourly-1 has 2 problems with receivers")
    ]
    assert not [one for one in of_fleet(notices=None) if one.check == "notifications"]


def test_number_of_models_is_bounded() -> None:
    texts = [one.message for one in of_fleet(models=Models(1000, limit=1000)) if one.check == "models"]
    assert texts == ["more than 1,000 devices have a model"]
