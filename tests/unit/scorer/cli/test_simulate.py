"""The command `device-scorer simulate`: arguments, output and exit code."""

import csv
from pathlib import Path

import pytest

from device_scorer.contract.digest import decode_digest
from device_scorer.store.folder import FolderStore
from tests.testkit.scorer_command import files, scorer
from tests.testkit.scorer_fleet import END, START

SMALL = ("simulate", "--devices", "4", "--tags", "2", "--end", "2018-08-29T00:00:00Z", "--hours", "3")


def test_other_readings_in_the_store_are_kept_and_named(tmp_path: Path) -> None:
    scorer(*SMALL, "--store", tmp_path)
    before = files(tmp_path / "data")
    result = scorer(*SMALL, "--store", tmp_path, "--seed", "2")
    assert result.code == 65
    assert "20180828T2100Z/press-1.csv" in result.err
    assert files(tmp_path / "data") == before
    assert scorer(*SMALL, "--store", tmp_path, "--seed", "2", "--replace").code == 0
    assert files(tmp_path / "data") != before


@pytest.mark.parametrize(
    "wrong",
    [("--devices", "0"), ("--interval", "x"), ("--anomaly-rate", "2"), ("--prefix", "a b"), ("--start", "yesterday")],
    ids=" ".join,
)
def test_invalid_argument_is_wrong_usage(tmp_path: Path, wrong: tuple[str, str]) -> None:
    result = scorer(*SMALL, *wrong, "--store", tmp_path)
    assert result.code == 64
    assert "Traceback" not in result.err


def test_output_has_the_numbers_of_readings_blobs_and_anomalies(tmp_path: Path) -> None:
    result = scorer(*SMALL, "--store", tmp_path)
    assert result.code == 0
    assert result.out.startswith(
        "5,760 readings of 4 devices x 2 tags, 2018-08-28T21:00:00Z/2018-08-29T00:00:00Z: "
        "12 blobs written, 0 already exist\n"
    )
    assert result.out.endswith(f" injected anomalies: {tmp_path / 'truth.csv'}\n")


@pytest.mark.parametrize("count", ["0", "10000001", "1e3", "-1"])
def test_counts_are_from_1_to_10_million(tmp_path: Path, count: str) -> None:
    result = scorer(*SMALL, "--interval", count, "--store", tmp_path)
    assert (result.code, "must be a whole number from 1 to 10,000,000" in result.err) == (64, True)


def test_path_without_a_device_is_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_DATA_PATH", "{yyyy}/all.csv")
    result = scorer(*SMALL, "--store", tmp_path)
    assert (result.code, "simulate writes a blob per device; add {device}" in result.err) == (64, True)


def test_readings_have_24_hours_without_another_length(tmp_path: Path) -> None:
    words = ("simulate", "--devices", "1", "--tags", "1", "--interval", "3600", "--store", tmp_path)
    result = scorer(*words, "--end", "2018-08-29T00:00:00Z")
    assert "24 readings of 1 device x 1 tag, 2018-08-28T00:00:00Z/2018-08-29T00:00:00Z" in result.out


def test_hours_count_from_the_start(tmp_path: Path) -> None:
    words = ("simulate", "--devices", "1", "--tags", "1", "--store", tmp_path)
    result = scorer(*words, "--start", "2018-08-28T00:00:00Z", "--hours", "2")
    assert "2018-08-28T00:00:00Z/2018-08-28T02:00:00Z: 2 blobs written" in result.out


@pytest.mark.parametrize(("hours", "code"), [("2", 0), ("3", 64)])
def test_start_end_and_hours_must_agree(tmp_path: Path, hours: str, code: int) -> None:
    span = ("--start", "2018-08-28T00:00:00Z", "--end", "2018-08-28T02:00:00Z", "--hours", hours)
    result = scorer("simulate", "--devices", "1", "--tags", "1", "--store", tmp_path, *span)
    assert (result.code, "contradict each other" in result.err) == (code, code == 64)


def test_hours_after_the_last_year_are_wrong_usage(tmp_path: Path) -> None:
    result = scorer("simulate", "--start", "9000-01-01T00:00:00Z", "--hours", "10000000", "--store", tmp_path)
    assert (result.code, "outside of the years 1 to 9999" in result.err) == (64, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "anomalous", "flags"),
    [
        ("spike", True, []),
        ("shift", True, []),
        ("drift", True, []),
        ("stuck", False, ["stuck"]),
        ("out-of-range", True, ["stuck", "implausible"]),
        ("dead", False, ["silent"]),
        ("sparse", False, ["sparse"]),
        ("late", False, ["stale"]),
        ("machine-off", True, ["stuck"]),
        ("hall", True, []),
    ],
)
def test_digest_flags_exactly_the_sensors_of_the_truth(
    tmp_path: Path, kind: str, flags: list[str], *, anomalous: bool
) -> None:
    small = ("--devices", "3", "--tags", "2", "--hours", "6", "--end", END)
    assert scorer("simulate", "--store", tmp_path, *small, "--inject", kind).code == 0
    assert scorer("train", "--store", tmp_path, "--end", START).code == 0
    window = ("--window-start", START, "--window-end", END)
    assert scorer("score", "--store", tmp_path, *window, "--", "press-1", "press-2", "press-3").code == 0
    truth = {(row["Device"], row["Tag"]) for row in csv.DictReader((tmp_path / "truth.csv").read_text().splitlines())}
    found = {}
    for info in FolderStore(tmp_path).list("predictions"):
        digest = decode_digest(info.metadata["digest"])
        assert digest is not None
        for tag in digest.tags:
            found[Path(info.name).stem, tag.tag] = (tag.anomalies > 0, [flag.name for flag in tag.flags])
    assert {sensor: result for sensor, result in found.items() if result != (False, [])} == dict.fromkeys(
        truth, (anomalous, flags)
    )
    assert len({device for device, _ in truth}) == (3 if kind == "hall" else 1)


def test_unknown_kind_of_fault_is_wrong_usage(tmp_path: Path) -> None:
    result = scorer(*SMALL, "--inject", "fire", "--store", tmp_path)
    assert (result.code, "invalid choice: 'fire'" in result.err) == (64, True)
