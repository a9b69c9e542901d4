"""The operator's settings."""

import pytest

from scoring_operator.errors import InvalidSettings
from scoring_operator.runtime import settings

MINIMAL = {"FLEETSCORE_SCORER_IMAGE": "scorer:1"}


def test_settings_other_than_the_image_have_defaults() -> None:
    read = settings.from_environment(MINIMAL)
    assert (read.scorer_image, read.lease_name, read.max_active_jobs) == ("scorer:1", "fleetscore-operator", 1000)
    assert read.watch_namespaces == ()
    assert read.pod_name


def test_lists_are_split_at_commas() -> None:
    read = settings.from_environment(MINIMAL | {"FLEETSCORE_WATCH_NAMESPACES": "a, b,"})
    assert read.watch_namespaces == ("a", "b")


def test_all_invalid_settings_are_named_in_one_error() -> None:
    environment = {
        "FLEETSCORE_MAX_ACTIVE_JOBS": "many",
        "FLEETSCORE_LOG_LEVEL": "LOUD",
        "FLEETSCORE_METRICS_PORT": "99999",
    }
    with pytest.raises(InvalidSettings) as caught:
        settings.from_environment(environment)
    for name in (*environment, "FLEETSCORE_SCORER_IMAGE"):
        assert name in str(caught.value)
