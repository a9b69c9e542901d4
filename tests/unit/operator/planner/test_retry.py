import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.scoringrun import RetryOf, RetryOutcome
from scoring_operator.contract.blob_paths import DEVICE_ID_PATTERN
from scoring_operator.errors import RunRejected
from scoring_operator.planner.retry import devices_from_report
from tests.testkit.builders import a_run

HEADER = b"Device,Outcome,Reason,Message\n"
REPORT = HEADER + (
    b'press-1,failed,ModelInvalid,"no pipeline, but a\nlist"\n'
    b"press-2,partial,,\n"
    b"press-3,notRun,,\n"
    b"press-4,missing,,\n"
    b"press-5,unreadable,DataInvalid,x\n"
    b"press-6,quarantined,,\n"
    b"press-1,failed,ModelInvalid,again\n"
)
FLEET = parse_fleet({"name": "default", "namespaces": ["scoring"]})


def devices_or_message(content: bytes | None, *outcomes: RetryOutcome) -> list[str] | str:
    """Return the devices, or the message of the rejection."""
    retry = RetryOf("hourly", outcomes) if outcomes else RetryOf("hourly")
    try:
        return list(devices_from_report(a_run(), retry, FLEET, content))
    except RunRejected as rejected:
        return rejected.message


@pytest.mark.parametrize(
    ("outcomes", "devices"),
    [
        pytest.param((), ["press-1", "press-2", "press-3", "press-4"], id="default"),
        pytest.param(("Failed",), ["press-1"], id="failed"),
        pytest.param(("Partial",), ["press-2"], id="partial"),
        pytest.param(("NotRun",), ["press-3", "press-4"], id="not run"),
        pytest.param(("Quarantined",), ["press-6"], id="quarantined"),
    ],
)
def test_report_yields_each_device_with_a_requested_outcome_once(
    outcomes: tuple[RetryOutcome, ...], devices: list[str]
) -> None:
    assert devices_or_message(REPORT, *outcomes) == devices


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "predictions/20180828T230000Z_20180829T000000Z/_failures.csv, the", id="no report"),
        pytest.param(b"", "its first line must be Device,Outcome,Reason,Message", id="empty"),
        pytest.param(b"TS,Device,Tag,Val\n", "its first line must be", id="predictions"),
        pytest.param(HEADER + b"../press,failed,,\n", "line 2 must have four columns", id="invalid device"),
        pytest.param(HEADER + b"press-1,failed\n", "line 2 must have four columns", id="truncated line"),
        pytest.param(HEADER + b"\xff,failed,,\n", "_failures.csv is invalid", id="binary"),
        pytest.param(HEADER + b'press-1,failed,,"never closed', "_failures.csv is invalid", id="malformed CSV"),
    ],
)
def test_missing_or_invalid_report_is_rejected_with_its_problem(content: bytes | None, message: str) -> None:
    assert message in devices_or_message(content)


def test_name_of_a_run_that_never_existed_is_rejected_if_the_report_lists_no_device() -> None:
    message = devices_or_message(HEADER)
    assert "run 'hourly' of devices.retryOf does not exist" in message
    assert "lists no device with these outcomes" in message


def test_report_of_more_than_32_mib_is_rejected() -> None:
    line = b"press-1,failed,," + b"m" * 10_000 + b"\n"
    longest = HEADER + line * ((32 * 2**20 - len(HEADER)) // len(line))
    assert devices_or_message(longest) == ["press-1"]
    assert "is larger than 33,554,432 bytes" in devices_or_message(longest.ljust(32 * 2**20 + 1, b"\n"))


def test_retry_of_empty_devices_without_the_run_is_rejected() -> None:
    assert "remove Empty" in devices_or_message(REPORT, "Failed", "Empty")


@given(
    content=st.binary()
    | st.binary().map(lambda rest: HEADER + rest)
    | st.text().map(lambda t: HEADER + t.encode("utf-8", "ignore"))
)
def test_any_content_yields_valid_device_ids_or_a_rejection(content: bytes) -> None:
    try:
        devices = devices_from_report(a_run(), RetryOf("hourly"), FLEET, content)
    except RunRejected:
        return
    assert all(DEVICE_ID_PATTERN.fullmatch(device) for device in devices)
