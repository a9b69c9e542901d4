import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.scoringrun import RetryOf, RetryOutcome
from scoring_operator.contract.blob_paths import DEVICE_ID
from scoring_operator.planner import retry as retry_module
from scoring_operator.planner.retry import devices_from_report
from scoring_operator.planner.types import Blocker
from tests.operator.builders import a_run

HEADER = b"Device,Outcome,Reason,Message\n"
REPORT = HEADER + (
    b'press-1,failed,ModelInvalid,"no pipeline, but a\nlist"\n'
    b"press-2,partial,,\n"
    b"press-3,notRun,,\n"
    b"press-4,missing,,\n"
    b"press-5,unreadable,DataInvalid,x\n"
    b"press-1,failed,ModelInvalid,again\n"
)
FLEET = parse_fleet({"name": "default", "namespaces": ["scoring"]})


def left_over(content: bytes | None, *outcomes: RetryOutcome) -> list[str] | str:
    """The devices, or what is said where they cannot be known."""
    retry = RetryOf("hourly", outcomes) if outcomes else RetryOf("hourly")
    found = devices_from_report(a_run(), retry, FLEET, content)
    return found.message if isinstance(found, Blocker) else list(found)


@pytest.mark.parametrize(
    ("outcomes", "devices"),
    [
        pytest.param((), ["press-1", "press-2", "press-3", "press-4"], id="default"),
        pytest.param(("Failed",), ["press-1"], id="failed"),
        pytest.param(("Partial",), ["press-2"], id="partial"),
        pytest.param(("NotRun",), ["press-3", "press-4"], id="not run"),
    ],
)
def test_a_report_gives_each_device_with_an_outcome_asked_for_once(
    outcomes: tuple[RetryOutcome, ...], devices: list[str]
) -> None:
    assert left_over(REPORT, *outcomes) == devices


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "predictions/20180828T230000Z_20180829T000000Z/_failures.csv, where", id="no report"),
        pytest.param(b"", "its first line is not Device,Outcome,Reason,Message", id="empty"),
        pytest.param(b"TS,Device,Tag,Val\n", "its first line is not", id="predictions"),
        pytest.param(HEADER + b"../press,failed,,\n", "line 2 names no device", id="no device"),
        pytest.param(HEADER + b"press-1,failed\n", "line 2 names no device", id="half a line"),
        pytest.param(HEADER + b"\xff,failed,,\n", "is no report's", id="no text"),
        pytest.param(HEADER + b'press-1,failed,,"never closed', "is no report's", id="no CSV"),
    ],
)
def test_what_is_no_report_is_said_and_gives_no_device(content: bytes | None, message: str) -> None:
    assert message in left_over(content)


def test_a_report_that_is_too_large_gives_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_module, "MAX_FAILURES_BYTES", len(REPORT) - 1)
    assert "is larger than" in left_over(REPORT)


def test_empty_devices_are_not_in_a_report_and_that_is_said() -> None:
    assert "leave Empty out" in left_over(REPORT, "Failed", "Empty")


@given(
    content=st.binary()
    | st.binary().map(lambda rest: HEADER + rest)
    | st.text().map(lambda t: HEADER + t.encode("utf-8", "ignore"))
)
def test_whatever_stands_there_the_answer_is_devices_or_a_trouble(content: bytes) -> None:
    found = devices_from_report(a_run(), RetryOf("hourly"), FLEET, content)
    assert isinstance(found, Blocker) or all(DEVICE_ID.fullmatch(device) for device in found)
