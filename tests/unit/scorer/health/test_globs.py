"""Patterns of device ids."""

import pytest

from device_scorer.health.globs import MAX_GLOB_CHARS, DeviceGlob


@pytest.mark.parametrize(
    ("glob", "device", "matches"),
    [
        ("press-1", "press-1", True),
        ("press-1", "press-10", False),
        ("hall3-*", "hall3-press-1", True),
        ("hall3-*", "Hall3-press-1", False),
        ("press-?", "press-1", True),
        ("press-[12]", "press-3", False),
        ("a.b", "axb", False),
        ("*", "", True),
        ("press[1]", "press[1]", True),
        ("press[1]", "press1", True),
    ],
)
def test_glob_matches_the_whole_id(glob: str, device: str, *, matches: bool) -> None:
    assert DeviceGlob(glob).matches(device) is matches


def test_glob_with_many_stars_is_fast() -> None:
    assert not DeviceGlob("*a" * 100 + "b").matches("a" * 128)
    assert MAX_GLOB_CHARS == 256
