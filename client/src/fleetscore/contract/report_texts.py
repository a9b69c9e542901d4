"""The texts in the CSV files of a report, which are protected against evaluation by spreadsheet programs."""

import re

from fleetscore.contract.blob_paths import DEVICE_ID_PATTERN

_FORMULA_SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_OTHER_BEGINS = ("\t", "\r", "\n", "'", " ")
"""The other begins that the scorer protects; it writes a carriage return as a space."""

_SEPARATORS = re.compile(r"(; *|(?<!^)\t *)")


def restore_text(text: str) -> str:
    """Return a text of a report without the apostrophes that the scorer put in front of it and of cells within it.

    Args:
        text: A cell of a CSV file of a report.
    """
    if "'" not in text or DEVICE_ID_PATTERN.fullmatch(text):
        return text
    if text.startswith("'"):
        first, *others = _SEPARATORS.split(text[1:])
        first = first if _is_protected(first, _FORMULA_SIGNS + _OTHER_BEGINS) else f"'{first}"
    else:
        first, *others = _SEPARATORS.split(text)
    return "".join([first, *map(_restore_cell, others)])


def _restore_cell(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _is_protected(cell[1:], _FORMULA_SIGNS) else cell


def _is_protected(text: str, begins: tuple[str, ...]) -> bool:
    """Return True if the scorer puts an apostrophe in front of the text."""
    return text.startswith(begins) and not DEVICE_ID_PATTERN.fullmatch(text) and not _is_number(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
