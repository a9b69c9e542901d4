"""What an existing predictions blob means for who comes next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.contract.outcome_message import RowCounts
from device_scorer.scoring import predictions
from device_scorer.scoring.predictions import ExistingState, InputVersions
from device_scorer.store.base import BlobInfo
from tests.testkit.scorer_fleet import WINDOW

SOURCES = InputVersions(("e1", "e2"), "m1", "abc", "1.9.1")


def there(*, run: str = "first", tags: frozenset[str] | None = None, complete: bool = True, **changes: str) -> BlobInfo:
    found = predictions.build_metadata(
        run_uid=run,
        window=WINDOW,
        tags=tags,
        complete=complete,
        input_versions=SOURCES,
        row_counts=RowCounts(10, 1, 2, 3),
    )
    return BlobInfo("p.csv", 1, "etag", {**found, **changes})


@pytest.mark.parametrize(
    ("blob", "policy", "asked", "standing"),
    [
        (None, "CreateOnly", None, ExistingState.ABSENT),
        (there(), "CreateOnly", None, ExistingState.KEEP),
        (there(), "CreateOnly", {"1"}, ExistingState.KEEP),
        (there(tags=frozenset({"1", "2"})), "CreateOnly", {"1"}, ExistingState.KEEP),
        (there(tags=frozenset({"1"})), "CreateOnly", {"1", "2"}, ExistingState.REPLACE),
        (there(tags=frozenset({"1"})), "CreateOnly", None, ExistingState.REPLACE),
        (there(complete=False), "CreateOnly", None, ExistingState.REPLACE),
        (there(window="2018-08-28T23:00:00Z/2018-08-28T23:30:00Z"), "CreateOnly", None, ExistingState.REPLACE),
        (BlobInfo("p.csv", 1, "etag", {}), "CreateOnly", None, ExistingState.REPLACE),
        (there(), "IfChanged", None, ExistingState.KEEP_IF_UNCHANGED),
        (there(complete=False), "IfChanged", None, ExistingState.REPLACE),
        (there(), "Overwrite", None, ExistingState.REPLACE),
        (there(run="ours"), "CreateOnly", None, ExistingState.WRITTEN_BY_THIS_RUN),
        (there(run="ours"), "Overwrite", None, ExistingState.WRITTEN_BY_THIS_RUN),
        (there(run="ours", complete=False), "IfChanged", None, ExistingState.WRITTEN_BY_THIS_RUN),
        (there(run="ours", tags=frozenset({"1"})), "Overwrite", {"2"}, ExistingState.REPLACE),
    ],
)
def test_standing(blob: BlobInfo | None, policy: str, asked: set[str] | None, standing: ExistingState) -> None:
    tags = None if asked is None else frozenset(asked)
    assert (
        predictions.existing_state(blob, run_uid="ours", window=WINDOW, requested_tags=tags, policy=policy) is standing
    )


def test_a_person_without_a_run_never_owns_what_is_there() -> None:
    found = predictions.existing_state(
        there(run=""), run_uid="", window=WINDOW, requested_tags=None, policy="Overwrite"
    )
    assert found is ExistingState.REPLACE


def test_the_same_inputs_are_unchanged_and_any_other_is_a_change() -> None:
    found = there().metadata
    assert predictions.inputs_unchanged(found, SOURCES)
    assert not predictions.inputs_unchanged(found, InputVersions(("e1",), "m1"))
    assert not predictions.inputs_unchanged(found, InputVersions(("e1", "e2"), "m2"))


def test_replacing_a_narrower_blob_keeps_its_tags() -> None:
    one, two = frozenset({"1"}), frozenset({"2 a"})
    assert predictions.merged_tags(there(tags=one), window=WINDOW, requested_tags=two) == frozenset({"1", "2 a"})
    assert predictions.merged_tags(there(complete=False), window=WINDOW, requested_tags=two) is None
    assert predictions.merged_tags(there(tags=one), window=WINDOW, requested_tags=None) is None
    assert predictions.merged_tags(None, window=WINDOW, requested_tags=two) == two


@given(st.frozensets(st.text(min_size=1, max_size=256), min_size=1, max_size=100))
def test_metadata_is_short_ascii_that_any_proxy_lets_through(tags: frozenset[str]) -> None:
    found = there(tags=tags, run="u" * 36).metadata
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


def test_figures_come_back_from_metadata_and_rubbish_is_nought() -> None:
    assert predictions.row_counts_from(there().metadata) == RowCounts(10, 1, 2, 3)
    assert predictions.row_counts_from({"rows": "many", "anomalies": "-1"}) == RowCounts()
