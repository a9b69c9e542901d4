from importlib.resources import files

import pytest

from fleetscore.console.history import History
from fleetscore.console.pages import Filters, fleet_context, heat_map_context
from fleetscore.console.reader import Snapshot
from fleetscore.errors import UsageInvalid


def snapshot(states: dict[str, str], *, length: int = 3600, **fields: object) -> Snapshot:
    count = len(next(iter(states.values())))
    history = History(first=0, length=length, count=count, states=states)
    return Snapshot(history, history.window(count - 1), **fields)  # type: ignore[arg-type]


def test_windows_are_complete_incomplete_with_failures_not_run_or_missing() -> None:
    states = {"a": "NNF?-N-N", "b": "NEN?-PFN", "c": "??-??--?"}
    found = fleet_context(snapshot(states))["coverage"]
    expected = {"complete": 3, "incomplete": 1, "missing": 1, "not run": 1, "with failures": 2}
    assert dict(found["counts"]) == expected
    assert [text.split(": ")[1] for text in found["gaps"]] == [
        "with failures, 1 devices failed, 2 devices not run",
        "incomplete, 1 devices not run, 1 devices partly scored",
        "not run",
        "missing",
        "with failures, 1 devices failed, 1 devices not run",
    ]
    assert "incomplete, 1 devices not run, 1 devices partly scored</title>" in found["calendar"]


def test_each_kind_of_window_has_a_colour_in_the_calendar_and_the_legend() -> None:
    style = (files("fleetscore.console") / "static/console.css").read_text()
    for kind in ("complete", "incomplete", "with-failures", "missing", "not-run"):
        assert f".c-{kind} {{ fill:" in style
        assert f".b-c-{kind} {{" in style or f".b-c-{kind}," in style


@pytest.mark.parametrize("length", [60, 3600, 86_400, 7 * 86_400])
def test_calendar_has_every_window_of_any_length(length: int) -> None:
    found = fleet_context(snapshot({"a": "N" * 168}, length=length))["coverage"]["calendar"]
    assert found.count("<rect") == 168


def test_muted_incidents_are_counted_apart_and_closed_ones_not_at_all() -> None:
    incidents = [
        {"Cause": "machine", "State": "open", "Muted": ""},
        {"Cause": "machine", "State": "opened", "Muted": "false"},
        {"Cause": "data", "State": "open", "Muted": "service"},
        {"Cause": "sensor", "State": "closed", "Muted": ""},
    ]
    found = fleet_context(snapshot({"a": "N"}, incidents=incidents))
    assert (found["causes"], found["muted"]) == ([("machine", 2)], 1)


def test_lists_are_bounded_and_count_the_rest() -> None:
    rows = [{"Device": str(number), "State": "open", "Flag": "stuck"} for number in range(250)]
    found = fleet_context(snapshot({"a": "N"}, incidents=rows, sensors=rows))
    assert (len(found["incidents"]), found["more_incidents"]) == (100, 150)
    assert (len(found["sensors"]), found["more_sensors"]) == (100, 150)


def test_words_of_a_hostile_table_are_bounded() -> None:
    rows = [{"Device": "a", "State": "open", "Cause": f"c{n}", "Flag": f"f{n}", "Owner": f"o{n}"} for n in range(2000)]
    health = snapshot({"a": "N"}, incidents=[{**row, "Device": row["Owner"]} for row in rows], sensors=rows)
    found = fleet_context(health)
    assert (len(found["causes"]), len(found["flags"])) == (20, 20)
    assert len(heat_map_context(health, Filters())["owners"]) == 500


def test_list_of_the_heat_map_has_pages() -> None:
    health = snapshot({f"press-{number:03}": "NA" for number in range(250)})
    found = heat_map_context(health, Filters(page=3))
    assert (found["total"], found["pages"], found["page"], len(found["rows"])) == (250, 3, 3, 50)
    assert found["rows"][0][0] == "press-200"
    assert heat_map_context(health, Filters(page=9))["page"] == 3


def test_query_of_filters_is_parsed_back() -> None:
    filters = Filters("?", "hall 3-*&x=1", "Ann & Bob")
    query = dict(pair.split("=") for pair in filters.query(page=2).split("&"))
    assert query == {"state": "%3F", "pattern": "hall+3-%2A%26x%3D1", "owner": "Ann+%26+Bob", "page": "2"}


@pytest.mark.parametrize("query", [{"state": "NN"}, {"page": "-1"}, {"page": "1e3"}, {"page": "9999999"}, {"page": ""}])
def test_invalid_filters_are_rejected(query: dict[str, str]) -> None:
    with pytest.raises(UsageInvalid, match="is invalid: use"):
        Filters.parse(query)


def test_picture_has_a_limit_of_devices() -> None:
    found = heat_map_context(snapshot({f"{number:05}": "N" for number in range(20_001)}), Filters())
    assert found["picture"]["rows"] == 20_000
