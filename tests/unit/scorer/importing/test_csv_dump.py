"""Import of a shared CSV dump."""

import csv
import gzip
import io
import json
import random
from pathlib import Path

import pytest

from device_scorer.errors import DataInvalid, UsageInvalid
from device_scorer.importing.csv_dump import MAX_LINE_BYTES, CsvDump, RejectedRows, import_dump
from device_scorer.quality import parse_quality
from device_scorer.readings import COLUMNS, EXCLUDED_ROW
from device_scorer.settings import Limits, Settings
from device_scorer.store.folder import FolderStore
from device_scorer.store.upload import UploadResult
from tests.testkit.scorer_command import CommandResult, files, scorer

HEADER = "TS,Device,Tag,Value\n"
DUMP = HEADER + (
    "2018-08-28 23:00:05.000,1,1,10.160\n"
    "2018-08-29T01:30:00+02:00,1,temp,1e1\n"
    "1535500800000,2,1, 7\n"
    "2018-08-28 23:59:59.999999999,1,1,\n"
    "2018-08-29 00:00:00.000,1,1,nan\n"
)


def imported(folder: Path, text: str | bytes, *words: str | Path) -> CommandResult:
    path = folder / "dump.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return scorer("import", "--store", folder / "store", "--data", path, *words)


def data(folder: Path) -> dict[str, str]:
    return {name: content.decode() for name, content in files(folder / "store" / "data").items()}


def data_of(store: FolderStore, name: str) -> str:
    blob = store.read("data", name)
    assert blob is not None
    return blob.content.decode()


BAD_ROWS = [
    ("2018-13-01 00:00:00,1,1,5\n", "month"),
    ("yesterday,1,1,5\n", "TS is neither"),
    ("999999999999999,1,1,5\n", "years 1 to 9999"),
    ("2018-08-28T23:00:00Z,a b,1,5\n", "Device is not an id"),
    ("2018-08-28T23:00:00Z,ü,1,5\n", "Device is not an id"),
    ("2018-08-28T23:00:00Z,,1,5\n", "Device or Tag is empty"),
    ("2018-08-28T23:00:00Z,1,1\n", "3 fields in place of 4"),
    ('2018-08-28T23:00:00Z,1,"1,5\n', "end of data"),
    (b"2018-08-28T23:00:00Z,1,\xff,5\n", "not UTF-8"),
    ("2018-08-28T23:00:00Z,1,1,5", "no line end"),
]


def test_each_row_is_in_the_blob_of_its_hour_and_device_with_its_text(tmp_path: Path) -> None:
    result = imported(tmp_path, DUMP)
    assert result.code == 0, result.err
    assert data(tmp_path) == {
        "20180828T2300Z/1.csv": HEADER
        + "2018-08-28 23:00:05.000,1,1,10.160\n"
        + "2018-08-29T01:30:00+02:00,1,temp,1e1\n"
        + "2018-08-28 23:59:59.999999999,1,1,\n",
        "20180829T0000Z/1.csv": HEADER + "2018-08-29 00:00:00.000,1,1,nan\n",
        "20180829T0000Z/2.csv": HEADER + "1535500800000,2,1, 7\n",
    }
    assert "5 readings of 2 devices; 3 blobs written" in result.out
    assert not (tmp_path / "store/dump.rejects.csv").exists()


def test_second_import_writes_no_blobs(tmp_path: Path) -> None:
    imported(tmp_path, DUMP)
    before = files(tmp_path)
    result = imported(tmp_path, DUMP)
    assert result.code == 0
    assert "0 blobs written, 3 already exist" in result.out
    assert files(tmp_path) == before


def test_different_blob_is_named_and_kept_without_replace(tmp_path: Path) -> None:
    imported(tmp_path, DUMP)
    before = data(tmp_path)
    other = DUMP.replace("10.160", "10.2")
    result = imported(tmp_path, other)
    assert result.code == 65
    assert "20180828T2300Z/1.csv" in result.err
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
def test_variants_of_csv_give_the_same_blobs(tmp_path: Path, text: str) -> None:
    imported(tmp_path, DUMP)
    before = data(tmp_path)
    result = imported(tmp_path, text)
    assert (result.code, data(tmp_path)) == (0, before), result.err


