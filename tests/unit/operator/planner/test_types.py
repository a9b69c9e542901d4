import pytest

from scoring_operator.planner.types import JobSnapshot, PlannerLimits
from tests.testkit.builders import a_job

JOBS = {
    "running": a_job("running"),
    "complete": a_job("complete", complete=True),
    "failed": a_job("failed", failed=True),
}
SNAPSHOT = JobSnapshot(JOBS, assumed=frozenset({"assumed", "complete"}), seen=frozenset({"seen"}))


@pytest.mark.parametrize(
    ("name", "active", "exists"),
    [
        ("running", True, True),
        ("complete", False, True),
        ("failed", True, True),
        ("assumed", True, True),
        ("seen", False, False),
        ("unknown", False, False),
    ],
)
def test_job_is_active_until_it_is_complete_and_exists_while_it_is_known(
    name: str,
    active: bool,  # noqa: FBT001  # a table
    exists: bool,  # noqa: FBT001  # a table
) -> None:
    assert (SNAPSHOT.is_active(name), SNAPSHOT.exists(name)) == (active, exists)


def test_limits_of_the_planner_have_these_defaults() -> None:
    assert PlannerLimits() == PlannerLimits(
        max_auto_jobs=2000, max_finished_jobs=10_000, cleanup_delay=60.0, deletes_per_second=10
    )
