from pathlib import Path

import pandas as pd
import pytest

from fleetscore import Fleet
from fleetscore.console.device import device_context, tag_plots
from fleetscore.console.reader import Reader
from fleetscore.errors import NotFound
from tests.testkit.console_fleet import HALL, WINDOW


def frame(**tags: list[float | None]) -> pd.DataFrame:
    rows = [
        {"TS": pd.Timestamp(WINDOW.start) + pd.Timedelta(minutes=minute), "Tag": tag, "Val": value, "Prediction": 0}
        for tag, values in tags.items()
        for minute, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_tags_with_anomalies_are_first_then_those_with_flags() -> None:
    readings = frame(a=[1.0, 2.0], b=[1.0, 2.0], c=[1.0, 9.0])
    readings.loc[readings["Val"] == 9.0, "Prediction"] = 1
    found = tag_plots(readings, WINDOW, [{"Tag": "b", "Flag": "stuck"}, {"Tag": "gone", "Flag": "silent"}])
    assert [(one["tag"], one["rows"], one["anomalies"]) for one in found] == [
        ("c", 2, 1),
        ("b", 2, 0),
        ("gone", 0, 0),
        ("a", 2, 0),
    ]


def test_readings_without_a_number_are_counted_but_not_drawn() -> None:
    (found,) = tag_plots(frame(a=[1.0, None]), WINDOW, [])
    assert found["rows"] == 2
    assert found["plot"].count(",") < 40
    assert "nan" not in found["plot"]


def test_newest_window_with_predictions_is_shown_first(folder: Path) -> None:
    found = device_context(Reader(Fleet.folder(folder)), HALL, None)
    assert (found["window"], found["older"], found["newer"]) == (WINDOW, WINDOW.previous(1), None)
    assert (found["kind"], len(found["plots"])) == ("predictions", 2)
    assert ("size", "7 bytes") in found["model"]


def test_readings_are_drawn_if_there_are_no_predictions(folder: Path) -> None:
    path = folder / "data" / f"{WINDOW.start:%Y%m%dT%H%MZ}" / "press-1.csv"
    path.parent.mkdir(parents=True)
    path.write_text(f"TS,Device,Tag,Value\n{WINDOW.start:%Y-%m-%dT%H:%M:%SZ},press-1,temp,5.5\n")
    found = device_context(Reader(Fleet.folder(folder)), "press-1", WINDOW)
    assert (found["kind"], [one["tag"] for one in found["plots"]]) == ("readings", ["temp"])


def test_device_without_history_and_model_is_not_found(folder: Path) -> None:
    with pytest.raises(NotFound, match="no-such has no history and no model"):
        device_context(Reader(Fleet.folder(folder)), "no-such", None)