def test_devices_and_tags_with_commas_quotes_and_dots_keep_their_names(tmp_path: Path) -> None:
    result = imported(
        tmp_path, HEADER + '2018-08-28T23:00:00Z,"a,b","say ""hi"", you",1\n2018-08-28T23:00:00Z,..,1,2\n'
    )
    assert result.code == 0, result.err
    found = data(tmp_path)
    assert sorted(found) == ["20180828T2300Z/%2E%2E.csv", "20180828T2300Z/a%2Cb.csv"]
    assert list(csv.reader(found["20180828T2300Z/a%2Cb.csv"].splitlines()))[1][1:3] == ["a,b", 'say "hi", you']


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS, ids=[str(row) for row, _ in BAD_ROWS])
def test_rejected_row_is_counted_named_and_copied(tmp_path: Path, row: str | bytes, reason: str) -> None:
    raw = row.encode() if isinstance(row, str) else row
    result = imported(tmp_path, DUMP.encode() + raw)
    assert result.code == 0
    assert "5 readings of 2 devices" in result.out
    assert "1 row rejected" in result.out
    assert "1 row is rejected; the first is line 7" in result.err
    assert reason in result.err
    rejects = (tmp_path / "store/dump.rejects.csv").read_bytes().splitlines()
    assert rejects[0] == b"Line,Reason," + HEADER.strip().encode()
    assert rejects[1].startswith(b"7,")
    assert rejects[1].endswith(b"," + raw.strip())


def test_fixed_rejects_file_can_be_imported(tmp_path: Path) -> None:
    imported(tmp_path, HEADER + "2018-08-28 24:00:00,1,1,5\n2018-08-28T23:00:00Z,2,1,5\n")
    rejects = tmp_path / "store/dump.rejects.csv"
    rejects.write_text(rejects.read_text().replace(" 24:", "T23:"))
    result = scorer("import", "--store", tmp_path / "store", "--data", rejects)
    assert result.code == 0, result.err
    assert data(tmp_path)["20180828T2300Z/1.csv"] == HEADER + "2018-08-28T23:00:00,1,1,5\n"


def test_every_row_is_either_imported_or_rejected(tmp_path: Path) -> None:
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
def test_file_with_other_columns_is_rejected_with_its_first_line(tmp_path: Path, text: str, quoted: str) -> None:
    result = imported(tmp_path, text)
    assert result.code == 65
    assert quoted in result.err
    assert data(tmp_path) == {}


def test_file_without_rows_is_a_warning(tmp_path: Path) -> None:
    result = imported(tmp_path, HEADER)
    assert result.code == 0
    assert "dump.csv has a header and no rows" in result.err
    assert data(tmp_path) == {}


def test_dump_with_only_rejected_rows_ends_with_65(tmp_path: Path) -> None:
    assert imported(tmp_path, HEADER + "x,1,1,1\n").code == 65


def test_partition_above_the_scorers_limit_is_named_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETSCORE_MAX_DATA_BYTES", "100")
    result = imported(tmp_path, DUMP)
    assert result.code == 65
    assert "20180828T2300Z/1.csv would have" in result.err
    assert sorted(data(tmp_path)) == ["20180829T0000Z/1.csv", "20180829T0000Z/2.csv"]


def test_partition_length_and_path_are_those_of_the_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_DATA_PARTITION", "P1D")
    monkeypatch.setenv("FLEETSCORE_DATA_PATH", "by-device/{device}/{yyyy}-{MM}-{dd}.csv")
    imported(tmp_path, DUMP)
    assert sorted(data(tmp_path)) == [
        "by-device/1/2018-08-28.csv",
        "by-device/1/2018-08-29.csv",
        "by-device/2/2018-08-29.csv",
    ]


def test_line_of_a_dump_has_at_most_1_mib() -> None:
    assert MAX_LINE_BYTES == 1_048_576


def test_line_above_the_limit_is_one_rejected_line_and_no_reading(tmp_path: Path) -> None:
    row = "2018-08-28T23:00:00Z,1,1,5\n"
    long = "x" * MAX_LINE_BYTES + row
    result = imported(tmp_path, HEADER + row + long + "x" * MAX_LINE_BYTES + long + "yesterday,1,1,5\n" + row)
    assert data(tmp_path)["20180828T2300Z/1.csv"] == HEADER + row * 2
    assert "2 rows are rejected; the first is line 3: the line has more than 1,048,576 bytes" in result.err
    assert "1 row is rejected; the first is line 5: TS is neither" in result.err
    again = scorer("import", "--store", tmp_path, "--data", tmp_path / "store/dump.rejects.csv")
    assert "2 rows are rejected; the first is line 2: the line has more than 1,048,576 bytes" in again.err


