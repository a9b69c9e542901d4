import pytest
from msgspec import structs

from scoring_operator.api.conditions import Condition
from scoring_operator.api.intervals import ArgIndex, ArgIndexes
from scoring_operator.api.views import ContainerView, JobStatusView, JobView, PodStatusView, PodView
from scoring_operator.contract.outcome_message import REASONS
from scoring_operator.planner.job_results import (
    PODS_DELETED,
    TRANSIENT_REASONS,
    JobResult,
    report_result,
    result_from_pods,
    unfinished_report_result,
    unfinished_result,
    with_job_failure,
)
from tests.testkit.builders import a_container, a_message, a_pod, a_pod_of, a_report_message


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (a_pod(code=137, reason="OOMKilled"), "OOMKilled"),
        (a_pod(code=64), "ConfigurationInvalid"),
        (a_pod(code=75), "StorageUnavailable"),
        (a_pod(code=139), "Unknown"),
        (a_pod(code=1, message="Traceback"), "Unknown"),
        (a_pod(pod_reason="DeadlineExceeded"), "DeadlineExceeded"),
        (a_pod(pod_reason="Evicted"), "Evicted"),
        (a_pod(pod_reason="DeadlineExceeded", waiting="ImagePullBackOff"), "ImagePull"),
    ],
)
def test_pod_without_a_message_has_a_failure_reason(pod: PodView, reason: str) -> None:
    assert result_from_pods([pod], 1).failure_reason == reason


def test_job_without_pods_is_lost() -> None:
    assert result_from_pods([], 1).failure_reason == "JobLost"


def test_lost_job_has_the_cause_that_the_job_controller_reports() -> None:
    failed = Condition("Failed", "True", "DeadlineExceeded", "Job was active longer than specified deadline")
    job = JobView(status=JobStatusView(conditions=(failed,)))
    lost = with_job_failure(result_from_pods([], 1), job)
    assert lost.failure_detail == f"{PODS_DELETED}: DeadlineExceeded: {failed.message}"
    assert with_job_failure(lost, job) is lost
    assert with_job_failure(result_from_pods([], 1), JobView()).failure_detail == PODS_DELETED


def test_newest_message_is_the_jobs() -> None:
    old = a_pod(code=75, message=a_message(1, outcomes={}, transient={"StorageUnavailable": "0"}))
    new = a_pod(message=a_message(1), created="2026-11-24T12:05:00Z")
    result = result_from_pods([new, old], 1)
    assert result.message is not None
    assert result.message.outcomes == {"scored": ArgIndexes.parse("0")}
    assert result.message.is_complete_for(1)
    assert result.failure_reason == ""


def test_earlier_message_is_kept_with_the_failure_of_the_last_pod() -> None:
    old = a_pod(code=75, message=a_message(2, outcomes={"scored": "0"}))
    dead = a_pod(code=137, reason="OOMKilled", created="2026-11-24T12:05:00Z")
    result = result_from_pods([old, dead], 2)
    assert result.message is not None
    assert result.message.outcomes == {"scored": ArgIndexes.from_positions([ArgIndex(0)])}
    assert result.failure_reason == "OOMKilled"


def test_transient_reasons_are_in_the_closed_list() -> None:
    assert set(REASONS) > TRANSIENT_REASONS


@pytest.mark.parametrize(
    ("log", "detail"),
    [
        ('{"level":"info","message":"read 3"}\n{"level":"error","message":"no such container"}\n', "no such container"),
        ("Traceback\n  ...\nMemoryError\n", "MemoryError"),
        ('{"level":"error"}', '{"level":"error"}'),
        ('{"message":{}}', '{"message":{}}'),
        ("[" * 9999, f"{'[' * 129} ... {'[' * 266}"),
        (" \n", "exit code 75 without a message"),
        ("", "exit code 75 without a message"),
    ],
)
def test_failure_of_a_report_is_the_last_line_of_its_log(log: str, detail: str) -> None:
    result = report_result([a_pod(created="2026-11-24T12:00:00Z", code=1), a_pod(code=75, message=log)])
    assert (result.failure_reason, result.failure_detail) == ("StorageUnavailable", detail)


@pytest.mark.parametrize("pods", [[], [a_pod(pod_reason="Evicted")]])
def test_failure_of_a_report_without_a_log_is_that_of_its_pod(pods: list[PodView]) -> None:
    assert report_result(pods).failure_reason == ("Evicted" if pods else "JobLost")


def test_pod_without_a_container_state_has_reason_unknown() -> None:
    assert result_from_pods([PodView(status=PodStatusView(phase="Failed"))], 1).failure_reason == "Unknown"


