"""The tags of a device that can be scored."""

from collections.abc import Sequence

import pytest

from device_scorer.errors import ModelInvalid, ModelNotFound
from device_scorer.models.bundle import Bundle
from device_scorer.scoring.tag_selection import name_some, select_tags


class Normal:
    """A model that labels every value as normal."""

    sklearn_version = "1"

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        return [0 for _ in values], None


def test_select_tags_returns_requested_models_and_errors_of_the_others() -> None:
    bundle = Bundle({"1": Normal(), "2": ModelInvalid("not fitted")})
    assert list(select_tags(bundle, None).models) == ["1"]
    assert list(select_tags(bundle, None).failed) == ["2"]
    assert list(select_tags(bundle, frozenset({"1"})).failed) == []
    assert isinstance(select_tags(bundle, frozenset({"1", "9"})).failed["9"], ModelNotFound)


def test_select_tags_without_a_usable_tag_raises_the_first_tags_error() -> None:
    bundle = Bundle({"2": ModelInvalid("not fitted")})
    with pytest.raises(ModelInvalid, match="tag '2': not fitted"):
        select_tags(bundle, None)
    with pytest.raises(ModelNotFound, match="none of its 1 tag"):
        select_tags(bundle, frozenset({"9"}))


def test_text_names_3_tags_of_at_most_60_characters() -> None:
    assert name_some(["a" * 61, "b", "c", "d", "e"]) == f"'{'a' * 60}', 'b', 'c' and 2 more"
