"""The states of a device in a window, with their texts, CSS classes and colours."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class State:
    """One state of a device, as the console shows it.

    Attributes:
        letter: The letter in the history.
        name: The CSS class; console.css has the same colours.
        text: The text of the legend.
        light: The colour on a light page, as RGB.
        dark: The colour on a dark page, as RGB.
    """

    letter: str
    name: str
    text: str
    light: bytes
    dark: bytes


def _state(letter: str, name: str, text: str, light: str, dark: str) -> State:
    return State(letter, name, text, bytes.fromhex(light), bytes.fromhex(dark))


STATES = (
    _state("A", "anomalous", "anomalous", "c9302c", "f0544f"),
    _state("S", "sensor", "faulty sensor", "e8853d", "ea8a44"),
    _state("F", "failed", "failed", "4a2c6d", "d9b3ff"),
    _state("E", "empty", "no readings", "8a6d3b", "d0b070"),
    _state("P", "partial", "partly scored", "8b7bd8", "9d8ff0"),
    _state("N", "normal", "normal", "8fc1b5", "3f7f72"),
    _state("-", "not-run", "not run", "b9c0cb", "4a5462"),
    _state("?", "unknown", "unknown", "e4e7ec", "252c36"),
)
BY_LETTER = {state.letter: state for state in STATES}
