"""The tags of a device that can be scored."""

import pytest

from device_scorer.errors import ModelInvalid, ModelNotFound
from device_scorer.models.bundle import Bundle
from device_scorer.scoring.tag_selection import select_tags
from tests.unit.scorer.scoring.test_scorer import AboveTen


def test_select_tags_returns_requested_models_and_errors_of_the_others() -> None:
    bundle = Bundle({"1": AboveTen(), "2": ModelInvalid("not fitted")})
    assert list(select_tags(bundle, None).models) == ["1"]
    assert list(select_tags(bundle, None).failed) == ["2"]
    assert list(select_tags(bundle, frozenset({"1"})).failed) == []
    assert isinstance(select_tags(bundle, frozenset({"1", "9"})).failed["9"], ModelNotFound)


def test_select_tags_without_a_usable_tag_raises_the_first_tags_error() -> None:
    bundle = Bundle({"2": ModelInvalid("not fitted")})
    with pytest.raises(ModelInvalid, match="tag '2': not fitted"):
        select_tags(bundle, None)
    with pytest.raises(ModelNotFound, match="none of its 1 tags"):
        select_tags(bundle, frozenset({"9"}))
