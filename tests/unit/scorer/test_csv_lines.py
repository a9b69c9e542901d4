import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.csv_lines import join_line


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=2, max_size=4))
def test_line_of_any_texts_is_one_row_of_a_csv(texts: list[str]) -> None:
    texts = [text.replace("\0", "") for text in texts]
    line = join_line(["x", *texts])
    assert list(csv.reader(io.StringIO(line, newline=""))) == [["x", *texts]]
    header = ",".join(map(str, range(len(texts) + 1)))
    frame = pd.read_csv(io.BytesIO(f"{header}\n{line}\n".encode()), dtype=str, keep_default_na=False)
    assert [frame[column].tolist() for column in frame] == [["x"], *([text] for text in texts)]


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (("a", "b"), "a,b"),
        (("a,b", "c"), '"a,b",c'),
        (('a"b', "c"), '"a""b",c'),
        (("a\rb", "c\n"), '"a\rb","c\n"'),
        (("", ""), ","),
    ],
)
def test_fields_are_quoted_if_necessary(texts: tuple[str, ...], line: str) -> None:
    assert join_line(texts) == line
