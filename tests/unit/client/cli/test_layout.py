"""The layout of a table on a terminal."""

import pytest

from fleetscore.cli.layout import Layout, layout, row_lines

TITLES = ("NAME", "SINCE", "N", "TEXT")
ROWS = [TITLES, ("press-7", "2018-08-28T22:00Z", "1234", "the newest reading is old")]
LONG = [TITLES, ("x" * 50, "2018-08-28T22:00Z", "1234", "the newest reading is old")]


@pytest.mark.parametrize(
    ("rows", "width", "expected"),
    [
        (ROWS, 80, Layout([7, 17, 4, 25])),
        (ROWS, 53, Layout([7, 17, 4, 19])),
        (ROWS, 49, Layout([17, 4, 22], own_line=True)),
        (LONG, 80, Layout([17, 4, 25], own_line=True)),
        (LONG, 20, Layout([5, 4, 5], own_line=True)),
        ([["NAME"], ["x" * 50]], 20, Layout([20])),
    ],
    ids=["wide", "text-is-narrowed", "too-narrow-for-texts", "long-name", "too-narrow-for-words", "one-column"],
)
def test_layout_breaks_texts_before_words(rows: list[tuple[str, ...]], width: int, expected: Layout) -> None:
    assert layout(rows, width) == expected


def test_cells_are_folded_and_numbers_are_at_the_right() -> None:
    found = layout(ROWS, 53)
    assert [line for row in ROWS for line in row_lines(row, found, (False, False, True, False), 53)] == [
        "NAME     SINCE                 N  TEXT",
        "press-7  2018-08-28T22:00Z  1234  the newest reading",
        "                                  is old",
    ]


def test_long_name_has_its_own_line_and_loses_no_character() -> None:
    found = layout(LONG, 44)
    lines = list(row_lines(LONG[1], found, (False, False, True, False), 44))
    assert lines == ["x" * 44, "x" * 6, "  2018-08-28T22:00Z  1234  the newest", " " * 27 + "reading is old"]


def test_long_word_of_a_sentence_is_broken_before_names_get_their_own_line() -> None:
    rows = [("CHECK", "FINDING"), ("storage", f"cannot read {'x' * 100}")]
    assert layout(rows, 80) == Layout([7, 71])


def test_wide_characters_count_twice() -> None:
    rows = [("NAME", "N"), ("温度" * 4, "1")]
    assert layout(rows, 80).widths == [16, 1]
    assert list(row_lines(rows[1], layout(rows, 80), (False, True), 80)) == ["温度" * 4 + "  1"]
