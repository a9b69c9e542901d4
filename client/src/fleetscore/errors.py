# ruff: noqa: N818  the names state the failure
"""The errors of the client. Each message names the thing, the reason and the next step."""


class FleetscoreError(Exception):
    """An error that the user can act on; its text is a complete message."""


class UsageInvalid(FleetscoreError):
    """An argument is invalid."""


class NotFound(FleetscoreError):
    """The named run, device, window or file does not exist."""


class ClusterUnavailable(FleetscoreError):
    """The cluster cannot be reached."""


class ClusterNotConfigured(ClusterUnavailable):
    """There is no kubeconfig."""


class AccessDenied(FleetscoreError):
    """The user lacks a right in the cluster or a role in storage."""


class StorageUnavailable(FleetscoreError):
    """The storage account or the folder cannot be reached."""


class DataInvalid(FleetscoreError):
    """A file in storage or an object of the cluster is not of the expected form."""


class TooLarge(DataInvalid):
    """A file, an object or a list is larger than the client reads."""
