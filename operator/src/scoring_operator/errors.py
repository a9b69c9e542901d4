# ruff: noqa: N818  # each name says what happened, as the API's own reasons do; "Error" would add nothing
"""What can go wrong at the operator's edge. The type of an error is the decision what to do about it.

Exception
├── SettingsInvalid        the administrator's environment or file is wrong: say so and end with exit code 64
├── ApiError               the Kubernetes API server refused, or could not be asked
│   ├── NotFound           404
│   ├── AlreadyExists      409 on a create: look whose the object is
│   ├── Conflict           409 on any other write: somebody wrote first; read again
│   ├── Gone               410: the list or watch is too old; list again
│   ├── Forbidden          401, 403: may pass when roles or tokens are mended
│   │   └── QuotaExceeded  403 by a ResourceQuota: passes when something is deleted
│   ├── Invalid            400, 413, 422: the same request will never be accepted
│   ├── Throttled          429, for longer than the request could wait
│   ├── LeaseLost          another operator may be active: nothing was sent
│   └── Unavailable        5xx, no connection, no answer: passes; whether a write was done is unknown
└── StorageError           Blob Storage refused, or could not be asked
    ├── StorageUnavailable   passes
    ├── IdentityUnavailable  no token, or one that is not let in: passes when roles or secrets are mended
    └── ConfigurationInvalid no such container, unusable secret: passes when the administrator mends it
"""


class InvalidSettings(Exception):
    """The operator's own configuration cannot be used; the message names the setting and the next step."""


class ApiError(Exception):
    """An answer of the API server that is not a success, or the lack of one.

    Args:
        message: What the server said, or what happened on the way to it.
        status: HTTP status; 0 where there was no answer.
        reason: The machine-readable word of a Kubernetes Status object, such as "AlreadyExists".
        retry_after: Seconds that the server asked us to wait, where it did.
        request: Verb and path, for the person who reads the log.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        retry_after: float | None = None,
        request: str = "",
    ) -> None:
        super().__init__(f"{request}: {message}" if request else message)
        self.message = message
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.request = request


class NotFound(ApiError):
    """There is no such object (any more)."""


class AlreadyExists(ApiError):
    """A create met an object of the same name."""


class Conflict(ApiError):
    """The object is another one, or another version of it, than the write was meant for."""


class Gone(ApiError):
    """The server no longer knows the resource version that a list or watch named."""


class Forbidden(ApiError):
    """The server does not let this account do that (now)."""


class QuotaExceeded(Forbidden):
    """A ResourceQuota of the namespace is used up."""


class Invalid(ApiError):
    """The server will never accept this request as it stands."""


class Throttled(ApiError):
    """The server asked us to come back later, and later is further away than the request may wait."""


class LeaseLost(ApiError):
    """This operator may not write now; the request did not leave it."""


class Unavailable(ApiError):
    """The server could not be asked, or its answer was lost: a write may or may not have been done."""


class StorageError(Exception):
    """Blob Storage could not give what was asked; the message names the container and the next step."""


class StorageUnavailable(StorageError):
    """No answer from Blob Storage, or one that says to try later."""


class IdentityUnavailable(StorageError):
    """No token could be had, or Blob Storage does not let this identity in."""


class ConfigurationInvalid(StorageError):
    """The fleet's storage settings do not fit what is there."""


class InvalidRun(ValueError):
    """A stored ScoringRun that this operator cannot read; the message names the field."""


class InvalidFleets(ValueError):
    """The fleets file cannot be used; the message names the fleet and the key."""


class InvalidProgress(ValueError):
    """A progress ConfigMap that this operator cannot read."""


class InvalidDeviceList(ValueError):
    """A part of a device list that no operator wrote."""


class NameConflict(ApiError):
    """An object of a name that is ours belongs to somebody else."""


class RunDeleted(Exception):
    """The run was deleted; its children go with it."""
