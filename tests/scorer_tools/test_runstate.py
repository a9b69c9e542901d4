import pytest

from device_scorer.contract.run_state import DeviceOutcome, read_device_list, read_outcomes
from device_scorer.errors import UsageInvalid
from scoring_operator.api.intervals import Intervals
from scoring_operator.planner.device_list import pack
from scoring_operator.planner.progress import Progress, RunSnapshot, encode

DEVICES = [f"press-{number}" for number in range(9)]


def test_the_operators_own_list_and_progress_are_read() -> None:
    progress = Progress(
        snapshot=RunSnapshot(fleet={}),
        total=9,
        waiting=Intervals.parse("8"),
        outcomes={"scored": Intervals.parse("0-3,7"), "failed": Intervals.parse("4-5"), "empty": Intervals.parse("6")},
        reasons={"ModelInvalid": Intervals.parse("4"), "OOMKilled": Intervals.parse("5")},
        failure_samples=((4, "ModelInvalid", "no pickle"),),
    )
    devices = read_device_list(pack(DEVICES))
    assert devices == DEVICES
    assert read_outcomes(encode(progress), devices) == {
        **{f"press-{number}": DeviceOutcome("scored") for number in (0, 1, 2, 3, 7)},
        "press-4": DeviceOutcome("failed", "ModelInvalid", "no pickle"),
        "press-5": DeviceOutcome("failed", "OOMKilled"),
        "press-6": DeviceOutcome("empty"),
    }


def test_a_list_may_be_plain_text_in_parts() -> None:
    assert read_device_list([b"a\nb\n", b"c"]) == ["a", "b", "c"]


@pytest.mark.parametrize("content", [b"\x78\x9cdamaged", b"[]", b'{"outcomes": {"failed": "9"}}'])
def test_what_is_no_progress_is_refused(content: bytes) -> None:
    with pytest.raises(UsageInvalid):
        read_outcomes(content, DEVICES)
