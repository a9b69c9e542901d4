"""The outcome of each device of a window."""

from pathlib import Path

import pytest

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report.inventory import Inventory
from device_scorer.report.outcomes import EarlierReport, OutcomeRules
from tests.testkit.scorer_report import (
    add_empty_readings,
    add_models,
    is_marked_complete,
    read_summary,
    read_table,
    report,
    run_state,
    write_predictions,
)

INVALID = DeviceOutcome("failed", "DataInvalid", "line 3")


def rules(
    recorded: DeviceOutcome | None = None,
    earlier: DeviceOutcome | None = None,
    *,
    empty: str | None = None,
    etags: str | None = "1",
    listed: bool = True,
) -> OutcomeRules:
    data_etags = ({} if etags is None else {"d": etags}) if listed else None
    return OutcomeRules(
        {} if recorded is None else {"d": recorded},
        EarlierReport({} if earlier is None else {"d": earlier}, {} if empty is None else {"d": empty}),
        Inventory(frozenset({"d"}), data_etags),
        has_readings=lambda _: etags is not None,
    )


@pytest.mark.parametrize(
    ("sources", "outcome"),
    [
        (rules(), "missing"),
        (rules(etags=None), "empty"),
        (rules(listed=False), "missing"),
        (rules(listed=False, etags=None), "empty"),
        (rules(DeviceOutcome("empty")), "empty"),
        (rules(DeviceOutcome("notRun"), INVALID), "notRun"),
        (rules(None, INVALID), "failed"),
        (rules(DeviceOutcome("quarantined"), INVALID), "quarantined"),
        (rules(DeviceOutcome("quarantined"), etags=None), "quarantined"),
        (rules(None, DeviceOutcome("quarantined")), "quarantined"),
        (rules(DeviceOutcome("scored"), INVALID), "missing"),
        (rules(None, DeviceOutcome("partial")), "missing"),
        (rules(empty="1"), "empty"),
        (rules(empty="0"), "missing"),
        (rules(DeviceOutcome("scored"), empty="1"), "missing"),
    ],
)
def test_device_without_predictions_has_the_outcome_of_the_best_known_source(
    sources: OutcomeRules, outcome: str
) -> None:
    assert sources.without_predictions("d").kind == outcome


def test_message_of_an_earlier_partial_outcome_is_kept() -> None:
    earlier = DeviceOutcome("partial", "", "tag 2")
    assert rules(None, earlier).with_predictions("d", {"complete": "false"}) == earlier
    assert rules(None, earlier).with_predictions("d", {}).kind == "scored"


def test_run_over_some_devices_keeps_what_is_known_of_the_others(tmp_path: Path) -> None:
    devices = ["press-1", "press-6", "press-7"]
    add_models(tmp_path, *devices)
    for device in devices:
        add_empty_readings(tmp_path, device)
    write_predictions(tmp_path, "press-1", {"1": "000"})
    progress = {"outcomes": {"scored": "0", "empty": "1", "failed": "2"}, "reasons": {"DataInvalid": "2"}}
    report(tmp_path, *run_state(tmp_path, devices, {**progress, "samples": [[2, "DataInvalid", "line 3"]]}))
    before = read_table(tmp_path, "_failures.csv")
    subset = {"outcomes": {"scored": "0", "failed": "1"}, "reasons": {"ModelNotFound": "1"}}
    report(tmp_path, *run_state(tmp_path, ["press-1", "presss-7"], subset), "--include-modelled")
    assert read_table(tmp_path, "_failures.csv") == before
    assert before == [{"Device": "press-7", "Outcome": "failed", "Reason": "DataInvalid", "Message": "line 3"}]
    assert [row["Device"] for row in read_table(tmp_path, "_empty.csv")] == ["press-6"]
    assert read_summary(tmp_path)["devices"] == {"total": 3, "scored": 1, "empty": 1, "failed": 1}
    assert read_summary(tmp_path)["unknownDevices"] == {"count": 1, "devices": ["presss-7"]}


def test_id_without_model_and_readings_keeps_no_window_incomplete(tmp_path: Path) -> None:
    add_models(tmp_path, "press-1")
    write_predictions(tmp_path, "press-1", {"1": "000"})
    progress = {"outcomes": {"scored": "0", "failed": "1"}, "reasons": {"ModelNotFound": "1"}}
    report(tmp_path, *run_state(tmp_path, ["press-1", "presss-1"], progress))
    assert is_marked_complete(tmp_path)


def test_empty_device_with_new_readings_makes_the_window_incomplete(tmp_path: Path) -> None:
    add_models(tmp_path, "press-6")
    add_empty_readings(tmp_path, "press-6")
    report(tmp_path, *run_state(tmp_path, ["press-6"], {"outcomes": {"empty": "0"}, "reasons": {}}))
    report(tmp_path)
    assert is_marked_complete(tmp_path)
    (tmp_path / "data" / "20180828T2300Z" / "press-6.csv").write_text("TS,Device,Tag,Value\n")
    report(tmp_path)
    assert [row["Outcome"] for row in read_table(tmp_path, "_failures.csv")] == ["missing"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"Device,Outcome\n",
        b"Device,Outcome,Reason,Message\na,b\n",
        b'Device,Outcome,Reason,Message\n"a',
        b"x" * 200_000,
    ],
)
def test_damaged_earlier_report_is_ignored_with_a_warning(tmp_path: Path, content: bytes) -> None:
    add_models(tmp_path, "press-1")
    report(tmp_path)
    (next((tmp_path / "predictions").glob("2018*")) / "_failures.csv").write_bytes(content)
    result = report(tmp_path)
    assert "the earlier report is ignored" in result.err
    assert is_marked_complete(tmp_path)


def test_predictions_from_before_the_windows_end_are_partial() -> None:
    rules = OutcomeRules({}, EarlierReport(), Inventory(), lambda _: False)
    metadata = {"window": "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z", "readat": "2018-08-28T23:59:59Z"}
    assert rules.with_predictions("press-1", metadata).kind == "partial"
    assert rules.with_predictions("press-1", metadata | {"readat": "2018-08-29T00:00:00Z"}).kind == "scored"
