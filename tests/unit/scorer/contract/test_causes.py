"""The causes of incidents."""

from device_scorer.contract.causes import CAUSES


def test_incidents_have_four_causes() -> None:
    assert CAUSES == ("machine", "sensor", "data", "fleet")
