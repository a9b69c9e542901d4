import struct
import zlib

from fleetscore.console import charts
from fleetscore.console.charts import Point
from fleetscore.console.states import STATES


def test_strip_has_one_path_per_state_and_its_counts_as_text() -> None:
    drawn = charts.state_strip("NNAN")
    assert drawn.count("<path") == 2
    assert 'aria-label="last 4 windows: 1 anomalous, 3 normal"' in drawn


def test_line_chart_of_the_largest_numbers_has_finite_places() -> None:
    drawn = charts.line_chart([Point(0.0, -1.7e308), Point(1.0, 1.7e308)], first="", last="", label="")
    assert 'points="0.0,104.0 640.0,16.0"' in drawn


def test_line_chart_escapes_its_label_and_draws_each_anomaly() -> None:
    points = [Point(0.0, 1.0), Point(0.5, 2.0), Point(1.0, 9.0, anomalous=True)]
    drawn = charts.line_chart(points, first="<a", last="b>", label='"><script>')
    assert "<script" not in drawn
    assert "&lt;a" in drawn
    assert 'class="dots" d="M640.0,16.0h0"' in drawn
    assert 'class="band"' in drawn


def test_line_chart_of_no_readings_says_so() -> None:
    assert "no readings" in charts.line_chart([], first="", last="", label="")


def test_column_chart_draws_each_count_and_its_maximum() -> None:
    drawn = charts.column_chart([0, 3, 6], first="a", last="b", label="c")
    assert drawn.count("v-") == 2
    assert "at most 6" in drawn


def test_calendar_has_a_square_with_a_text_per_window() -> None:
    drawn = charts.calendar([("", ""), ("missing", "<w>")], columns=2, rows=["day"])
    assert drawn.count("<rect") == 1
    assert "<title>&lt;w&gt;</title>" in drawn


def test_heat_map_is_a_png_with_a_pixel_per_device_and_window() -> None:
    content = charts.heat_map(["NA", "?-"], dark=False)
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == (2, 2)
    at = content.index(b"IDAT")
    pixels = zlib.decompress(content[at + 4 : at + 4 + struct.unpack(">I", content[at - 4 : at])[0]])
    letters = "".join(STATES[index].letter for index in (*pixels[1:3], *pixels[4:6]))
    assert letters == "NA?-"
    assert content != charts.heat_map(["NA", "?-"], dark=True)
