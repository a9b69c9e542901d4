"""The seam of a run's state: the operator writes the device list and progress, and the scorer's report reads them."""

import zlib

import pytest

from device_scorer.contract.run_state import DeviceOutcome, read_device_list, read_outcomes
from scoring_operator.api.intervals import Position, Positions
from scoring_operator.planner.device_list import pack
from scoring_operator.planner.progress import Progress, RunSnapshot
from scoring_operator.planner.progress_codec import encode_progress

DEVICES = [f"press-{number}" for number in range(9)]


@pytest.mark.parametrize("max_bytes", [2**20, 0], ids=["intervals", "a character per device"])
def test_device_list_and_progress_of_the_operator_are_read_by_the_scorer(max_bytes: int) -> None:
    progress = Progress(
        snapshot=RunSnapshot(fleet={}),
        total=9,
        waiting=Positions(),
        outcomes={
            "scored": Positions.parse("0-3,7"),
            "failed": Positions.parse("4-5"),
            "empty": Positions.parse("6"),
            "quarantined": Positions.parse("8"),
        },
        reasons={"ModelInvalid": Positions.parse("4"), "OOMKilled": Positions.parse("5")},
        failure_samples=((Position(4), "ModelInvalid", "no pickle"),),
    )
    devices = read_device_list(pack(DEVICES))
    assert devices == DEVICES
    content = encode_progress(progress, max_content_bytes=max_bytes)
    assert (b'"places"' in zlib.decompress(content)) is (max_bytes == 0)
    assert read_outcomes(content, devices) == {
        **{f"press-{number}": DeviceOutcome("scored") for number in (0, 1, 2, 3, 7)},
        "press-4": DeviceOutcome("failed", "ModelInvalid", "no pickle"),
        "press-5": DeviceOutcome("failed", "OOMKilled"),
        "press-6": DeviceOutcome("empty"),
        "press-8": DeviceOutcome("quarantined"),
    }
