"""The metadata of predictions, and the state of an existing blob."""

import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.contract.outcome_message import RowCounts
from device_scorer.scoring import predictions
from device_scorer.scoring.predictions import MAX_COUNT_DIGITS, MAX_VALUE_CHARS, ExistingState, InputVersions
from device_scorer.store.base import BlobInfo
from tests.testkit.scorer_fleet import WINDOW

INPUTS = InputVersions(("e1", "e2"), "m1", "abc", "1.9.1")


def a_blob(
    *, run: str = "first", tags: frozenset[str] | None = None, complete: bool = True, **changes: str
) -> BlobInfo:
    found = predictions.build_metadata(
        run_uid=run,
        window=WINDOW,
        tags=tags,
        complete=complete,
        input_versions=INPUTS,
        row_counts=RowCounts(10, 1, 2, 3),
    )
    return BlobInfo("p.csv", 1, "etag", {**found, **changes})


@pytest.mark.parametrize(
    ("blob", "policy", "requested", "state"),
    [
        (None, "CreateOnly", None, ExistingState.ABSENT),
        (a_blob(), "CreateOnly", None, ExistingState.KEEP),
        (a_blob(), "CreateOnly", {"1"}, ExistingState.KEEP),
        (a_blob(tags=frozenset({"1", "2"})), "CreateOnly", {"1"}, ExistingState.KEEP),
        (a_blob(tags=frozenset({"1"})), "CreateOnly", {"1", "2"}, ExistingState.REPLACE),
        (a_blob(tags=frozenset({"1"})), "CreateOnly", None, ExistingState.REPLACE),
        (a_blob(complete=False), "CreateOnly", None, ExistingState.REPLACE),
        (a_blob(window="2018-08-28T23:00:00Z/2018-08-28T23:30:00Z"), "CreateOnly", None, ExistingState.REPLACE),
        (BlobInfo("p.csv", 1, "etag", {}), "CreateOnly", None, ExistingState.REPLACE),
        (a_blob(), "IfChanged", None, ExistingState.KEEP_IF_UNCHANGED),
        (a_blob(complete=False), "IfChanged", None, ExistingState.REPLACE),
        (a_blob(), "Overwrite", None, ExistingState.REPLACE),
        (a_blob(run="ours"), "CreateOnly", None, ExistingState.WRITTEN_BY_THIS_RUN),
        (a_blob(run="ours"), "Overwrite", None, ExistingState.WRITTEN_BY_THIS_RUN),
        (a_blob(run="ours", complete=False), "IfChanged", None, ExistingState.WRITTEN_BY_THIS_RUN),
        (a_blob(run="ours", tags=frozenset({"1"})), "Overwrite", {"2"}, ExistingState.REPLACE),
    ],
)
def test_existing_blob_is_kept_or_replaced_as_the_write_policy_says(
    blob: BlobInfo | None, policy: str, requested: set[str] | None, state: ExistingState
) -> None:
    tags = None if requested is None else frozenset(requested)
    assert predictions.existing_state(blob, run_uid="ours", window=WINDOW, requested_tags=tags, policy=policy) is state


def test_request_outside_a_run_never_owns_an_existing_blob() -> None:
    found = predictions.existing_state(
        a_blob(run=""), run_uid="", window=WINDOW, requested_tags=None, policy="Overwrite"
    )
    assert found is ExistingState.REPLACE


def test_inputs_are_unchanged_only_if_all_etags_are_equal() -> None:
    found = a_blob().metadata
    assert predictions.inputs_unchanged(found, INPUTS)
    assert not predictions.inputs_unchanged(found, InputVersions(("e1",), "m1"))
    assert not predictions.inputs_unchanged(found, InputVersions(("e1", "e2"), "m2"))


def test_replacing_a_narrower_blob_keeps_its_tags() -> None:
    one, two = frozenset({"1"}), frozenset({"2 a"})
    assert predictions.merged_tags(a_blob(tags=one), window=WINDOW, requested_tags=two) == frozenset({"1", "2 a"})
    assert predictions.merged_tags(a_blob(complete=False), window=WINDOW, requested_tags=two) is None
    assert predictions.merged_tags(a_blob(tags=one), window=WINDOW, requested_tags=None) is None
    assert predictions.merged_tags(None, window=WINDOW, requested_tags=two) == two


