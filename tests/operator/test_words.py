import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.intervals import Intervals
from scoring_operator.api.views import ConditionView, ContainerState, PodStatusView, PodView
from scoring_operator.contract.outcome_message import REASONS, parse_outcome_message
from scoring_operator.planner.job_results import TRANSIENT_REASONS, last_pod_failure, pending_reason, result_from_pods
from tests.operator.builders import a_message, a_pod

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "killed",
        "{",
        "[]",
        "null",
        '{"v":1}',
        a_message(2),
        a_message(1, v=2),
        a_message(1, outcomes={"scored": "0-1"}),
        a_message(1, outcomes={"scored": "0", "failed": "0"}),
        a_message(1, outcomes={"scored": "0"}, transient={"StorageUnavailable": "0"}),
        a_message(1, outcomes={"invented": "0"}),
        a_message(1, outcomes={"scored": 0}),
        a_message(1, outcomes={"scored": "all"}),
        a_message(1, outcomes=[]),
        a_message(1, rows=-1),
        a_message(1, rows="60"),
        a_message(1, rows=True),
        a_message(1, anomalies=10**16),
        b"\xff\xfe",
        "[" * 100_000,
    ],
)
def test_a_message_that_does_not_hold_together_is_no_word(raw: str | bytes) -> None:
    assert parse_outcome_message(raw, 1) is None


@pytest.mark.fault("T18")
@given(st.dictionaries(st.sampled_from(["outcomes", "reasons", "transient", "rows", "top", "samples"]), JSON))
def test_rubbish_never_breaks_the_reader_and_never_counts_a_device_twice(rubbish: dict[str, object]) -> None:
    said = parse_outcome_message(a_message(3, **rubbish), 3)
    if said is not None:
        assert sum(map(len, [*said.outcomes.values(), *said.transient.values()])) <= 3
        assert set(said.reasons) <= set(REASONS)


def test_a_failed_device_without_a_known_reason_failed_for_unknown() -> None:
    said = parse_outcome_message(a_message(2, outcomes={"failed": "0-1"}, reasons={"Invented": "0"}), 2)
    assert said is not None
    assert said.reasons == {"Unknown": Intervals.parse("0-1")}


@pytest.mark.fault("T9")
def test_samples_lose_what_a_terminal_would_obey() -> None:
    said = parse_outcome_message(a_message(1, samples=[[0, "Invented", "a\x1b[31mb\n" + "c" * 999]]), 1)
    assert said is not None
    index, reason, message = said.failure_samples[0]
    assert (index, reason, message[:7], len(message)) == (0, "Unknown", "a [31mb", 200)


@pytest.mark.parametrize(
    ("pod", "death"),
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
def test_a_pod_that_left_no_message_has_a_typed_death(pod: PodView, death: str) -> None:
    assert result_from_pods([pod], 1).failure_reason == death


def test_a_job_whose_pods_are_gone_is_lost() -> None:
    assert result_from_pods([], 1).failure_reason == "JobLost"


def test_the_newest_message_speaks_for_the_job() -> None:
    old = a_pod(code=75, message=a_message(1, outcomes={}, transient={"StorageUnavailable": "0"}))
    new = a_pod(message=a_message(1), created="2026-11-24T12:05:00Z")
    word = result_from_pods([new, old], 1)
    assert word.message is not None
    assert word.message.is_complete_for(1)
    assert word.failure_reason == ""


def test_an_earlier_message_counts_where_the_last_pod_died_and_its_death_stands_beside_it() -> None:
    old = a_pod(code=75, message=a_message(2, outcomes={"scored": "0"}))
    dead = a_pod(code=137, reason="OOMKilled", created="2026-11-24T12:05:00Z")
    word = result_from_pods([old, dead], 2)
    assert word.message is not None
    assert word.message.outcomes == {"scored": Intervals.from_positions([0])}
    assert word.failure_reason == "OOMKilled"


def test_why_pods_wait_is_what_their_container_says() -> None:
    assert pending_reason([a_pod(waiting="CreateContainerConfigError")]) == (
        "CreateContainerConfigError",
        "CreateContainerConfigError says why",
    )
    assert pending_reason([a_pod(waiting="ContainerCreating")]) is None
    assert a_pod(waiting="ContainerCreating").scorer != ContainerState()


def test_passing_reasons_are_reasons() -> None:
    assert set(REASONS) > TRANSIENT_REASONS


@pytest.mark.parametrize(
    ("log", "detail"),
    [
        ('{"level":"info","message":"read 3"}\n{"level":"error","message":"no such container"}\n', "no such container"),
        ("Traceback\n  ...\nMemoryError\n", "MemoryError"),
        ('{"level":"error"}', '{"level":"error"}'),
        ('{"message":{}}', '{"message":{}}'),
        ("[" * 9999, "[" * 200),
        (" \n", "exit code 75 without a message"),
        ("", "exit code 75 without a message"),
    ],
)
def test_a_reports_last_line_says_why_it_failed(log: str, detail: str) -> None:
    word = last_pod_failure([a_pod(created="2026-11-24T12:00:00Z", code=1), a_pod(code=75, message=log)])
    assert (word.failure_reason, word.failure_detail) == ("StorageUnavailable", detail)


@pytest.mark.parametrize("pods", [[], [a_pod(pod_reason="Evicted")]])
def test_a_report_whose_pods_say_nothing_failed_for_how_they_ended(pods: list[PodView]) -> None:
    assert last_pod_failure(pods).failure_reason == ("Evicted" if pods else "JobLost")


def a_waiting_pod(**condition: str) -> PodView:
    return PodView(status=PodStatusView(phase="Pending", conditions=(ConditionView(**condition),)))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no nodes"},
            "Unschedulable",
        ),
        ({"type": "PodScheduled", "status": "False"}, "Unschedulable"),
        ({"type": "PodScheduled", "status": "True"}, None),
        ({"type": "Ready", "status": "False", "reason": "ContainersNotReady"}, None),
    ],
)
def test_what_the_scheduler_says_is_why_a_pod_waits(condition: dict[str, str], expected: str | None) -> None:
    found = pending_reason([a_waiting_pod(**condition)])
    assert (found[0] if found else None) == expected


def test_a_pod_that_ended_without_its_containers_state_died_of_something_unknown() -> None:
    assert result_from_pods([PodView(status=PodStatusView(phase="Failed"))], 1).failure_reason == "Unknown"


def test_reasons_of_devices_that_did_not_fail_are_dropped_and_so_are_rubbish_samples() -> None:
    said = parse_outcome_message(
        a_message(
            2, reasons={"DataInvalid": "1"}, samples=[[9, "DataInvalid", "x"], 3, [0]], top=[[0, 9, 0], [7, 1, 1]]
        ),
        2,
    )
    assert said is not None
    assert (said.reasons, said.failure_samples, said.top_anomalies) == ({}, (), ())


def test_a_start_that_is_no_time_is_none() -> None:
    assert result_from_pods([a_pod(started="soon", message=a_message(1))], 1).started_at is None


def test_the_seconds_of_all_pods_of_a_job_are_added_up() -> None:
    pods = [
        a_pod(code=75),
        a_pod(code=75, started="2026-11-24T12:01:00Z", finished="2026-11-24T12:02:00Z"),
        a_pod(finished=None),
        a_pod(pod_reason="Evicted"),
        a_pod(message=a_message(1), started="2026-11-24T12:00:10Z"),
    ]
    assert result_from_pods(pods, 1).pod_seconds == 7 + 60
