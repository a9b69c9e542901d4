"""Errors that a user can act on; each message names the thing and the next step."""


class ClusterError(Exception):
    """Something went wrong that its message explains: the command line prints it without a traceback."""


class BuildError(ClusterError):
    """A tool could not be built or brought in."""


class PreflightError(ClusterError):
    """The machine lacks something; the message is the whole table of what, and how to mend it."""
