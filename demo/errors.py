"""The error that ends the demo with a message instead of a traceback."""


class DemoError(Exception):
    """An error whose message names the problem and the next step."""
