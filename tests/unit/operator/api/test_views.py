import msgspec
import pytest

from scoring_operator.api.conditions import Condition
from scoring_operator.api.views import ContainerState, JobStatusView, JobView, PodView
from tests.testkit.builders import a_job, a_pod


def test_job_has_the_uid_of_its_first_owner() -> None:
    assert a_job("job-1", owner="some-uid").owner_uid == "some-uid"
    assert (JobView().owner_uid, a_job("job-1").name) == ("", "job-1")


@pytest.mark.parametrize(
    ("job", "finished"),
    [(a_job(), False), (a_job(ready=True), False), (a_job(complete=True), True), (a_job(failed=True), True)],
)
def test_job_is_finished_by_its_conditions(job: JobView, finished: bool) -> None:  # noqa: FBT001  # a table
    assert job.finished is finished


def test_job_is_complete_by_its_condition() -> None:
    assert [job.complete for job in (a_job(), a_job(failed=True), a_job(complete=True))] == [False, False, True]


def test_job_with_foreign_fields_is_not_finished() -> None:
    job = msgspec.json.decode(b'{"finished": true, "complete": true}', type=JobView)
    assert (job.finished, job.complete) == (False, False)


def test_job_with_counters_but_no_condition_is_not_finished() -> None:
    suspended = Condition("Suspended", "True")
    assert not JobView(status=JobStatusView(succeeded=1, conditions=(suspended,))).finished


@pytest.mark.parametrize(
    ("counters", "started"),
    [({}, False), ({"active": 1}, False), ({"ready": 1}, True), ({"succeeded": 1}, True), ({"failed": 1}, True)],
)
def test_pod_of_a_job_has_started_once_it_is_ready_or_ended(counters: dict[str, int], started: bool) -> None:  # noqa: FBT001  # a table
    status = msgspec.convert(counters, JobStatusView)
    assert JobView(status=status).pod_started is started


def test_pod_has_the_state_of_its_scorer_container() -> None:
    ended = a_pod(code=75).scorer.terminated
    assert ended is not None
    assert ended.exit_code == 75
    assert PodView().scorer == ContainerState()


def test_job_of_the_api_server_is_decoded() -> None:
    job = msgspec.json.decode(
        b"""{"metadata": {"name": "a", "labels": {"fleetscore.dev/run": "hourly", "other": "x"}, "generation": 1},
        "spec": {"suspend": true, "parallelism": 1},
        "status": {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "t"}]}}""",
        type=JobView,
    )
    assert (job.name, job.metadata.labels.run, job.spec.suspend) == ("a", "hourly", True)
    assert job.true_condition("Complete") == Condition("Complete", "True", last_transition_time="t")
    assert job.true_condition("Failed") is None
