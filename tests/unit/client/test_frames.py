"""DataFrames of CSV files and runs."""

import tracemalloc
from collections.abc import Callable

import pandas as pd
import pytest

from fleetscore import frames
from fleetscore.errors import DataInvalid

PREDICTIONS = (
    b"TS,Device,Tag,Val,Prediction,Score\n"
    b"2018-08-28T23:00:00Z,001,NA,1.50,0,0.250000000\n"
    b'2018-08-29T01:00:30+02:00,001,"a,b",99,1,-0.500000000\n'
    b"2018-08-28T23:01:00Z,001,NA,7,1,\n"
)


def test_predictions_have_utc_times_text_ids_and_numbers() -> None:
    frame = frames.predictions_frame(PREDICTIONS, "w/001.csv")
    assert list(frame.columns) == list(frames.PREDICTION_COLUMNS)
    assert frame["TS"].tolist() == [
        pd.Timestamp("2018-08-28T23:00:00Z"),
        pd.Timestamp("2018-08-28T23:00:30Z"),
        pd.Timestamp("2018-08-28T23:01:00Z"),
    ]
    assert frame["Device"].tolist() == ["001"] * 3
    assert frame["Tag"].tolist() == ["NA", "a,b", "NA"]
    assert frame["Prediction"].tolist() == [0, 1, 1]
    assert frame["Val"].tolist() == [1.5, 99.0, 7.0]
    assert frame["Score"].tolist()[:2] == [0.25, -0.5]
    assert frame["Score"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"TS,Device\n",
        PREDICTIONS.replace(b"1.50", b"abc"),
        PREDICTIONS.replace(b"2018-08-28T23:00:00Z", b"x"),
        PREDICTIONS + b"2018-08-28T23:00:00Z,001,t,1," + b"9" * 400 + b",0\n",
    ],
)
def test_invalid_predictions_are_rejected_with_the_name(content: bytes) -> None:
    with pytest.raises(DataInvalid, match=r"w/001\.csv is invalid"):
        frames.predictions_frame(content, "w/001.csv")


def device_file(device: str, *rows: str) -> tuple[bytes, str]:
    text = "TS,Device,Tag,Val,Prediction,Score\n" + "".join(f"2018-08-28T23:00:00Z,{device},{row}\n" for row in rows)
    return text.encode(), f"w/{device}.csv"


def test_files_read_together_have_the_rows_of_each_file() -> None:
    other_header = b"Device,TS,Val,Tag,Score,Prediction\nd,2018-08-28T23:00:00Z,1,t,0.5,0\n", "w/d.csv"
    files = [
        *(device_file("a", "NA,1,0,0.5", "t,2,1,-1"), device_file("b"), device_file("c", "t,,1,")),
        *(other_header, device_file("e", '"t",1,0,0.5'), (PREDICTIONS, "w/001.csv")),
    ]
    alone = pd.concat([frames.predictions_frame(*file) for file in files if file[1] != "w/b.csv"], ignore_index=True)
    found = list(frames.prediction_frames(files))
    pd.testing.assert_frame_equal(pd.concat(found, ignore_index=True), alone)
    assert [len(frame) for frame in found] == [3, 1, 1, 3]


def test_files_read_together_are_bounded_in_size() -> None:
    assert frames.BATCH_BYTES == 4 * 2**20
    files = [device_file(f"d{number}", "t,1,0,0.5") for number in range(10)]
    found = list(frames.prediction_frames(files, batch_bytes=200))
    assert [frame["Device"].tolist() for frame in found] == [
        ["d0", "d1", "d2"], ["d3", "d4", "d5"], ["d6", "d7", "d8"], ["d9"],
    ]  # fmt: skip


def test_large_file_of_short_lines_is_read() -> None:
    header, row = b"TS,Device,Tag,Val,Prediction,Score\n", b"2018-08-28T23:00:00Z,press-1,1,1.5,0,0.25\n"
    count = 3 * 2**20 // len(row)
    assert len(frames.predictions_frame(header + row * count, "w/a.csv")) == count


