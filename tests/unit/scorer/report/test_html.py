"""The building blocks of the page's HTML."""

from device_scorer.report.html import MAX_LISTED, device_badges, placeholder, section, table


def test_at_most_100_devices_are_shown_and_the_others_are_counted() -> None:
    assert MAX_LISTED == 100
    drawn = device_badges("recovered", [f"press-{number}" for number in range(103)])
    assert drawn.startswith("<h3>103 recovered</h3>")
    assert drawn.count("<span>press-") == 100
    assert "and 3 more" in drawn


def test_table_escapes_texts_and_counts_omitted_rows() -> None:
    drawn = table(["Device", "Rows"], [["<a>", "1"]], numbers={1}, total=105)
    assert '<td class="id">&lt;a&gt;</td><td class="n">1</td>' in drawn
    assert "and 5 more" in drawn


def test_table_without_rows_is_a_placeholder() -> None:
    assert table(["Device"], [], numbers=set(), total=0) == placeholder("none")


def test_titles_are_escaped() -> None:
    assert section("a < b", "<p></p>") == "<section><h2>a &lt; b</h2><p></p></section>"
