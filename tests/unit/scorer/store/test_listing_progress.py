"""Tests of listings that do not end."""

from device_scorer.store import listing_progress
from device_scorer.store.listing_progress import Markers, NamedPages


def a_page(*names: str) -> list[dict[str, str]]:
    return [{"path": name} for name in names]


def test_listing_has_at_most_100000_pages() -> None:
    assert listing_progress.MAX_PAGES == 100_000


def test_marker_that_comes_again_is_the_end() -> None:
    markers = Markers()
    assert [markers.add(marker) for marker in ("a", "b", "a")] == [True, True, False]


def test_listing_of_empty_pages_ends() -> None:
    markers = Markers()
    assert all(markers.add(str(number)) for number in range(listing_progress.MAX_PAGES))
    assert not markers.add("more")


def test_pages_are_repeated_once_by_a_retry_and_not_more_often() -> None:
    pages = NamedPages()
    assert pages.take(a_page("a", "b")) == a_page("a", "b")
    assert pages.take(a_page("c")) == a_page("c")
    assert [pages.take(page) for page in (a_page("a", "b"), a_page("c"))] == [[], []]
    assert pages.take(a_page("c", "d")) == a_page("d")
    assert [pages.take(a_page("a")) for _ in range(4)] == [[], [], [], None]
