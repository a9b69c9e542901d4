"""What ends the demo with a message instead of a traceback."""


class DemoError(Exception):
    """Something is not as it should be; the message names it and the next step."""
