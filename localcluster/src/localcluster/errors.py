"""Errors that a user can act on; each message names the thing and the next step."""


class ClusterError(Exception):
    """An error that the command line prints without a traceback."""


class BuildError(ClusterError):
    """The build or the installation of a tool failed."""


class PreflightError(ClusterError):
    """The machine lacks requirements; the message is a table of them with a fix for each."""
