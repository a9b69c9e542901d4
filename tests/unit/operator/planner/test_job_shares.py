from scoring_operator.planner.job_shares import JobShares
from scoring_operator.planner.queueing import Demand
from scoring_operator.planner.types import JobLimits
from tests.testkit.builders import a_progress, a_run


def a_demand(uid: str, namespace: str = "scoring") -> Demand:
    return Demand(a_run(uid=uid, namespace=namespace), "Running", a_progress(3))


def test_run_without_further_jobs_has_no_share() -> None:
    shares = JobShares.compute([(a_demand("1"), 0), (a_demand("2"), 3)], JobLimits(total=4))
    assert shares.by_uid == {"2": 3}
    assert shares.wanted == {"scoring": 3}


def test_shares_are_limited_by_namespace_and_by_the_total() -> None:
    demands = [(a_demand("1"), 9), (a_demand("2", "other"), 9)]
    assert JobShares.compute(demands, JobLimits(total=10)).by_uid == {"1": 5, "2": 5}
    assert JobShares.compute(demands, JobLimits(total=10, namespace=3)).by_uid == {"1": 3, "2": 3}


def test_demand_exceeds_the_total_or_the_limit_of_its_namespace() -> None:
    demands = [(a_demand("1"), 3), (a_demand("2", "other"), 1)]
    total = JobShares.compute(demands, JobLimits(total=5))
    assert not total.exceed_limits("scoring", further=1)
    assert total.exceed_limits("scoring", further=2)
    limited = JobShares.compute(demands, JobLimits(total=50, namespace=3))
    assert not limited.exceed_limits("scoring", further=0)
    assert limited.exceed_limits("scoring", further=1)
    assert not limited.exceed_limits("other", further=1)
    assert not limited.exceed_limits("third", further=3)