@pytest.mark.parametrize("end", ["", "\n"])
def test_line_with_exactly_the_limit_is_read(tmp_path: Path, end: str) -> None:
    row = "2018-08-28T23:00:00Z,1,1,"
    result = imported(tmp_path, HEADER + row + "5".zfill(MAX_LINE_BYTES - len(row) - len(end)) + end)
    assert ("more than" in result.err, "no line end" in result.err) == (False, not end)


def test_compressed_dump_is_to_be_decompressed(tmp_path: Path) -> None:
    result = imported(tmp_path, gzip.compress(DUMP.encode()))
    assert result.code == 65
    assert "dump.csv: the file is compressed by gzip; decompress it" in result.err
    assert "Content-Encoding" not in result.err


def test_rejects_file_that_cannot_be_written_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    with (
        RejectedRows(tmp_path / "missing" / "rejects.csv") as rejects,
        pytest.raises(UsageInvalid, match=r"cannot be written: .*; name another --rejects"),
    ):
        rejects.add(2, b"x\n", "a reason")


@pytest.mark.parametrize("count", [1, 1000], ids=["on closing", "on writing"])
def test_full_disk_of_the_rejected_rows_is_transient_and_named(tmp_path: Path, count: int) -> None:
    result = imported(tmp_path, HEADER + "yesterday,1,1,5\n" * count, "--rejects", "/dev/full")
    assert result.code == 75
    assert "/dev/full cannot be written: No space left on device; free space on the disk, or name an" in result.err


def test_full_disk_of_the_rejected_rows_does_not_hide_an_earlier_error() -> None:
    rejects = RejectedRows(Path("/dev/full"))
    rejects.add(2, b"x\n", "a reason")
    with pytest.raises(DataInvalid, match="earlier"), rejects:
        raise DataInvalid("earlier")


@pytest.mark.parametrize("link", [None, "symlink_to", "hardlink_to"])
def test_rejects_file_that_is_the_dump_is_wrong_usage_and_keeps_it(tmp_path: Path, link: str | None) -> None:
    dump = rejects = tmp_path / "dump.csv"
    if link is not None:
        rejects = tmp_path / "rejects.csv"
        dump.touch()
        getattr(rejects, link)(dump)
    text = DUMP + "yesterday,1,1,5\n"
    result = imported(tmp_path, text, "--rejects", rejects)
    assert result.code == 64
    assert f"--data {dump} and --rejects {rejects} are the same file; name another --rejects" in result.err
    assert dump.read_text() == text
    assert not (tmp_path / "store/data").exists()


