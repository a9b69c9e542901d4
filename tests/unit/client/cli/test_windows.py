"""The commands that read reports, over a fleet in a folder."""

import json
import re
import shlex
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetscore.cli import main
from fleetscore.frames import TABLE_COLUMNS
from tests.testkit import scorer_fleet
from tests.testkit.scorer_command import scorer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fleet in which press-2 has an anomaly and the model of press-3 is unreadable."""
    path = tmp_path_factory.mktemp("fleet")
    (path / "models").mkdir()
    (path / "data" / scorer_fleet.PARTITION).mkdir(parents=True)
    for device, spike in (("press-1", False), ("press-2", True), ("press-3", False)):
        model = b"broken" if device == "press-3" else scorer_fleet.bundle({"1": scorer_fleet.a_model()})
        (path / "models" / f"{device}.joblib").write_bytes(model)
        values = (*scorer_fleet.NORMAL, scorer_fleet.SPIKE) if spike else scorer_fleet.NORMAL
        content = scorer_fleet.readings(device, values=values)
        (path / "data" / scorer_fleet.PARTITION / f"{device}.csv").write_bytes(content)
    window = ["--window-start", scorer_fleet.START, "--window-end", scorer_fleet.END]
    scorer("score", "--store", str(path), *window, "press-1", "press-2", "press-3")
    assert scorer("report", "--store", str(path), *window).code == 0
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_anomalies_of_the_newest_window_fit_into_80_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "anomalies", "--store", str(folder))
    assert code == 0
    assert out.splitlines()[0].split() == ["DEVICE", "TAG", "ROWS", "ANOMALIES", "FIRST", "WORSTVAL"]
    assert out.splitlines()[1].split()[:4] == ["press-2", "1", "6", "1"]
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("form", ["table", "json", "name"])
@pytest.mark.parametrize("command", ["anomalies", "failed", "incidents", "sensors"])
def test_file_of_another_kind_in_a_report_is_an_error_with_its_name(
    command: str, form: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = shutil.copytree(folder, tmp_path / "store")
    for path in (store / "predictions").glob("2018*/_*.csv"):
        path.write_text('{"a":1}')
    code, out, error = run(capsys, command, "--store", str(store), "-o", form)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"error: 2018\S+\.csv is invalid: it lacks the columns .*; the next report of .* it\n", error)


def test_score_that_is_not_finite_is_null_in_json_and_empty_cells_too(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = shutil.copytree(folder, tmp_path / "store")
    (path,) = (store / "predictions").glob("2018*/_anomalies.csv")
    header = path.read_text().splitlines()[0]
    path.write_text(f"{header}\na,1,6,1,,,,inf,-0.5\nb,1,,1,,,,,\n")
    _, out, _ = run(capsys, "anomalies", "--store", str(store), "-o", "json")
    keys = ("Rows", "WorstVal", "WorstScore", "First")
    assert [[one[key] for key in keys] for one in json.loads(out)] == [[6, None, -0.5, ""], [None, None, None, ""]]
    assert not {"Infinity", "NaN"} & set(re.findall(r"\w+", out))
    _, out, _ = run(capsys, "anomalies", "--store", str(store))
    assert out.splitlines()[2].split() == ["b", "1", "1"]


def test_failed_devices_have_reason_and_message(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "failed", "--store", str(folder), "-o", "json")
    found = json.loads(out)
    assert [(one["Device"], one["Window"]) for one in found] == [("press-3", "2018-08-28T23:00Z")]


@pytest.mark.parametrize("command", ["anomalies", "failed", "incidents", "sensors"])
def test_window_without_a_report_is_an_error(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, error = run(capsys, command, "--store", str(folder), "--window", "2018-08-27T23:00Z")
    assert (code, out) == (1, "")
    text = "error: window 2018-08-27T23:00Z/1h has no report"
    assert error == f"{text}, which is written at the end of a run; name another --window\n"


@pytest.mark.parametrize("command", ["anomalies", "failed", "incidents", "sensors"])
def test_window_has_no_rows_of_the_windows_that_begin_within_it(
    command: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = shutil.copytree(folder, tmp_path / "store")
    (hour,) = (store / "predictions").glob("2018*")
    (hour / "_incidents.csv").write_text(f"{','.join(TABLE_COLUMNS['_incidents.csv'])}\na,press-2{',' * 9}\n")
    (hour / "_sensors.csv").write_text("Device,Tag,Flag,Since,Rows,Detail\npress-2,1,stale,,,\n")
    day = shutil.copytree(hour, store / "predictions" / "20180828T230000Z_20180829T230000Z")
    expected = {"2018-08-28T23:00Z": (1, "1h"), "2018-08-28T23:00Z/1d": (1, "24h")}
    for window, (count, length) in expected.items():
        _, out, _ = run(capsys, command, "--store", str(store), "--window", window, "-o", "json")
        found = json.loads(out)
        assert (len(found), found[0]["Window"], found[0]["Length"]) == (count, "2018-08-28T23:00Z", length)
    _, out, _ = run(capsys, command, "--store", str(store), "-o", "name")
    assert len(out.splitlines()) == 1
    _, out, _ = run(capsys, command, "--store", str(store), "--since", "99999d", "-o", "wide")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["2018-08-28T23:00Z/1h", "2018-08-28T23:00Z/24h"]
    shutil.rmtree(day)
    code, _, error = run(capsys, command, "--store", str(store), "--window", "2018-08-28T23:00Z/1d")
    assert (code, error.startswith("error: window 2018-08-28T23:00Z/24h has no report")) == (1, True)


def test_time_without_a_report_gives_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, error = run(capsys, "failed", "--store", str(folder), "--since", "1h")
    assert (code, out) == (0, "")
    assert error.startswith("no window from ")
    text = " has a report, which is written at the end of a run; `fleetscore "
    assert text in error
    (command,) = re.findall("`fleetscore ([^`]+)`", error)
    assert main(shlex.split(command)) == 0
    assert "press-3" in capsys.readouterr().out


@pytest.mark.parametrize("hours", [0, 50])
def test_hint_of_a_window_without_a_failed_device_reaches_the_windows_before_it(
    hours: int, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The data may be old: a span counts from now."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    store = shutil.copytree(folder, tmp_path / "store")
    (source,) = (store / "predictions").glob("2018*")
    for back, name in ((1 + hours, "newest"), (2 + hours, "older")):
        start = now - timedelta(hours=back)
        slug = f"{start:%Y%m%dT%H%M%SZ}_{start + timedelta(hours=1):%Y%m%dT%H%M%SZ}"
        shutil.copytree(source, store / "predictions" / slug)
        if name == "newest":
            (store / "predictions" / slug / "_failures.csv").write_text("Device,Outcome,Reason,Message\n")
    code, out, error = run(capsys, "failed", "--store", str(store))
    assert (code, out) == (0, "")
    (command,) = re.findall("`fleetscore ([^`]+)` lists those of older windows", error)
    code, out, _ = run(capsys, *shlex.split(command))
    assert (code, "press-3" in out) == (0, True)
    assert ("--since 2d" in command) == (hours == 0)


def test_devices_without_readings_and_without_predictions_are_not_silent(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = shutil.copytree(folder, tmp_path / "store")
    for device in ("press-4", "press-5", "press-6"):
        shutil.copy2(store / "models" / "press-1.joblib", store / "models" / f"{device}.joblib")
    (store / "models" / "press-6.joblib").rename(store / "models" / "press-7.joblib")
    readings = scorer_fleet.readings("press-7", values=scorer_fleet.NORMAL)
    (store / "data" / scorer_fleet.PARTITION / "press-7.csv").write_bytes(readings)
    window = ["--window-start", scorer_fleet.START, "--window-end", scorer_fleet.END]
    assert scorer("report", "--store", str(store), *window).code == 0
    code, out, error = run(capsys, "failed", "--store", str(store))
    assert code == 0
    assert re.search(r"press-7 +missing +it has no predictions in this window", out)
    assert error.startswith("2 devices had no readings in this window: press-4, press-5; check the ingestion")
    (command,) = re.findall("`fleetscore ([^`]+)`", error)
    assert main(shlex.split(command)) == 0
    capsys.readouterr()
    _, out, error = run(capsys, "failed", "--store", str(store), "-o", "json")
    messages = {one["Device"]: one["Message"] for one in json.loads(out)}
    assert (messages["press-7"], error) == ("it has no predictions in this window", "")
    _, _, error = run(capsys, "failed", "--store", str(store), "--since", "99999d", "-o", "wide")
    assert error.startswith("2 devices had no readings in a window: ")


@pytest.mark.parametrize("command", ["anomalies", "failed", "incidents", "sensors"])
def test_since_before_the_first_date_means_all_windows(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run(capsys, command, "--store", str(folder), "--since", "999999d")
    assert code == 0
    assert "has a report" not in error


def test_window_with_a_report_without_rows_gives_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, error = run(capsys, "incidents", "--store", str(folder), "--window", "2018-08-28T23:00Z")
    assert (code, out) == (0, "")
    assert error.startswith("no incidents from 2018-08-28T23:00Z to 2018-08-29T00:00Z; ")


def test_window_without_an_incident_names_the_command_for_its_anomalies(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = run(capsys, "incidents", "--store", str(folder))
    assert (code, out) == (0, "")
    assert error.startswith("no incidents from 2018-08-28T23:00Z to 2018-08-29T00:00Z; ")
    assert f"`fleetscore anomalies --store {folder}`" in error


def test_store_without_a_report_is_an_error_with_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = run(capsys, "incidents", "--store", str(tmp_path))
    assert (code, out) == (1, "")
    assert error == f"error: {tmp_path} has no report of a window; it is written at the end of a run\n"


@pytest.mark.parametrize(
    "words", [["--window", "yesterday"], ["--window", "9999-12-31T23:00Z"], ["--since", "-1h"], ["--store", "missing"]]
)
def test_invalid_argument_is_an_error_without_a_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    code, out, error = run(capsys, "sensors", "--store", str(folder), *words)
    assert (code, out) == (1, "")
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
