"""Numbers with their nouns, in the singular or the plural."""


def plural(count: float, one: str, many: str) -> str:
    """Return the text for one thing or for another number of them."""
    return one if count == 1 else many


def counted(count: int, one: str, many: str) -> str:
    """Return a number of things, such as "1 anomaly" or "2,000 anomalies".

    Args:
        count: The number.
        one: The text after the number 1.
        many: The text after another number.
    """
    return f"{count:,} {plural(count, one, many)}"
