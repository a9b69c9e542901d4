from datetime import date

import yaml

from scoring_operator.kube.yaml_loader import text_loader

TEXT = "day: 2026-02-28\nsign: =\ncount: 3\n"


def test_values_of_the_given_types_stay_text() -> None:
    loaded = yaml.load(TEXT, Loader=text_loader("timestamp", "value"))  # noqa: S506  # a subclass of the safe loader
    assert loaded == {"day": "2026-02-28", "sign": "=", "count": 3}


def test_loader_leaves_the_safe_loader_as_it_is() -> None:
    text_loader("timestamp")
    assert yaml.safe_load("2026-02-28") == date(2026, 2, 28)
    assert yaml.load("2026-02-28", Loader=yaml.CSafeLoader) == date(2026, 2, 28)
