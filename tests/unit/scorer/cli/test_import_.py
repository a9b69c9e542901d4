"""The command `device-scorer import`: arguments, output and exit code."""

from pathlib import Path

import pytest

from tests.testkit.scorer_command import scorer


def test_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    result = scorer("import", "--store", tmp_path, "--data", tmp_path / "none.csv")
    assert (result.code, "none.csv" in result.err) == (64, True)


def test_missing_arguments_are_wrong_usage(tmp_path: Path) -> None:
    assert scorer("import", "--store", tmp_path).code == 64
    assert scorer("import", "--store", tmp_path, "--models", tmp_path / "none").code == 64


def test_rejects_file_is_named_by_an_argument(tmp_path: Path) -> None:
    (tmp_path / "dump.csv").write_text("TS,Device,Tag,Value\nsoon,1,1,1\n2018-08-28T23:00:00Z,1,1,1\n")
    rejects = tmp_path / "rejected.csv"
    result = scorer("import", "--store", tmp_path, "--data", tmp_path / "dump.csv", "--rejects", rejects)
    assert result.code == 0
    assert f"1 row rejected: {rejects}; correct {tmp_path / 'dump.csv'} and import all of it again" in result.out
    assert rejects.exists()


def test_rows_that_the_quality_rules_exclude_need_no_correction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETSCORE_QUALITY", '{"badValues": [-9999]}')
    (tmp_path / "dump.csv").write_text("TS,Device,Tag,Value\n2018-08-28T23:00:00Z,1,1,-9999\n")
    result = scorer("import", "--store", tmp_path, "--data", tmp_path / "dump.csv")
    assert f"1 row rejected: {tmp_path / 'dump.rejects.csv'}\n" in result.out


def test_replaced_blobs_that_had_more_readings_are_named(tmp_path: Path) -> None:
    dump = tmp_path / "dump.csv"
    header, hour = "TS,Device,Tag,Value\n", "2018-08-28T23"
    dump.write_text(header + "".join(f"{hour}:{minute:02}:00Z,1,1,2\n" for minute in range(10)))
    assert scorer("import", "--store", tmp_path, "--data", dump).code == 0
    dump.write_text(f"{header}{hour}:05:00Z,1,1,2\n")
    kept = scorer("import", "--store", tmp_path, "--data", dump)
    assert kept.code == 65
    assert "kept (--replace keeps only the readings of this dump): 20180828T2300Z/1.csv" in kept.err
    replaced = scorer("import", "--store", tmp_path, "--data", dump, "--replace")
    assert replaced.code == 0
    assert f"1 replaced blob had more readings before, which {dump} lacks; import a dump that has" in replaced.err
    assert "them too: 20180828T2300Z/1.csv" in replaced.err


def test_at_most_five_conflicting_blobs_are_named(tmp_path: Path) -> None:
    for value in ("1", "2"):
        rows = "".join(f"2018-08-28T{hour:02}:00:00Z,1,1,{value}\n" for hour in range(7))
        (tmp_path / "dump.csv").write_text("TS,Device,Tag,Value\n" + rows)
        result = scorer("import", "--store", tmp_path, "--data", tmp_path / "dump.csv")
    assert result.code == 65
    assert (
        "7 blobs exist with other content and are kept (--replace keeps only the readings of this dump)" in result.err
    )
    assert result.err.count("/1.csv") == 5


def test_at_most_20_devices_without_a_readable_model_are_named(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for number in range(22):
        (tmp_path / "models" / f"model_press-{number:02}_1").write_bytes(b"malformed")
    result = scorer("import", "--store", tmp_path / "store", "--models", tmp_path / "models")
    assert result.code == 65
    (line,) = (line for line in result.err.splitlines() if "22 devices have no readable model" in line)
    assert (line.count("press-"), "press-19" in line) == (20, True)