def test_result_of_an_import_counts_rows_devices_and_rejected_rows(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv"
    path.write_text(DUMP + "yesterday,1,1,5\nyesterday,1,1,6\n")
    settings = Settings(folder=tmp_path, limits=Limits(max_data_bytes=100))
    store = FolderStore(tmp_path)
    dump = import_dump(store, settings, path, tmp_path / "rejects.csv")
    assert (dump.rows, dump.devices, list(dump.too_large)) == (5, 2, ["20180828T2300Z/1.csv"])
    assert dump.blobs == {UploadResult.WRITTEN: 2}
    assert (list(dump.rejected.values()), list(dump.first_line_numbers.values())) == ([2], [7])
    assert not dump.complete
    again = import_dump(store, Settings(folder=tmp_path), path, tmp_path / "rejects.csv")
    assert again.blobs == {UploadResult.WRITTEN: 1, UploadResult.UNCHANGED: 2}
    assert again.complete


@pytest.mark.parametrize(
    ("existing", "shortened"),
    [
        (HEADER + "2018-08-29 00:00:00.000,1,1,nan\n", []),
        (HEADER + "2018-08-29 00:00:00.000,1,1,12345.678\n", []),
        (HEADER + "2018-08-29 00:00:00.000,1,1,1\n2018-08-29 00:00:01.000,1,1,1", ["20180829T0000Z/1.csv"]),
        (HEADER * 9, []),
    ],
    ids=["equal", "corrected", "more readings", "above the limit"],
)
def test_replaced_blob_is_shortened_if_it_had_more_readings(
    tmp_path: Path, existing: str, shortened: list[str]
) -> None:
    path = tmp_path / "dump.csv"
    path.write_text(DUMP)
    store = FolderStore(tmp_path)
    store.write("data", "20180829T0000Z/1.csv", existing.encode())
    settings = Settings(folder=tmp_path, limits=Limits(max_data_bytes=150))
    dump = import_dump(store, settings, path, tmp_path / "rejects.csv", replace=True)
    assert dump.shortened == shortened
    assert dump.blobs == {UploadResult.WRITTEN: 3}
    assert data_of(store, "20180829T0000Z/1.csv") == HEADER + "2018-08-29 00:00:00.000,1,1,nan\n"


def test_dump_that_exceeds_the_memory_gives_the_same_blobs(tmp_path: Path) -> None:
    content = DUMP.encode()

    def blobs(memory_bytes: int) -> dict[str, bytes]:
        dump = CsvDump(io.BytesIO(content), len(content), Settings(), RejectedRows(tmp_path / "r"), memory_bytes)
        return dict(dump.blobs())

    assert blobs(1) == blobs(10**9)


def test_header_of_a_blob_counts_towards_the_limit(tmp_path: Path) -> None:
    content = (HEADER + "2018-08-28T23:00:00Z,1,1,1\n").encode()

    def names(max_data_bytes: int) -> list[str]:
        settings = Settings(limits=Limits(max_data_bytes=max_data_bytes))
        dump = CsvDump(io.BytesIO(content), len(content), settings, RejectedRows(tmp_path / "r"))
        return [name for name, _ in dump.blobs()]

    assert names(len(content)) == ["20180828T2300Z/1.csv"]
    assert names(len(content) - 1) == []


def test_rows_of_bad_quality_are_rejected_and_the_column_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETSCORE_QUALITY", '{"badWhen": {"column": "Quality", "values": ["Bad"]}}')
    dump = tmp_path / "dump.csv"
    dump.write_text(
        "Quality,TS,Device,Tag,Value\n"
        "Bad,2018-08-28T23:00:00Z,press-1,1,0\n"
        '"Good, enough",2018-08-28T23:01:00Z,press-1,1,50\n'
    )
    result = scorer("import", "--store", tmp_path, "--data", dump)
    assert "1 row is rejected; the first is line 2: the fleet's quality rules exclude the row" in result.err
    blob = (tmp_path / "data/20180828T2300Z/press-1.csv").read_text()
    assert blob == 'TS,Device,Tag,Value,Quality\n2018-08-28T23:01:00Z,press-1,1,50,"Good, enough"\n'


@pytest.mark.parametrize("column", COLUMNS)
def test_quality_column_that_is_a_column_of_readings_is_written_once(column: str, tmp_path: Path) -> None:
    bad = {"TS": "2018-08-28T23:01:00Z", "Device": "test", "Tag": "test", "Value": "I/O"}[column]
    good = {"TS": "2018-08-28T23:00:00Z", "Device": "1", "Tag": "temp", "Value": "5"}
    content = f"{HEADER}{','.join(good.values())}\n"
    dump = f"{content}{','.join((good | {column: bad}).values())}\n".encode()
    settings = Settings(quality=parse_quality(json.dumps({"badWhen": {"column": column, "values": [bad]}})))
    with RejectedRows(tmp_path / "r") as rejects:
        blobs = dict(CsvDump(io.BytesIO(dump), len(dump), settings, rejects).blobs())
    assert (blobs, rejects.reasons) == ({"20180828T2300Z/1.csv": content.encode()}, {EXCLUDED_ROW: 1})


def test_dump_without_the_quality_column_is_imported_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETSCORE_QUALITY", '{"badWhen": {"column": "Quality", "values": ["Bad"]}}')
    dump = tmp_path / "dump.csv"
    dump.write_text("TS,Device,Tag,Value\n2018-08-28T23:01:00Z,press-1,1,50\n")
    result = scorer("import", "--store", tmp_path, "--data", dump)
    assert "lacks the column 'Quality' of the fleet's quality rules" in result.err
    assert (tmp_path / "data/20180828T2300Z/press-1.csv").read_text().startswith("TS,Device,Tag,Value\n")


def test_tag_with_a_carriage_return_is_quoted(tmp_path: Path) -> None:
    dump = tmp_path / "dump.csv"
    dump.write_bytes(b"TS,Device,Tag,Value\n2018-08-28T23:01:00Z,press-1,a\rb,50\n")
    assert scorer("import", "--store", tmp_path, "--data", dump).code == 0
    blob = (tmp_path / "data/20180828T2300Z/press-1.csv").read_bytes()
    assert blob.endswith(b'press-1,"a\rb",50\n')