@pytest.mark.parametrize("read", [frames.predictions_frame, frames.table_frame])
def test_lines_of_a_file_are_checked_before_it_is_parsed(read: Callable[[bytes, str], pd.DataFrame]) -> None:
    header = b"TS,Device,Tag,Val,Prediction,Score" * 200
    with pytest.raises(DataInvalid, match=r"w/a\.csv is invalid: its first line names more than 1,000 columns, or"):
        read(header + b"\n", "w/a.csv")


def test_line_with_many_fields_costs_nothing_in_the_lines_after_it() -> None:
    header = b"Id,Device,Cause,State,Since\n"
    content = header + b"0,d,c,s,x" + b"," * 10_000 + b"\n" + b"1,d,c,s,x\n" * 1000
    frames.table_frame(header, "a.csv")
    tracemalloc.start()
    try:
        assert frames.table_frame(content, "a.csv").shape == (1001, 5)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * len(content)


def test_readings_with_lines_of_too_many_fields_have_the_other_lines() -> None:
    content = b"TS,Device,Tag,Value\n2018-08-28T23:00:00Z,a,t,1\n" + b"," * 2**20 + b"\n"
    assert frames.readings_frame(content, "a.csv")["Value"].tolist() == ["1"]
    with pytest.raises(DataInvalid, match="the first line must name the columns"):
        frames.readings_frame(b"TS,Device,Tag,Value" + b"," * 1000 + b"\n", "a.csv")


@pytest.mark.parametrize("content", [b'{"a":1}', b"Device\npress-1\n", b"<html>\n<body>\n", b"\0\0\0", b""])
@pytest.mark.parametrize("file", sorted(frames.TABLE_COLUMNS.keys() - {"_empty.csv"}))
def test_table_without_a_column_of_its_report_is_rejected_with_its_name(file: str, content: bytes) -> None:
    with pytest.raises(DataInvalid, match=f"w/{file} is invalid: .*; the next report of its window replaces it"):
        frames.table_frame(content, f"w/{file}")


def test_table_with_a_column_of_a_later_version_is_read() -> None:
    frame = frames.table_frame(b"Device,DataETags\npress-1,0123\n", "w/_empty.csv")
    assert frame.to_dict("records") == [{"Device": "press-1", "DataETags": "0123"}]
    with pytest.raises(DataInvalid, match=r"w/_empty\.csv is invalid: it lacks the column Device; the next report"):
        frames.table_frame(b'{"a":1}', "w/_empty.csv")


def test_types_of_a_table_do_not_depend_on_its_values() -> None:
    header = b"Device,Tag,Owner,Detail,Rows,Anomalies,Windows,WorstVal,WorstScore,Strongest\n"
    full = frames.table_frame(header + b"7,1,1e5,True,6,1,2,99,-1,-0.5\n", "a.csv")
    empty = frames.table_frame(header + b"press-1,NA,,,,,,,,\n", "a.csv")
    assert full.to_numpy().tolist() == [["7", "1", "1e5", "True", 6, 1, 2, 99.0, -1.0, -0.5]]
    assert empty.fillna(-1).to_numpy().tolist() == [["press-1", "NA", "", "", *[-1] * 6]]
    assert full.dtypes.tolist() == empty.dtypes.tolist()


@pytest.mark.parametrize("row", ["1.5,1", "x,1", "inf,1", "9" * 400 + ",1", "9" * 20 + ",1", "1,x"])
def test_table_with_a_number_of_another_form_is_rejected_with_its_name(row: str) -> None:
    with pytest.raises(DataInvalid, match=r"a\.csv is invalid: .*; the next report of its window replaces it"):
        frames.table_frame(f"Rows,WorstVal\n{row}\n".encode(), "a.csv")


