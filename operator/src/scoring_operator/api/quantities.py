"""Quantities of resources in the notation of Kubernetes (apimachinery, `resource.Quantity`)."""

import re
from decimal import Decimal

Quantity = str | int | float
"""A Kubernetes quantity, such as "500m", "1Gi", 2 or 0.5."""

_SUFFIXES = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
}  # fmt: skip


def parse_quantity(value: Quantity) -> Decimal:
    """Return a Kubernetes quantity as a number; 500m is 0.5.

    Raises:
        ValueError: The value is not a quantity.
    """
    match = re.fullmatch(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)", str(value))
    if not match or match[2] not in _SUFFIXES:
        raise ValueError(f"{value!r} must be a quantity such as 500m or 1Gi")
    try:
        return Decimal(match[1]) * _SUFFIXES[match[2]]
    except ArithmeticError as error:
        raise ValueError(f"{value!r} must be a quantity such as 500m or 1Gi") from error
