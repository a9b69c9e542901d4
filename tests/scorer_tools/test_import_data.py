import csv
import random
from pathlib import Path

import pytest

from tests.testkit.scorer_command import Said, files, scorer

HEADER = "TS,Device,Tag,Value\n"
DUMP = HEADER + (
    "2018-08-28 23:00:05.000,1,1,10.160\n"
    "2018-08-29T01:30:00+02:00,1,temp,1e1\n"
    "1535500800000,2,1, 7\n"
    "2018-08-28 23:59:59.999999999,1,1,\n"
    "2018-08-29 00:00:00.000,1,1,nan\n"
)


def imported(folder: Path, text: str | bytes, *words: str | Path) -> Said:
    path = folder / "dump.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return scorer("import", "--store", folder / "store", "--data", path, *words)


def data(folder: Path) -> dict[str, str]:
    return {name: content.decode() for name, content in files(folder / "store" / "data").items()}


def test_each_row_comes_into_its_hour_and_device_with_its_texts_as_they_came(tmp_path: Path) -> None:
    said = imported(tmp_path, DUMP)
    assert said.code == 0, said.err
    assert data(tmp_path) == {
        "20180828T2300Z/1.csv": HEADER
        + "2018-08-28 23:00:05.000,1,1,10.160\n"
        + "2018-08-29T01:30:00+02:00,1,temp,1e1\n"
        + "2018-08-28 23:59:59.999999999,1,1,\n",
        "20180829T0000Z/1.csv": HEADER + "2018-08-29 00:00:00.000,1,1,nan\n",
        "20180829T0000Z/2.csv": HEADER + "1535500800000,2,1, 7\n",
    }
    assert "5 readings of 2 devices; 3 blobs written" in said.out
    assert not (tmp_path / "store/dump.rejects.csv").exists()


def test_importing_twice_changes_nothing_and_says_so(tmp_path: Path) -> None:
    imported(tmp_path, DUMP)
    before = files(tmp_path)
    said = imported(tmp_path, DUMP)
    assert said.code == 0
    assert "0 blobs written, 3 already there" in said.out
    assert files(tmp_path) == before


def test_what_differs_is_named_and_kept_until_replace_is_given(tmp_path: Path) -> None:
    imported(tmp_path, DUMP)
    before = data(tmp_path)
    other = DUMP.replace("10.160", "10.2")
    said = imported(tmp_path, other)
    assert said.code == 65
    assert "20180828T2300Z/1.csv" in said.err
    assert data(tmp_path) == before
    assert imported(tmp_path, other, "--replace").code == 0
    assert "10.2\n" in data(tmp_path)["20180828T2300Z/1.csv"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + DUMP,
        DUMP.replace("\n", "\r\n"),
        DUMP.replace("\n", "\n\n"),
        "".join(f"x,{line}" if number else f"Extra,{line}" for number, line in enumerate(DUMP.splitlines(True))),
        "".join(
            ",".join([*line.split(",")[2:], *line.split(",")[:2]]).replace("\n", "") + "\n"
            for line in DUMP.splitlines(True)
        ),
    ],
    ids=["byte order mark", "CRLF", "blank lines", "another column", "another order"],
)
def test_forms_of_csv_give_the_same_blobs(tmp_path: Path, text: str) -> None:
    imported(tmp_path, DUMP)
    before = data(tmp_path)
    said = imported(tmp_path, text)
    assert (said.code, data(tmp_path)) == (0, before), said.err


def test_devices_and_tags_with_commas_quotes_and_dots_keep_their_names(tmp_path: Path) -> None:
    said = imported(tmp_path, HEADER + '2018-08-28T23:00:00Z,"a,b","say ""hi"", you",1\n2018-08-28T23:00:00Z,..,1,2\n')
    assert said.code == 0, said.err
    found = data(tmp_path)
    assert sorted(found) == ["20180828T2300Z/%2E%2E.csv", "20180828T2300Z/a%2Cb.csv"]
    assert list(csv.reader(found["20180828T2300Z/a%2Cb.csv"].splitlines()))[1][1:3] == ["a,b", 'say "hi", you']


