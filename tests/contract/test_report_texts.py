"""The client reads the texts that the scorer's report protects against evaluation by spreadsheet programs."""

import csv
import io
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from device_scorer.report.tables import encode_csv
from fleetscore import frames
from fleetscore.console.reader import _csv_rows
from fleetscore.contract.report_texts import restore_text

TEXTS = st.text("=+-@'\t\r\n;, \uff1d\uff0b0123.V/aé\"", max_size=12)
_AMBIGUOUS = re.compile(r"^'\t|[;\t][ \r]*'")
"""An apostrophe that is or begins a cell within a text: the scorer does not protect it."""


@given(TEXTS.filter(lambda text: not _AMBIGUOUS.search(text)))
@example("\t=x")
@example("+24V; -5 V")
@example("\r=x")
def test_client_restores_each_text_that_the_scorer_protects(text: str) -> None:
    content = encode_csv(("Device", "Tag"), [("press-1", text)]).decode()
    [_, row] = csv.reader(io.StringIO(content, newline=""))
    assert restore_text(row[1]) == text.replace("\r", " ")


@pytest.mark.parametrize("tag", ["+24V", "-5 V", "@x y", "'x y", "=1+1", "temp", "+24"])
def test_tables_of_the_client_have_the_tags_of_the_readings(tag: str) -> None:
    content = encode_csv(("Device", "Tag", "Tags"), [("press-1", tag, f"{tag}; {tag}")])
    expected = {"Device": "press-1", "Tag": tag, "Tags": f"{tag}; {tag}"}
    assert frames.table_frame(content, "a.csv").to_dict("records") == [expected]
    assert list(_csv_rows(content, "_sensors.csv")) == [expected]
