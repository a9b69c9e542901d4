from dataclasses import replace

import pytest

from scoring_operator.api.intervals import ArgIndexes, Positions
from scoring_operator.contract.outcome_message import OutcomeMessage, Results, parse_outcome_message
from scoring_operator.planner.evaluation import apply, evaluate
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.progress_codec import decode_progress, encode_progress
from tests.testkit.builders import NOW, a_batch, a_message, a_progress, later


def positions(text: str) -> Positions:
    return Positions.parse(text)


def test_argument_indexes_become_positions() -> None:
    result = JobResult(message=parse_outcome_message(a_message(3, outcomes={"scored": "0,2", "empty": "1"}), 3))
    evaluation = evaluate(a_batch("4,7-8"), result, completed=True, circuit_open=False)
    assert evaluation.outcomes == {"scored": positions("4,8"), "empty": positions("7")}


def test_failed_job_with_several_devices_is_split_in_half() -> None:
    evaluation = evaluate(a_batch("0-4"), JobResult(failure_reason="OOMKilled"), completed=False, circuit_open=False)
    assert [(str(batch.positions), batch.round) for batch in evaluation.retries] == [("0-2", 1), ("3-4", 1)]
    assert not evaluation.outcomes


def test_only_unreported_device_is_retried_alone() -> None:
    message = OutcomeMessage(outcomes={"scored": ArgIndexes.parse("0")})
    evaluation = evaluate(
        a_batch("5-6"), JobResult(message=message, failure_reason="OOMKilled"), completed=False, circuit_open=False
    )
    assert evaluation.outcomes == {"scored": positions("5")}
    assert [str(batch.positions) for batch in evaluation.retries] == ["6"]


def test_loss_of_a_replaced_job_does_not_count() -> None:
    batch = a_batch("0", lost_jobs=1, round=4, created=True, replaced=True)
    (following,) = evaluate(batch, JobResult(missing=True), completed=False, circuit_open=False).retries
    assert (following.round, following.lost_jobs, following.created, following.replaced) == (5, 1, False, False)


def test_single_device_fails_with_the_reason_of_its_pod() -> None:
    evaluation = evaluate(
        a_batch("6", round=3),
        JobResult(failure_reason="OOMKilled", failure_detail="memory"),
        completed=False,
        circuit_open=False,
    )
    assert evaluation.reasons == {"OOMKilled": positions("6")}
    assert evaluation.failure_samples == ((6, "OOMKilled", "memory"),)


def test_invalid_configuration_is_not_retried() -> None:
    evaluation = evaluate(
        a_batch("0-4"), JobResult(failure_reason="ConfigurationInvalid"), completed=False, circuit_open=False
    )
    assert evaluation.reasons == {"ConfigurationInvalid": positions("0-4")}
    assert not evaluation.retries


@pytest.mark.parametrize("result", [JobResult(missing=True), JobResult(failure_reason="JobLost"), JobResult()])
def test_lost_job_is_retried_once_and_then_its_devices_fail(result: JobResult) -> None:
    first = evaluate(a_batch("0-4"), result, completed=not result.missing, circuit_open=False)
    assert [(str(batch.positions), batch.lost_jobs) for batch in first.retries] == [("0-4", 1)]
    second = evaluate(first.retries[0], result, completed=not result.missing, circuit_open=False)
    assert second.reasons == {"JobLost": positions("0-4")}


def test_transient_failure_has_three_attempts() -> None:
    batch, rounds = a_batch("0"), 0
    result = JobResult(failure_reason="StorageUnavailable")
    while (evaluation := evaluate(batch, result, completed=False, circuit_open=False)).retries:
        batch, rounds = evaluation.retries[0], rounds + 1
    assert rounds == 2
    assert evaluation.reasons == {"StorageUnavailable": positions("0")}


def test_probe_with_an_open_circuit_is_not_an_attempt() -> None:
    evaluation = evaluate(
        a_batch("0", attempts=2), JobResult(failure_reason="StorageUnavailable"), completed=False, circuit_open=True
    )
    assert evaluation.retries[0].attempts == 2


def test_success_resets_the_consecutive_failures() -> None:
    transient = evaluate(
        a_batch("0"), JobResult(failure_reason="StorageUnavailable"), completed=False, circuit_open=False
    )
    good = evaluate(
        a_batch("1"), JobResult(message=parse_outcome_message(a_message(1), 1)), completed=True, circuit_open=False
    )
    progress = apply(a_progress(3), {"a": transient, "b": transient}, NOW)
    assert (progress.consecutive_failures, progress.transient_reason) == (2, "StorageUnavailable")
    assert apply(progress, {"c": good}, NOW).consecutive_failures == 0


