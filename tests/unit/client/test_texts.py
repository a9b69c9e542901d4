"""Texts of other parties."""

import tracemalloc

import pytest

from fleetscore.texts import device_command, printable


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), ("a\n b", "a b"), ("\u202ex", "?x"), (1.5, "1.5"), ("x" * 600, "x" * 500)]
)
def test_value_becomes_one_printable_line(value: object, text: str) -> None:
    assert printable(value) == text


@pytest.mark.parametrize(
    ("device", "text"),
    [("press 7", "`fleetscore mute 'press 7' --for 4h`"), ("-*", "`fleetscore mute --for 4h -- '-*'`")],
)
def test_command_about_a_device_works_for_an_id_like_an_option(device: str, text: str) -> None:
    assert device_command("mute", device, " --for 4h") == text


def test_long_text_costs_little_more_memory_than_its_size() -> None:
    text = "x" * 2_000_000
    tracemalloc.start()
    try:
        assert printable(text) == "x" * 500
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(text)