@pytest.mark.parametrize("requested", [frozenset({"hall-3.press.0"}), frozenset({"another"})])
def test_replacing_a_blob_of_a_long_list_of_tags_scores_all_tags(requested: frozenset[str]) -> None:
    many = frozenset(f"hall-3.press.{number}" for number in range(100))
    existing = a_blob(tags=many)
    assert existing.metadata["tags"].startswith("sha256:")
    assert predictions.merged_tags(existing, window=WINDOW, requested_tags=requested) is None
    assert predictions.merged_tags(existing, window=WINDOW, requested_tags=many) == many


@given(st.frozensets(st.text(min_size=1, max_size=256), min_size=1, max_size=100))
def test_metadata_is_short_printable_ascii(tags: frozenset[str]) -> None:
    found = a_blob(tags=tags, run="u" * 36).metadata
    assert sum(len(key) + len(value) for key, value in found.items()) < 4096
    assert all(value.isascii() and value.isprintable() and value.strip() == value for value in found.values())
    assert all(key.isalnum() and key.islower() for key in found)
    assert predictions.covers(found["tags"], tags)


@given(st.frozensets(st.sampled_from(["1", "2", "*", "a b", "%2A"]), min_size=1))
def test_tags_cover_their_subsets_and_no_others(tags: frozenset[str]) -> None:
    encoded = predictions.encode_tags(tags)
    assert encoded != "*"
    for tag in ("1", "2", "*", "a b", "%2A"):
        assert predictions.covers(encoded, frozenset({tag})) == (tag in tags)


def test_row_counts_are_read_from_metadata_and_malformed_ones_are_zero() -> None:
    assert predictions.row_counts_from(a_blob().metadata) == RowCounts(10, 1, 2, 3)
    assert predictions.row_counts_from({"rows": "many", "anomalies": "-1"}) == RowCounts()


def test_long_values_are_replaced_by_their_hash() -> None:
    assert MAX_VALUE_CHARS == 1500
    longest = InputVersions(("e" * 1500,), "m")
    longer = InputVersions(("e" * 1501,), "m")
    assert metadata_of(longest)["dataetags"] == "e" * 1500
    assert metadata_of(longer)["dataetags"] == f"sha256:{hashlib.sha256(b'e' * 1501).hexdigest()}"
    assert predictions.inputs_unchanged(metadata_of(longer), longer)


def metadata_of(input_versions: InputVersions) -> dict[str, str]:
    return predictions.build_metadata(
        run_uid="",
        window=WINDOW,
        tags=None,
        complete=True,
        input_versions=input_versions,
        row_counts=RowCounts(),
    )


def test_metadata_have_no_empty_values() -> None:
    assert metadata_of(InputVersions((), "m")).keys() == {
        *("window", "tags", "complete", "modeletag", "scorer"),
        *("rows", "badrows", "unscoredrows", "anomalies"),
    }


def test_count_of_thousands_of_digits_counts_as_zero() -> None:
    metadata = {"rows": "9" * 5000, "badrows": "9" * MAX_COUNT_DIGITS, "unscoredrows": "-1", "anomalies": "\u0665"}
    assert predictions.row_counts_from(metadata) == RowCounts(0, 10**15 - 1, 0, 5)


@pytest.mark.parametrize(
    ("read_at", "complete"),
    [
        ("2018-08-28T23:59:59Z", False),
        ("2018-08-29T00:00:00Z", True),
        ("2018-08-29T01:00:00Z", True),
        ("", True),
        ("soon", True),
    ],
)
def test_readings_are_complete_if_they_were_read_after_the_windows_end(read_at: str, *, complete: bool) -> None:
    metadata = a_blob(readat=read_at).metadata
    assert predictions.is_complete(metadata, WINDOW, None) == complete
    assert predictions.read_before_end(metadata) != complete


def test_changed_etags_are_changed_readings() -> None:
    metadata = a_blob().metadata
    assert not predictions.data_changed(metadata, ("e1", "e2"))
    assert predictions.data_changed(metadata, ("e1",))
    assert not predictions.data_changed({}, ("e1",))


def test_instant_of_reading_is_in_the_metadata() -> None:
    metadata = predictions.build_metadata(
        run_uid="",
        window=WINDOW,
        tags=None,
        complete=True,
        input_versions=INPUTS,
        row_counts=RowCounts(),
        read_at=datetime(2018, 8, 29, 0, 5, 1, 999, tzinfo=UTC),
    )
    assert metadata["readat"] == "2018-08-29T00:05:01Z"
