from dataclasses import replace

import pytest

from scoring_operator.api.intervals import Positions
from scoring_operator.planner.failure_budget import exceeded_budget
from tests.testkit.builders import a_progress, a_run


@pytest.mark.parametrize(
    ("outcomes", "canary", "reason"),
    [
        ({"failed": "0"}, "", None),
        ({"failed": "0-1"}, "", "MaxFailedDevicesExceeded"),
        ({"empty": "0-5"}, "", "NoData"),
        ({"failed": "0-1", "empty": "2-7"}, "0-2", "CanaryFailed"),
        ({"failed": "0-1"}, "0-3", "MaxFailedDevicesExceeded"),
    ],
)
def test_canary_goes_before_failed_devices_and_these_before_empty_ones(
    outcomes: dict[str, str], canary: str, reason: str | None
) -> None:
    sets = {outcome: Positions.parse(text) for outcome, text in outcomes.items()}
    progress = replace(a_progress(10), outcomes=sets, canary=Positions.parse(canary))
    exceeded = exceeded_budget(a_run(canary={"jobs": 3}), progress)
    assert (exceeded[0] if exceeded else None) == reason
