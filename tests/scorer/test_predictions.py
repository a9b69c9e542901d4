"""What an existing predictions blob means for who comes next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.contract.outcome_message import Figures
from device_scorer.scoring import predictions
from device_scorer.scoring.predictions import Sources, Standing
from device_scorer.store.base import BlobInfo
from tests.scorer.fleet import WINDOW

SOURCES = Sources(("e1", "e2"), "m1", "abc", "1.9.1")


def there(*, run: str = "first", tags: frozenset[str] | None = None, complete: bool = True, **changes: str) -> BlobInfo:
    found = predictions.metadata(
        run_uid=run,
        window=WINDOW,
        tags=tags,
        complete=complete,
        sources=SOURCES,
        figures=Figures(10, 1, 2, 3),
    )
    return BlobInfo("p.csv", 1, "etag", {**found, **changes})


@pytest.mark.parametrize(
    ("blob", "policy", "asked", "standing"),
    [
        (None, "CreateOnly", None, Standing.ABSENT),
        (there(), "CreateOnly", None, Standing.STANDS),
        (there(), "CreateOnly", {"1"}, Standing.STANDS),
        (there(tags=frozenset({"1", "2"})), "CreateOnly", {"1"}, Standing.STANDS),
        (there(tags=frozenset({"1"})), "CreateOnly", {"1", "2"}, Standing.YIELDS),
        (there(tags=frozenset({"1"})), "CreateOnly", None, Standing.YIELDS),
        (there(complete=False), "CreateOnly", None, Standing.YIELDS),
        (there(window="2018-08-28T23:00:00Z/2018-08-28T23:30:00Z"), "CreateOnly", None, Standing.YIELDS),
        (BlobInfo("p.csv", 1, "etag", {}), "CreateOnly", None, Standing.YIELDS),
        (there(), "IfChanged", None, Standing.STANDS_IF_UNCHANGED),
        (there(complete=False), "IfChanged", None, Standing.YIELDS),
        (there(), "Overwrite", None, Standing.YIELDS),
        (there(run="ours"), "CreateOnly", None, Standing.OURS),
        (there(run="ours"), "Overwrite", None, Standing.OURS),
        (there(run="ours", complete=False), "IfChanged", None, Standing.OURS),
        (there(run="ours", tags=frozenset({"1"})), "Overwrite", {"2"}, Standing.YIELDS),
    ],
)
def test_standing(blob: BlobInfo | None, policy: str, asked: set[str] | None, standing: Standing) -> None:
    tags = None if asked is None else frozenset(asked)
    assert predictions.standing(blob, run_uid="ours", window=WINDOW, asked=tags, policy=policy) is standing


def test_a_person_without_a_run_never_owns_what_is_there() -> None:
    found = predictions.standing(there(run=""), run_uid="", window=WINDOW, asked=None, policy="Overwrite")
    assert found is Standing.YIELDS


def test_the_same_inputs_are_unchanged_and_any_other_is_a_change() -> None:
    found = there().metadata
    assert predictions.unchanged(found, SOURCES)
    assert not predictions.unchanged(found, Sources(("e1",), "m1"))
    assert not predictions.unchanged(found, Sources(("e1", "e2"), "m2"))


def test_replacing_a_narrower_blob_keeps_its_tags() -> None:
    one, two = frozenset({"1"}), frozenset({"2 a"})
    assert predictions.widened(there(tags=one), window=WINDOW, asked=two) == frozenset({"1", "2 a"})
    assert predictions.widened(there(complete=False), window=WINDOW, asked=two) is None
    assert predictions.widened(there(tags=one), window=WINDOW, asked=None) is None
    assert predictions.widened(None, window=WINDOW, asked=two) == two


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
    assert predictions.figures_of(there().metadata) == Figures(10, 1, 2, 3)
    assert predictions.figures_of({"rows": "many", "anomalies": "-1"}) == Figures()