def test_invalid_start_time_is_none() -> None:
    assert result_from_pods([a_pod(started="soon", message=a_message(1))], 1).started_at is None


def test_pod_seconds_of_a_job_are_summed() -> None:
    pods = [
        a_pod(code=75),
        a_pod(code=75, started="2026-11-24T12:01:00Z", finished="2026-11-24T12:02:00Z"),
        a_pod(finished=None),
        a_pod(pod_reason="Evicted"),
        a_pod(message=a_message(1), started="2026-11-24T12:00:10Z"),
    ]
    assert result_from_pods(pods, 1).pod_seconds == 7 + 60


SIDECAR = a_container("mesh-proxy")


def test_ended_scorer_of_a_pod_that_still_runs_is_the_result_of_its_job() -> None:
    result = unfinished_result([a_pod_of(a_container(code=0, message=a_message(1)), SIDECAR, phase="Running")], 1)
    assert result is not None
    assert result.message is not None
    assert result.ended


def test_failed_scorer_of_a_pod_that_still_runs_has_its_failure() -> None:
    result = unfinished_result([a_pod_of(a_container(code=1, message="MemoryError"), SIDECAR, phase="Running")], 1)
    assert result is not None
    assert (result.ended, result.failure_detail) == (True, "exit code 1: MemoryError")


def deleting(*containers: ContainerView) -> PodView:
    """Return a pod that is evicted: its sidecar has not ended."""
    pod = a_pod_of(*containers, SIDECAR, phase="Running")
    return structs.replace(pod, metadata=structs.replace(pod.metadata, deletion_timestamp="2026-11-24T12:00:30Z"))


@pytest.mark.parametrize("code", [1, 75, 137, 143])
@pytest.mark.parametrize("message", ["", a_message(2, outcomes={"scored": "0"})], ids=["none", "part"])
def test_job_replaces_an_evicted_pod_whose_scorer_ended_before_its_sidecar(code: int, message: str) -> None:
    pod = deleting(a_container(code=code, message=message))
    assert unfinished_result([pod], 2) == JobResult(provisional=True)
    assert unfinished_report_result([pod]) is None


def test_complete_message_of_an_evicted_pod_is_the_result_of_its_job() -> None:
    result = unfinished_result([deleting(a_container(code=0, message=a_message(2)))], 2)
    assert result is not None
    assert (result.ended, result.message is not None) == (True, True)
    report = unfinished_report_result([deleting(a_container(code=0, message=a_report_message()))])
    assert report is not None
    assert (report.ended, report.report is not None) == (True, True)


def test_running_scorer_has_only_a_start() -> None:
    result = unfinished_result([a_pod_of(a_container(), SIDECAR, phase="Running")], 1)
    assert result == JobResult(provisional=True)


@pytest.mark.parametrize(
    "pods", [[], [a_pod_of(a_container(waiting="PodInitializing"))], [a_pod(code=75)]], ids=["no pod", "waits", "ended"]
)
def test_job_without_a_started_scorer_has_no_result(pods: list[PodView]) -> None:
    assert unfinished_result(pods, 1) is None


def test_result_of_a_report_is_the_message_of_its_last_pod() -> None:
    failed = a_pod(created="2026-11-24T12:00:00Z", code=75, message=a_report_message(problems=1))
    result = report_result([failed, a_pod(message=a_report_message(problems=2))])
    assert result.report is not None
    assert (result.report.problems, result.failure_reason) == (2, "")
    assert report_result([failed]).report is None  # the end of a log may look like a result


@pytest.mark.parametrize(
    ("containers", "reason"),
    [
        ([a_container(code=0, message=a_report_message()), SIDECAR], ""),
        ([a_container(code=0, message=a_report_message())], ""),
        ([a_container(code=75, message="503"), SIDECAR], "StorageUnavailable"),
        ([a_container(code=75, message="503")], None),
        ([a_container(), SIDECAR], None),
    ],
    ids=["written", "written, native sidecar", "failed", "failed, native sidecar", "running"],
)
def test_report_next_to_a_sidecar_has_its_result(containers: list[ContainerView], reason: str | None) -> None:
    result = unfinished_report_result([a_pod_of(*containers, phase="Running")])
    assert (result.failure_reason if result else None) == reason
    assert result is None or (result.ended and (result.report is None) is bool(reason))


def test_completed_report_with_an_invalid_message_has_no_result() -> None:
    assert report_result([a_pod(message="{}")]).report is None