BAD_ROWS = [
    ("2018-13-01 00:00:00,1,1,5\n", "month"),
    ("yesterday,1,1,5\n", "TS is neither"),
    ("999999999999999,1,1,5\n", "years 1 to 9999"),
    ("2018-08-28T23:00:00Z,a b,1,5\n", "Device is no id"),
    ("2018-08-28T23:00:00Z,ü,1,5\n", "Device is no id"),
    ("2018-08-28T23:00:00Z,,1,5\n", "Device or Tag is empty"),
    ("2018-08-28T23:00:00Z,1,1\n", "3 fields in place of 4"),
    ('2018-08-28T23:00:00Z,1,"1,5\n', "end of data"),
    (b"2018-08-28T23:00:00Z,1,\xff,5\n", "no UTF-8"),
    ("2018-08-28T23:00:00Z,1,1,5", "no line end"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS, ids=[str(row) for row, _ in BAD_ROWS])
def test_a_row_without_a_place_is_counted_named_and_copied(tmp_path: Path, row: str | bytes, reason: str) -> None:
    raw = row.encode() if isinstance(row, str) else row
    said = imported(tmp_path, DUMP.encode() + raw)
    assert said.code == 0
    assert "5 readings of 2 devices" in said.out
    assert "1 rows rejected" in said.out
    assert "the first is line 7" in said.err
    assert reason in said.err
    rejects = (tmp_path / "store/dump.rejects.csv").read_bytes().splitlines()
    assert rejects[0] == b"Line,Reason," + HEADER.strip().encode()
    assert rejects[1].startswith(b"7,")
    assert rejects[1].endswith(b"," + raw.strip())


def test_a_mended_rejects_file_is_a_dump_itself(tmp_path: Path) -> None:
    imported(tmp_path, HEADER + "2018-08-28 24:00:00,1,1,5\n2018-08-28T23:00:00Z,2,1,5\n")
    rejects = tmp_path / "store/dump.rejects.csv"
    rejects.write_text(rejects.read_text().replace(" 24:", "T23:"))
    said = scorer("import", "--store", tmp_path / "store", "--data", rejects)
    assert said.code == 0, said.err
    assert data(tmp_path)["20180828T2300Z/1.csv"] == HEADER + "2018-08-28T23:00:00,1,1,5\n"


def test_every_row_is_either_placed_or_rejected(tmp_path: Path) -> None:
    dice = random.Random(3)  # noqa: S311 (rows, not secrets)
    parts = [["2018-08-28T23:00:00Z", "x", "1535500800000"], ["1", "", "b c"], ["t", "t,u", ""], ["1", "", '"']]
    lines = [",".join(map(dice.choice, parts)) for _ in range(400)]
    imported(tmp_path, HEADER + "".join(f"{line}\n" for line in lines))
    placed = [row for text in data(tmp_path).values() for row in text.splitlines()[1:]]
    rejected = (tmp_path / "store/dump.rejects.csv").read_text().splitlines()[1:]
    copies = [line.split(",", 1)[1] for line in rejected]
    assert len(placed) + len(copies) == len(lines)
    assert all(any(copy.endswith(f",{line}") for copy in copies) or line in placed for line in lines)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("<html>\n", "<html>"), ("TS;Device;Tag;Value\n", "TS;Device"), ("TS,Device,Value\n", "TS,Device,Value")],
)
def test_a_file_that_is_no_such_csv_is_refused_quoting_its_first_line(tmp_path: Path, text: str, quoted: str) -> None:
    said = imported(tmp_path, text)
    assert said.code == 65
    assert quoted in said.err
    assert data(tmp_path) == {}


def test_a_file_without_rows_is_said_to_bring_nothing(tmp_path: Path) -> None:
    said = imported(tmp_path, HEADER)
    assert said.code == 0
    assert "dump.csv has a header and no rows" in said.err
    assert data(tmp_path) == {}


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    said = scorer("import", "--store", tmp_path, "--data", tmp_path / "none.csv")
    assert (said.code, "none.csv" in said.err) == (64, True)


def test_only_rejects_is_a_failure(tmp_path: Path) -> None:
    assert imported(tmp_path, HEADER + "x,1,1,1\n").code == 65


def test_more_than_the_scorer_reads_of_one_partition_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_MAX_DATA_BYTES", "100")
    said = imported(tmp_path, DUMP)
    assert said.code == 65
    assert "20180828T2300Z/1.csv would have" in said.err
    assert sorted(data(tmp_path)) == ["20180829T0000Z/1.csv", "20180829T0000Z/2.csv"]


def test_partitions_and_path_are_the_fleets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_DATA_PARTITION", "P1D")
    monkeypatch.setenv("FLEETSCORE_DATA_PATH", "by-device/{device}/{yyyy}-{MM}-{dd}.csv")
    imported(tmp_path, DUMP)
    assert sorted(data(tmp_path)) == [
        "by-device/1/2018-08-28.csv",
        "by-device/1/2018-08-29.csv",
        "by-device/2/2018-08-29.csv",
    ]
