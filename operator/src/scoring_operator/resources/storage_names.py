"""Texts about names of blobs that denote no device, with the name that the rule of the contract expects."""

from collections.abc import Sequence
from urllib.parse import quote

from scoring_operator.api.formatting import plural, printable
from scoring_operator.contract.blob_paths import DEVICE_ID_PATTERN

MAX_NAMED = 2  # names in a message
MAX_NAME_LENGTH = 120  # characters of a name in a message


def invalid_names_text(count: int, samples: Sequence[str]) -> str:
    """Return a sentence about the names of blobs that denote no device, with the next step.

    Args:
        count: The number of these names.
        samples: Some of them.
    """
    named = ", ".join(repr(printable(name, MAX_NAME_LENGTH)) for name in samples[:MAX_NAMED])
    verb = "denotes" if count == 1 else "denote"
    return f"{plural(count, 'blob name')} that {verb} no device: {named}; {_next_step(samples)}"


def _next_step(samples: Sequence[str]) -> str:
    """Return how the first character that has to be encoded is written."""
    for name in samples:
        for character in name.rpartition("/")[2]:
            if character in "-_.%~" or (character.isascii() and character.isalnum()):
                continue
            if DEVICE_ID_PATTERN.fullmatch(character):
                return f"a {character} in an id is written {quote(character, safe='')}"
    if any("%" in name for name in samples):
        return "an id is percent-encoded as UTF-8 with upper-case digits, such as %23 for #"
    return "check the paths of the fleet"
