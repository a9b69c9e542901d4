import pytest

from scoring_operator.api.intervals import Intervals
from scoring_operator.contract.outcome_message import OutcomeMessage, parse_outcome_message
from scoring_operator.planner.evaluation import MAX_ATTEMPTS, apply, evaluate
from scoring_operator.planner.job_results import JobResult
from tests.operator.builders import NOW, a_batch, a_message, a_progress


def positions(text: str) -> Intervals:
    return Intervals.parse(text)


def test_indexes_of_a_message_are_places_in_the_jobs_own_list() -> None:
    word = JobResult(message=parse_outcome_message(a_message(3, outcomes={"scored": "0,2", "empty": "1"}), 3))
    verdict = evaluate(a_batch("4,7-8"), word, completed=True, circuit_open=False)
    assert verdict.outcomes == {"scored": positions("4,8"), "empty": positions("7")}


def test_a_packed_job_that_died_is_split_in_half() -> None:
    verdict = evaluate(a_batch("0-4"), JobResult(failure_reason="OOMKilled"), completed=False, circuit_open=False)
    assert [(str(batch.positions), batch.round) for batch in verdict.retries] == [("0-2", 1), ("3-4", 1)]
    assert not verdict.outcomes


def test_the_only_device_without_a_word_stands_alone_before_it_fails() -> None:
    said = OutcomeMessage(outcomes={"scored": positions("0")})
    verdict = evaluate(
        a_batch("5-6"), JobResult(message=said, failure_reason="OOMKilled"), completed=False, circuit_open=False
    )
    assert verdict.outcomes == {"scored": positions("5")}
    assert [str(batch.positions) for batch in verdict.retries] == ["6"]


def test_a_device_alone_fails_for_its_pods_death() -> None:
    verdict = evaluate(
        a_batch("6", round=3),
        JobResult(failure_reason="OOMKilled", failure_detail="memory"),
        completed=False,
        circuit_open=False,
    )
    assert verdict.reasons == {"OOMKilled": positions("6")}
    assert verdict.failure_samples == ((6, "OOMKilled", "memory"),)


def test_wrong_configuration_is_not_tried_again() -> None:
    verdict = evaluate(
        a_batch("0-4"), JobResult(failure_reason="ConfigurationInvalid"), completed=False, circuit_open=False
    )
    assert verdict.reasons == {"ConfigurationInvalid": positions("0-4")}
    assert not verdict.retries


@pytest.mark.parametrize("word", [JobResult(missing=True), JobResult(failure_reason="JobLost"), JobResult()])
def test_a_lost_job_is_run_once_more_as_it_was_and_then_its_devices_are_lost(word: JobResult) -> None:
    first = evaluate(a_batch("0-4"), word, completed=not word.missing, circuit_open=False)
    assert [(str(batch.positions), batch.lost_jobs) for batch in first.retries] == [("0-4", 1)]
    second = evaluate(first.retries[0], word, completed=not word.missing, circuit_open=False)
    assert second.reasons == {"JobLost": positions("0-4")}


def test_something_passing_is_tried_a_bounded_number_of_times() -> None:
    batch, rounds = a_batch("0"), 0
    word = JobResult(failure_reason="StorageUnavailable")
    while (verdict := evaluate(batch, word, completed=False, circuit_open=False)).retries:
        batch, rounds = verdict.retries[0], rounds + 1
    assert rounds == MAX_ATTEMPTS - 1
    assert verdict.reasons == {"StorageUnavailable": positions("0")}


def test_a_probe_costs_no_try() -> None:
    verdict = evaluate(
        a_batch("0", attempts=2), JobResult(failure_reason="StorageUnavailable"), completed=False, circuit_open=True
    )
    assert verdict.retries[0].attempts == 2


def test_only_failures_in_a_row_open_the_breaker() -> None:
    transient = evaluate(
        a_batch("0"), JobResult(failure_reason="StorageUnavailable"), completed=False, circuit_open=False
    )
    good = evaluate(
        a_batch("1"), JobResult(message=parse_outcome_message(a_message(1), 1)), completed=True, circuit_open=False
    )
    progress = apply(a_progress(3), {"a": transient, "b": transient}, NOW)
    assert progress.consecutive_failures == 2
    assert apply(progress, {"c": good}, NOW).consecutive_failures == 0


def test_the_most_anomalous_devices_are_kept_in_order() -> None:
    verdicts = {}
    for at in range(30):
        said = parse_outcome_message(a_message(1, top=[[0, 100, at + 1]]), 1)
        verdicts[str(at)] = evaluate(a_batch(str(at)), JobResult(message=said), completed=True, circuit_open=False)
    progress = apply(a_progress(30), verdicts, NOW)
    assert progress.top_anomalies[0] == (29, 100, 30)
    assert len(progress.top_anomalies) == 20
    assert progress.results.rows == 30 * 60


def test_pod_seconds_are_added_up() -> None:
    verdict = evaluate(
        a_batch("0"), JobResult(failure_reason="OOMKilled", pod_seconds=7), completed=False, circuit_open=False
    )
    assert apply(apply(a_progress(3), {"a": verdict}, NOW), {"b": verdict}, NOW).pod_seconds == 14