@pytest.mark.parametrize("content", [b"TS,Device,Tag,Val,Prediction,Score\n2018-08-28T23:00:00Z,b,t,x,0,1\n", b""])
def test_invalid_file_among_others_is_named(content: bytes) -> None:
    files = [device_file("a", "t,1,0,0.5"), (content, "w/b.csv"), device_file("c", "t,1,0,0.5")]
    with pytest.raises(DataInvalid, match=r"w/b\.csv is invalid"):
        list(frames.prediction_frames(files))


def test_readings_keep_the_text_of_values() -> None:
    frame = frames.readings_frame(b"TS,Device,Tag,Value,Quality\n2018-08-28T23:00:00Z,d,t,I/O Timeout,Bad\n", "d.csv")
    assert frame.to_numpy().tolist() == [[pd.Timestamp("2018-08-28T23:00:00Z"), "d", "t", "I/O Timeout"]]


def test_times_have_every_form_that_the_scorer_reads() -> None:
    texts = ["1535497200500", "2018-08-28 23:00:00.500", '"2018-08-28T23:00:00,5Z"', "2018-08-29T04:30:00.5+0530"]
    predictions = "TS,Device,Tag,Val,Prediction,Score\n" + "".join(f"{text},d,t,1,0,1\n" for text in texts)
    readings = "TS,Device,Tag,Value\n" + "".join(f"{text},d,t,1\n" for text in texts)
    expected = [pd.Timestamp("2018-08-28T23:00:00.5Z")] * len(texts)
    assert frames.predictions_frame(predictions.encode(), "d.csv")["TS"].tolist() == expected
    assert frames.readings_frame(readings.encode(), "d.csv")["TS"].tolist() == expected


def test_lines_that_are_malformed_for_the_scorer_are_left_out() -> None:
    lines = [b" d,t", b",d,t,1", b"x,d,t,1", b"2018-08-28T23:00:00Z,,t,1", b'2018-08-28T23:00:00Z,d,"t,1']
    lines += [b"2018-08-28T23:00:00Z,d,\xd6l,1", b"2018-08-28T23:00:00Z,d,t\0,1", b"1535497200,d,t,1"]
    usable = b"2018-08-28T23:00:00Z,d,t,1\r"
    content = b"\n".join([b"\xef\xbb\xbfTS, Device, Tag, Value\r", *lines, usable, usable.strip()])
    assert len(frames.readings_frame(content, "d.csv")) == 1
    assert frames.readings_frame(b"", "d.csv").empty


def test_readings_without_their_columns_are_rejected_with_the_first_line() -> None:
    with pytest.raises(DataInvalid, match=r"d\.csv is invalid: .*TS;Device"):
        frames.readings_frame(b"TS;Device;Tag;Value\n", "d.csv")


def test_runs_are_sorted_by_window_and_have_zeros_before_their_first_status() -> None:
    def run(name: str, hour: int, **status: object) -> dict[str, object]:
        window = {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}
        return {"metadata": {"name": name}, "spec": {"window": window}, "status": status}

    ended = run("a", 20, phase="Complete", devices={"total": 3, "scored": 2, "failed": 1}, results={"anomalies": 5})
    frame = frames.runs_frame([ended, run("b", 21)])
    assert frame["name"].tolist() == ["b", "a"]
    assert frame["window_start"].tolist()[1] == pd.Timestamp("2018-08-28T20:00:00Z")
    assert frame[["fleet", "phase", "total", "scored", "failed", "anomalies"]].to_numpy().tolist() == [
        ["default", "", 0, 0, 0, 0],
        ["default", "Complete", 3, 2, 1, 5],
    ]
    assert frames.runs_frame([]).empty


def test_frame_without_rows_does_not_change_the_types_of_the_others() -> None:
    empty, filled = pd.DataFrame(columns=["Rows"]), pd.DataFrame({"Rows": [1]})
    assert frames.concat([empty, filled])["Rows"].dtype == "int64"
    assert frames.concat([empty]).columns.tolist() == ["Rows"]
