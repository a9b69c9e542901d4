"""The facts of a cluster, gathered from a fake API server with the objects of a release."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fleetscore.cluster.connection import Cluster
from fleetscore.doctor.cluster_checks import check_cluster
from fleetscore.doctor.facts import Facts
from fleetscore.doctor.findings import Finding, Result
from fleetscore.doctor.fleet_checks import check_fleets, check_schedules
from fleetscore.doctor.gather import gather
from fleetscore.doctor.gather_fleets import Options
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease


def gathered() -> Facts:
    return gather(Cluster.connect(), "0.1.0", Options({}))


def wrong() -> list[Finding]:
    facts = gathered()
    found = [*check_cluster(facts), *check_fleets(facts), *check_schedules(facts)]
    # The fleet's account is a name without a server, so its storage is not a part of these tests.
    return [one for one in found if one.result is not Result.OK and one.check != "storage"]


@pytest.mark.usefixtures("fake_release")
def test_healthy_release_has_no_findings() -> None:
    assert wrong() == []
    facts = gathered()
    assert isinstance(facts.operators, tuple)
    assert facts.operators[0].watches == ("scoring",)
    assert facts.operators[0].lease is not None


def set_operator(release: FakeRelease, **status: Any) -> None:
    release.lists[fake.DEPLOYMENTS][0]["status"] = status


def add_operator(release: FakeRelease) -> None:
    release.lists[fake.DEPLOYMENTS].append(fake.deployment("other", "second", watches="scoring,other"))


def deny(right: str) -> Callable[[FakeRelease], None]:
    return lambda release: release.denied.add(right)


BREAKAGES: dict[str, tuple[Callable[[FakeRelease], Any], str, str]] = {
    "crd-missing": (lambda release: release.objects.pop(fake.GROUP), "crd", "the CRD does not exist"),
    "operator-down": (lambda release: set_operator(release, readyReplicas=0), "operator", "0 of 1 pods are ready"),
    "operator-missing": (lambda release: release.lists[fake.DEPLOYMENTS].clear(), "operator", "no operator handles"),
    "two-operators": (add_operator, "operator", "both handle runs of scoring"),
    "lease-missing": (lambda release: release.objects.pop(fake.LEASE), "lease", "no operator holds"),
    "operator-right": (deny("watch scoringruns"), "rights", "the operator may not watch scoringruns"),
    "scheduler-right": (deny("create scoringruns"), "rights", "the Jobs of the schedule may not create scoringruns"),
    "user-right": (deny("get scoringruns"), "user", "may not get scoringruns"),
    "clock": (lambda release: setattr(release, "clock", timedelta(minutes=-10)), "clock", "ahead of the API server's"),
    "secret": (lambda release: release.objects.pop(fake.SECRET), "secrets", "Secret account does not exist"),
    "suspended": (
        lambda release: release.lists.update({fake.CRON_JOBS: [fake.cron_job(suspend=True)]}),
        "schedules",
        "the schedule is suspended",
    ),
    "windows": (
        lambda release: release.lists.update({fake.CRON_JOBS: [fake.cron_job(created=timedelta(hours=5))]}),
        "schedules",
        "windows have no run",
    ),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_breakage_of_a_release_is_found(fake_release: FakeRelease, name: str) -> None:
    break_it, check, text = BREAKAGES[name]
    break_it(fake_release)
    problems = [one for one in wrong() if one.result is Result.PROBLEM]
    assert any(one.check == check and text in one.message for one in problems), problems
    assert all(one.cure for one in problems)


def test_user_of_one_namespace_gets_its_objects_and_the_missing_right(fake_release: FakeRelease) -> None:
    fake_release.forbidden |= {fake.DEPLOYMENTS, fake.CRON_JOBS, "/api/v1/configmaps"}
    found = wrong()
    assert [(one.result, one.check) for one in found] == [(Result.UNKNOWN, "operator")]
    assert "verbs: [list]" in found[0].cure


def test_list_of_all_namespaces_above_a_limit_is_that_of_the_own_one(fake_release: FakeRelease) -> None:
    others = [{"metadata": {"namespace": "other", "name": "x", "labels": fake.OPERATOR}}] * 20_000
    fake_release.lists[fake.DEPLOYMENTS] += others
    (found,) = wrong()
    assert (found.result, found.check) == (Result.UNKNOWN, "operator")
    assert "there are more than 20,000 objects or 134,217,728 bytes" in found.message
    assert "delete those that nothing uses, or name another namespace" in found.cure


@pytest.mark.parametrize(
    ("path", "check"),
    [
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scoringruns.fleetscore.dev", "versions"),
        (fake.LEASE, "lease"),
        ("localsubjectaccessreviews", "rights"),
        (fake.SECRET, "secrets"),
        (fake.RUNS, "schedules"),
    ],
    ids=["crd", "lease", "reviews", "secret", "runs"],
)
def test_missing_right_to_look_is_unknown(fake_release: FakeRelease, path: str, check: str) -> None:
    fake_release.forbidden.add(path)
    assert {(one.result, one.check) for one in wrong()} == {(Result.UNKNOWN, check)}


def test_user_without_any_right_learns_which_ones_are_missing(fake_release: FakeRelease) -> None:
    fake_release.forbidden |= {fake.DEPLOYMENTS, fake.CRON_JOBS, "/api/v1/configmaps", fake.RUNS}
    fake_release.forbidden |= {
        f"/apis/{path}" for path in ("apps/v1/namespaces/scoring/deployments", "batch/v1/namespaces/scoring/cronjobs")
    }
    fake_release.forbidden.add("/api/v1/namespaces/scoring/configmaps")
    found = wrong()
    assert {one.result for one in found} == {Result.UNKNOWN}
    assert [one.check for one in found] == ["operator", "fleets", "schedules"]
    assert all("a Role in namespace scoring with the rule" in one.cure for one in found)
