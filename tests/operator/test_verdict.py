import pytest

from scoring_operator.api.intervals import Intervals
from scoring_operator.contract.outcome_message import Said, read_message
from scoring_operator.planner.evaluation import MOST_TRIES, judge, record
from scoring_operator.planner.job_results import Word
from tests.operator.builders import NOW, a_batch, a_message, a_progress


def positions(text: str) -> Intervals:
    return Intervals.parse(text)


def test_indexes_of_a_message_are_places_in_the_jobs_own_list() -> None:
    word = Word(said=read_message(a_message(3, outcomes={"scored": "0,2", "empty": "1"}), 3))
    verdict = judge(a_batch("4,7-8"), word, completed=True, probing=False)
    assert verdict.outcomes == {"scored": positions("4,8"), "empty": positions("7")}


def test_a_packed_job_that_died_is_split_in_half() -> None:
    verdict = judge(a_batch("0-4"), Word(death="OOMKilled"), completed=False, probing=False)
    assert [(str(batch.positions), batch.round) for batch in verdict.again] == [("0-2", 1), ("3-4", 1)]
    assert not verdict.outcomes


def test_the_only_device_without_a_word_stands_alone_before_it_fails() -> None:
    said = Said(outcomes={"scored": positions("0")})
    verdict = judge(a_batch("5-6"), Word(said=said, death="OOMKilled"), completed=False, probing=False)
    assert verdict.outcomes == {"scored": positions("5")}
    assert [str(batch.positions) for batch in verdict.again] == ["6"]


def test_a_device_alone_fails_for_its_pods_death() -> None:
    verdict = judge(a_batch("6", round=3), Word(death="OOMKilled", detail="memory"), completed=False, probing=False)
    assert verdict.reasons == {"OOMKilled": positions("6")}
    assert verdict.samples == ((6, "OOMKilled", "memory"),)


def test_wrong_configuration_is_not_tried_again() -> None:
    verdict = judge(a_batch("0-4"), Word(death="ConfigurationInvalid"), completed=False, probing=False)
    assert verdict.reasons == {"ConfigurationInvalid": positions("0-4")}
    assert not verdict.again


@pytest.mark.parametrize("word", [Word(absent=True), Word(death="JobLost"), Word()])
def test_a_lost_job_is_run_once_more_as_it_was_and_then_its_devices_are_lost(word: Word) -> None:
    first = judge(a_batch("0-4"), word, completed=not word.absent, probing=False)
    assert [(str(batch.positions), batch.losses) for batch in first.again] == [("0-4", 1)]
    second = judge(first.again[0], word, completed=not word.absent, probing=False)
    assert second.reasons == {"JobLost": positions("0-4")}


def test_something_passing_is_tried_a_bounded_number_of_times() -> None:
    batch, rounds = a_batch("0"), 0
    word = Word(death="StorageUnavailable")
    while (verdict := judge(batch, word, completed=False, probing=False)).again:
        batch, rounds = verdict.again[0], rounds + 1
    assert rounds == MOST_TRIES - 1
    assert verdict.reasons == {"StorageUnavailable": positions("0")}


def test_a_probe_costs_no_try() -> None:
    verdict = judge(a_batch("0", tries=2), Word(death="StorageUnavailable"), completed=False, probing=True)
    assert verdict.again[0].tries == 2


def test_only_failures_in_a_row_open_the_breaker() -> None:
    passing = judge(a_batch("0"), Word(death="StorageUnavailable"), completed=False, probing=False)
    good = judge(a_batch("1"), Word(said=read_message(a_message(1), 1)), completed=True, probing=False)
    progress = record(a_progress(3), {"a": passing, "b": passing}, NOW)
    assert progress.streak == 2
    assert record(progress, {"c": good}, NOW).streak == 0


def test_the_most_anomalous_devices_are_kept_in_order() -> None:
    verdicts = {}
    for at in range(30):
        said = read_message(a_message(1, top=[[0, 100, at + 1]]), 1)
        verdicts[str(at)] = judge(a_batch(str(at)), Word(said=said), completed=True, probing=False)
    progress = record(a_progress(30), verdicts, NOW)
    assert progress.top[0] == (29, 100, 30)
    assert len(progress.top) == 20
    assert progress.results.rows == 30 * 60


def test_pod_seconds_are_added_up() -> None:
    verdict = judge(a_batch("0"), Word(death="OOMKilled", seconds=7), completed=False, probing=False)
    assert record(record(a_progress(3), {"a": verdict}, NOW), {"b": verdict}, NOW).pod_seconds == 14