@pytest.mark.parametrize(
    ("reported", "reason", "expected"),
    [
        ("IdentityUnavailable", "", "IdentityUnavailable"),
        ("Unknown", "", "StorageUnavailable"),
        ("", "ImagePull", "ImagePull"),
        ("", "OOMKilled", ""),
    ],
)
def test_transient_reason_is_one_of_the_known_ones(reported: str, reason: str, expected: str) -> None:
    message = OutcomeMessage(outcomes={}, transient={reported: ArgIndexes.parse("0")}) if reported else None
    result = JobResult(message=message, failure_reason=reason)
    found = evaluate(a_batch("0"), result, completed=False, circuit_open=False)
    assert found.transient_reason == expected


def test_twenty_most_anomalous_devices_are_kept_in_order() -> None:
    evaluations = {}
    for at in range(30):
        message = parse_outcome_message(a_message(1, top=[[0, 100, at + 1]]), 1)
        evaluations[str(at)] = evaluate(
            a_batch(str(at)), JobResult(message=message), completed=True, circuit_open=False
        )
    progress = apply(a_progress(30), evaluations, NOW)
    assert progress.top_anomalies[0] == (29, 100, 30)
    assert len(progress.top_anomalies) == 20
    assert progress.results.rows == 30 * 60


def test_pod_seconds_are_summed() -> None:
    evaluation = evaluate(
        a_batch("0"), JobResult(failure_reason="OOMKilled", pod_seconds=7), completed=False, circuit_open=False
    )
    assert apply(apply(a_progress(3), {"a": evaluation}, NOW), {"b": evaluation}, NOW).pod_seconds == 14


def test_sums_of_hostile_results_stay_in_the_range_that_progress_may_have() -> None:
    counts = dict.fromkeys(("rows", "badRows", "unscoredRows", "anomalies", "anomalousDevices"), 10**15)
    result = JobResult(message=parse_outcome_message(a_message(1, **counts), 1), pod_seconds=10**15)
    batches = {str(at): a_batch(str(at)) for at in range(12)}
    progress = replace(a_progress(12), open_batches=batches, waiting=positions(""))
    evaluations = {name: evaluate(batch, result, completed=True, circuit_open=False) for name, batch in batches.items()}
    progress = apply(progress, evaluations, NOW)
    assert progress.results == Results(2**53, 2**53, 2**53, 2**53, 12)
    assert progress.pod_seconds == 2**53
    assert decode_progress(encode_progress(progress)) == progress


def test_failure_of_a_transient_device_keeps_the_outcomes_of_the_others() -> None:
    raw = a_message(3, outcomes={"scored": "0"}, transient={"StorageUnavailable": "1-2"})
    result = JobResult(message=parse_outcome_message(raw, 3))
    evaluation = evaluate(a_batch("4-6"), result, completed=False, circuit_open=False)
    assert evaluation.outcomes == {"scored": positions("4")}
    assert [(str(batch.positions), batch.round, batch.attempts) for batch in evaluation.retries] == [("5-6", 1, 1)]
    assert evaluation.transient_reason == "StorageUnavailable"


def test_twenty_failure_samples_are_kept() -> None:
    result = JobResult(failure_reason="OOMKilled", failure_detail="memory")
    evaluations = {str(at): evaluate(a_batch(str(at)), result, completed=False, circuit_open=False) for at in range(30)}
    progress = apply(a_progress(30), evaluations, NOW)
    assert progress.failure_samples == tuple((at, "OOMKilled", "memory") for at in range(20))


def test_time_of_the_last_progress_is_that_of_the_last_outcome() -> None:
    failed = evaluate(a_batch("0"), JobResult(failure_reason="StorageUnavailable"), completed=False, circuit_open=False)
    scored = evaluate(
        a_batch("1"), JobResult(message=parse_outcome_message(a_message(1), 1)), completed=True, circuit_open=False
    )
    progress = apply(a_progress(3), {"a": scored}, later(5))
    assert progress.clock.progressed == later(5)
    assert apply(progress, {"b": failed}, later(9)).clock.progressed == later(5)


def test_evaluation_closes_its_batch_and_queues_the_retries() -> None:
    lost = evaluate(a_batch("0"), JobResult(missing=True), completed=False, circuit_open=False)
    open_batches = {"a": a_batch("0"), "b": a_batch("1")}
    progress = apply(replace(a_progress(3), open_batches=open_batches), {"a": lost}, NOW)
    assert progress.open_batches == {"b": a_batch("1")}
    assert progress.queued_batches == (a_batch("0", round=1, lost_jobs=1),)
