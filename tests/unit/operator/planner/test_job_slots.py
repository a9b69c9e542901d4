import pytest

from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.job_slots import FullQuotas, JobSlots, ReportSlots
from scoring_operator.planner.types import JobLimits
from tests.testkit.builders import a_run

HERE = a_run("here", uid="1")
SAME_NAMESPACE = a_run("near", uid="2")
ELSEWHERE = a_run("far", uid="3", namespace="other", fleet="second")


def slots_of(limits: JobLimits, *, here: int = 0, same_namespace: int = 0, elsewhere: int = 0) -> JobSlots:
    slots = JobSlots(limits)
    for run, jobs in ((HERE, here), (SAME_NAMESPACE, same_namespace), (ELSEWHERE, elsewhere)):
        slots.add(run, jobs)
    return slots


def test_jobs_of_other_runs_leave_the_rest_of_the_total() -> None:
    slots = slots_of(JobLimits(total=10), here=2, same_namespace=3, elsewhere=1)
    assert slots.free_for(HERE, active=2, fleet_limit=None) == 6
    slots.add(ELSEWHERE, -1)
    assert slots.free_for(HERE, active=2, fleet_limit=None) == 7


def test_limit_of_the_namespace_counts_its_other_runs() -> None:
    slots = slots_of(JobLimits(total=10, namespace=4), same_namespace=3, elsewhere=1)
    assert slots.free_for(HERE, active=0, fleet_limit=None) == 1
    assert slots.free_for(ELSEWHERE, active=1, fleet_limit=None) == 4


def test_jobs_beyond_the_limit_of_a_namespace_take_no_slot_from_others() -> None:
    slots = slots_of(JobLimits(total=6, namespace=4), same_namespace=50)
    assert slots.free_for(ELSEWHERE, active=0, fleet_limit=None) == 2
    assert slots.free_for(HERE, active=0, fleet_limit=None) < 0
    assert slots.used == 4


def test_limit_of_the_fleet_counts_its_runs_in_all_namespaces() -> None:
    slots = slots_of(JobLimits(total=10), here=1, same_namespace=2, elsewhere=4)
    assert slots.free_for(HERE, active=1, fleet_limit=3) == 1
    assert slots.free_for(ELSEWHERE, active=4, fleet_limit=3) == 3


def test_free_slots_are_offered_in_order_until_none_is_left() -> None:
    slots = slots_of(JobLimits(total=5), here=1)
    assert slots.offers([(ELSEWHERE, 3), (SAME_NAMESPACE, 3), (HERE, 1)]) == [ELSEWHERE, SAME_NAMESPACE]


def test_run_of_a_full_namespace_gets_no_offer() -> None:
    slots = slots_of(JobLimits(total=10, namespace=3), here=2)
    assert slots.offers([(SAME_NAMESPACE, 5), (HERE, 1), (ELSEWHERE, 1)]) == [SAME_NAMESPACE, ELSEWHERE]


def pending(uid: str, namespace: str = "scoring") -> ScoringRun:
    """Return an ended run whose report is pending."""
    conditions = [{"type": "Complete", "status": "True"}, {"type": "Reported", "status": "Unknown"}]
    return a_run(uid=uid, namespace=namespace, status={"conditions": conditions})


@pytest.mark.fault("T12")
def test_reports_of_a_namespace_have_slots_of_their_own() -> None:
    slots = ReportSlots(JobLimits(total=1000))
    runs = [pending(str(number)) for number in range(21)]
    assert [slots.slots_for(run) for run in runs] == [1] * 20 + [0]
    assert (slots.slots_for(runs[0]), slots.slots_for(pending("far", "other"))) == (1, 1)
    assert slots.slots_for(a_run(uid="0")) == 0  # its report has ended
    assert (slots.slots_for(runs[-1]), slots.slots_for(runs[0])) == (1, 0)
    slots.release(runs[1])
    assert slots.slots_for(runs[0]) == 1


def test_reports_have_no_more_slots_than_the_limits_of_jobs() -> None:
    slots = ReportSlots(JobLimits(total=10, namespace=1))
    found = [slots.slots_for(run) for run in (pending("1"), pending("2"), pending("3", "other"))]
    assert found == [1, 0, 1]


def test_quota_is_full_for_a_namespace_until_its_last_waiting_run_continues() -> None:
    quotas, one, two = FullQuotas(), a_run(uid="1"), a_run(uid="2")
    for run in (one, two):
        quotas.record(run.ref, waiting=True)
    quotas.record(one.ref, waiting=False)
    assert [quotas.is_full(one.ref), quotas.is_full(a_run(namespace="other").ref)] == [True, False]
    quotas.record(two.ref, waiting=False)
    assert not quotas.is_full(one.ref)
