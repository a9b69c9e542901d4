import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.intervals import ArgIndexes
from scoring_operator.contract.outcome_message import REASONS, Results, parse_outcome_message, sanitize
from tests.testkit.builders import a_message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.fault("T18")
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
def test_inconsistent_message_is_ignored(raw: str | bytes) -> None:
    assert parse_outcome_message(raw, 1) is None


@pytest.mark.fault("T18")
@given(st.dictionaries(st.sampled_from(["outcomes", "reasons", "transient", "rows", "top", "samples"]), JSON))
def test_malformed_message_never_counts_a_device_twice(malformed: dict[str, object]) -> None:
    found = parse_outcome_message(a_message(3, **malformed), 3)
    if found is not None:
        assert sum(map(len, [*found.outcomes.values(), *found.transient.values()])) <= 3
        assert set(found.reasons) <= set(REASONS)


def test_failed_device_without_a_known_reason_has_reason_unknown() -> None:
    found = parse_outcome_message(a_message(2, outcomes={"failed": "0-1"}, reasons={"Invented": "0"}), 2)
    assert found is not None
    assert found.reasons == {"Unknown": ArgIndexes.parse("0-1")}


@pytest.mark.fault("T9")
def test_samples_have_no_control_characters_and_at_most_200_others() -> None:
    found = parse_outcome_message(a_message(1, samples=[[0, "Invented", "a\x1b[31mb\n" + "c" * 999]]), 1)
    assert found is not None
    index, reason, message = found.failure_samples[0]
    assert (index, reason, message[:7], len(message)) == (0, "Unknown", "a [31mb", 200)


def test_reasons_of_other_devices_and_malformed_samples_are_dropped() -> None:
    found = parse_outcome_message(
        a_message(
            2, reasons={"DataInvalid": "1"}, samples=[[9, "DataInvalid", "x"], 3, [0]], top=[[0, 9, 0], [7, 1, 1]]
        ),
        2,
    )
    assert found is not None
    assert (found.reasons, found.failure_samples, found.top_anomalies) == ({}, (), ())


def test_message_has_at_most_five_top_anomalies_and_twenty_samples() -> None:
    raw = a_message(
        100,
        top=[[at, 60, 100 - at] for at in range(30)],
        samples=[[at, "DataInvalid", "no rows"] for at in range(50)],
    )
    found = parse_outcome_message(raw, 100)
    assert found is not None
    assert found.top_anomalies == tuple((at, 60, 100 - at) for at in range(5))
    assert found.failure_samples == tuple((at, "DataInvalid", "no rows") for at in range(20))


def test_message_cannot_have_more_anomalous_devices_than_scored_ones() -> None:
    raw = a_message(3, outcomes={"scored": "0", "partial": "1", "empty": "2"}, anomalousDevices=3)
    found = parse_outcome_message(raw, 3)
    assert found is not None
    assert found.results.anomalous_devices == 2


def test_message_is_complete_with_an_outcome_or_a_transient_reason_for_each_device() -> None:
    found = parse_outcome_message(a_message(3, outcomes={"scored": "0"}, transient={"StorageUnavailable": "2"}), 3)
    assert found is not None
    assert found.is_complete_for(2)
    assert not found.is_complete_for(3)


def test_empty_sets_are_dropped() -> None:
    found = parse_outcome_message(a_message(1, outcomes={"scored": "0", "failed": ""}, reasons={"Unknown": ""}), 1)
    assert found is not None
    assert (set(found.outcomes), found.reasons) == ({"scored"}, {})


def test_results_are_added_field_by_field() -> None:
    assert Results(1, 2, 3, 4, 5) + Results(10, 20, 30, 40, 50) == Results(11, 22, 33, 44, 55)


def test_sanitized_text_is_printable_and_has_200_characters() -> None:
    assert sanitize(" a\x00b\u202e" + "c" * 300) == "a b " + "c" * 195


def test_reasons_are_the_closed_list() -> None:
    assert set(REASONS) == {
        *("ModelNotFound", "ModelInvalid", "ModelRejected", "ModelIncompatible", "DataInvalid", "DataTooLarge"),
        *("DeadlineExceeded", "OOMKilled", "Evicted", "ImagePull", "StorageUnavailable", "IdentityUnavailable"),
        *("ConfigurationInvalid", "JobLost", "Unknown"),
    }


@pytest.mark.parametrize(("rows", "valid"), [(10**15, True), (10**15 + 1, False)])
def test_count_is_at_most_a_quadrillion(rows: int, valid: bool) -> None:  # noqa: FBT001  # a table
    assert (parse_outcome_message(a_message(1, rows=rows), 1) is not None) is valid
