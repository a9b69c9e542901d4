"""The seam of the history: the scorer's report writes tiles, and the operator reads them."""

import zlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.health import history as scorer
from device_scorer.report.fleet_health import TRANSIENT_REASONS, state_letter
from device_scorer.report.inventory import Inventory
from device_scorer.report.outcomes import EarlierReport, OutcomeRules
from device_scorer.report.statistics import NO_FIGURES
from device_scorer.report.summary import AnomalyRule, DeviceRow
from device_scorer.window import Window as ScorerWindow
from scoring_operator.api.scoringrun import Window
from scoring_operator.contract import history as operator
from scoring_operator.contract.outcome_message import REASONS
from scoring_operator.errors import InvalidHistory
from scoring_operator.planner.job_results import TRANSIENT_REASONS as RETRIED_REASONS

LENGTHS = st.sampled_from([60, 900, 3600, 25_200, 43_200, 86_400, 90_000, 7 * 86_400])
STARTS = st.integers(10**9, 4 * 10**9)
DEVICES = st.dictionaries(st.text("abcZ019-_.,:'\"%#é", min_size=1, max_size=9), st.integers(0, 7), max_size=6)


def places(fleet: str, start: int, length: int) -> tuple[scorer.TilePlace | None, operator.TilePlace | None]:
    begin = datetime.fromtimestamp(start, UTC)
    end = begin + timedelta(seconds=length)
    return scorer.place_of(fleet, ScorerWindow(begin, end)), operator.place_of(fleet, Window(begin, end))


def facts(place: scorer.TilePlace | operator.TilePlace | None) -> tuple[str, int, int, int] | None:
    return None if place is None else (place.name, place.index, place.first, place.count)


@given(st.text(min_size=1, max_size=20), STARTS, st.one_of(LENGTHS, st.integers(1, 400 * 86_400)))
def test_both_find_the_same_place_for_any_window(fleet: str, start: int, length: int) -> None:
    written, read = places(fleet, start, length)
    assert facts(written) == facts(read)
    if written and read:
        assert facts(written.previous) == facts(read.previous)


@given(st.sampled_from(["default", "hall 3", "a/b"]), STARTS, LENGTHS, DEVICES)
def test_operator_reads_the_states_that_the_report_wrote(
    fleet: str, start: int, length: int, devices: dict[str, int]
) -> None:
    written, read = places(fleet, start, length)
    assert written is not None
    assert read is not None
    letters = operator.STATES * (written.count // 8 + 2)
    states = {device: letters[seed % 8 :][: written.count] for device, seed in devices.items()}
    content = scorer.Tile(written, states).encode()
    assert dict(operator.read_tile(content, read)) == states == scorer.decode_tile(content, written).states


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "plain"])
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_changed_tile_is_read_as_by_the_report_or_rejected(packed: bool, at: int, flip: int) -> None:  # noqa: FBT001
    written, read = places("default", 1_535_497_200, 86_400)
    assert written is not None
    assert read is not None
    content = scorer.Tile(written, {"press-1": "F" * written.count, "press-2": "N" * written.count}).encode()
    plain = bytearray(content if packed else zlib.decompress(content, 31))
    plain[at % len(plain)] ^= flip
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    changed = bytes(plain) if packed else packer.compress(bytes(plain)) + packer.flush()
    try:
        states = list(operator.read_tile(changed, read))
    except InvalidHistory:
        return
    names = [device for device, _ in states]
    if len(set(names)) == len(names):  # the planner rejects a device that is listed twice
        assert scorer.decode_tile(changed, written).states == dict(states)


def test_both_have_the_same_letters_and_limits() -> None:
    assert set(operator.STATES) == scorer.STATES
    assert (operator.FAILED, operator.NOT_RUN, operator.UNKNOWN) == (scorer.FAILED, scorer.NOT_RUN, scorer.UNKNOWN)
    assert operator.MAX_TILE_WINDOWS == scorer.MAX_TILE_WINDOWS
    assert operator.MAX_TILE_BYTES == scorer.MAX_TILE_BYTES
    assert operator.MAX_PACKED_BYTES == scorer.MAX_PACKED_BYTES


def letter_of(kind: str, reason: str) -> str:
    """Return the state that the report writes for an outcome that a run recorded."""
    rules = OutcomeRules({"press-1": DeviceOutcome(kind, reason)}, EarlierReport(), Inventory(), lambda _: True)
    outcome = rules.without_predictions("press-1")
    return state_letter(DeviceRow("press-1", outcome, NO_FIGURES, anomalous=False, stale=False), AnomalyRule())


def test_only_reasons_of_the_device_are_failures_in_the_history() -> None:
    assert {reason for reason in REASONS if letter_of("failed", reason) == operator.FAILED} == {
        *("ModelNotFound", "ModelInvalid", "ModelRejected", "ModelIncompatible"),
        *("DataInvalid", "DataTooLarge", "DeadlineExceeded", "OOMKilled", "Unknown"),
    }
    assert RETRIED_REASONS < TRANSIENT_REASONS


def test_windows_in_quarantine_are_passed_over_by_the_next_decision() -> None:
    assert letter_of("quarantined", "") == operator.NOT_RUN
