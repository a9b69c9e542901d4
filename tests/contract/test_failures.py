"""The scorer's report of a window lists the failed devices; the operator reads it if the run is deleted."""

from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report.documents import failures_csv
from device_scorer.report.statistics import DeviceStatistics
from device_scorer.report.summary import OUTCOMES, AnomalyRule, Comparison, Summary, build_row
from device_scorer.window import Window
from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.scoringrun import RetryOf, RetryOutcome
from scoring_operator.contract.blob_paths import DEVICE_ID_PATTERN
from scoring_operator.errors import RunRejected
from scoring_operator.planner import retry
from tests.testkit.builders import a_run

WINDOW = Window(datetime(2018, 8, 28, 23, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))
FLEET = parse_fleet({"name": "default", "namespaces": ["scoring"]})
ASKED: dict[RetryOutcome, set[str]] = {"Failed": {"failed"}, "Partial": {"partial"}, "NotRun": {"notRun", "missing"}}


@given(
    outcomes=st.dictionaries(
        st.from_regex(DEVICE_ID_PATTERN, fullmatch=True),
        st.builds(DeviceOutcome, st.sampled_from(OUTCOMES), message=st.text()),
        max_size=8,
    ),
    retried=st.sampled_from(list(ASKED)),
)
def test_operator_reads_the_failed_devices_of_the_scorers_report(
    outcomes: dict[str, DeviceOutcome], retried: RetryOutcome
) -> None:
    lines = [
        build_row(device, outcome, DeviceStatistics(), WINDOW, AnomalyRule()) for device, outcome in outcomes.items()
    ]
    content = failures_csv(Summary(WINDOW, AnomalyRule(), lines, Comparison(WINDOW, has_previous=False)))
    expected = sorted(device for device, outcome in outcomes.items() if outcome.kind in ASKED[retried])
    rejected = nullcontext() if expected else pytest.raises(RunRejected, match="lists no device with these outcomes")
    with rejected:
        assert retry.devices_from_report(a_run(), RetryOf("gone", (retried,)), FLEET, content) == expected
