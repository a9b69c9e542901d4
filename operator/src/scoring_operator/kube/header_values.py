"""Values of HTTP headers that come from files and programs of other parties."""


def is_header_value(value: str) -> bool:
    """Return True if a text can be the value of a header: a line break would begin another header (RFC 9110, 5.5).

    Args:
        value: The text.
    """
    return value.isascii() and value.isprintable()
