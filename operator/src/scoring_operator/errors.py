# ruff: noqa: N818  # a leaf's name states the failure, as the reasons of the Kubernetes API do
"""Every exception of the operator. The type decides how the caller reacts.

FleetscoreError
├── InputError                 an input is invalid; the message names it and the next step
│   ├── InvalidSettings        environment, arguments or file of the administrator: exit code 64
│   ├── InvalidFleets          fleets file
│   ├── InvalidRun             stored ScoringRun
│   ├── InvalidProgress        progress ConfigMap
│   ├── InvalidDeviceList      device list ConfigMap
│   └── InvalidHistory         tile of a fleet's history
├── RunError                   one run cannot continue in this pass; has a reason and a message
│   ├── RunRejected            permanent: the run ends as Failed
│   └── RunBlocked             the run retries, and is Waiting, or Stalled if a person has to remove the cause
├── RunDeleted                 the run's object is deleted: nothing is left to do
├── ApiError                   the Kubernetes API server returned an error, or no response
│   ├── NotFound               404
│   ├── AlreadyExists          409 on a create: check the owner of the existing object
│   ├── NameConflict           the existing object has another owner
│   ├── Conflict               409 on any other write: another client wrote first, read again; on a create, the usage
│   │                          of a ResourceQuota was changed at the same time
│   ├── Gone                   410: the resource version of a list or watch has expired, list again
│   ├── Forbidden              401, 403: ends when a person fixes a role or token
│   │   └── QuotaExceeded      403 by a ResourceQuota: transient, ends when objects are deleted
│   ├── Invalid                400, 413, 422: permanent for this request
│   ├── Throttled              429, for longer than the request may wait
│   ├── ResponseTooLarge       a page of a list has too many bytes: nothing of it is read
│   ├── LeaseLost              this process may not be the leader any more: nothing was sent
│   └── Unavailable            5xx or no response: transient, the outcome of a write is unknown
└── StorageError               Blob Storage returned an error, or no response
    ├── StorageUnavailable     transient
    ├── IdentityUnavailable    no token, or a rejected one: transient, ends when a role or secret is fixed
    └── ConfigurationInvalid   missing container, unusable secret: ends when the administrator fixes the fleet

The names of the leaves below ApiError are the reasons of `metav1.Status`; those below StorageError are reasons of a
run's conditions: ConfigurationInvalid of Stalled, the others of Waiting.
"""


class FleetscoreError(Exception):
    """An error that the operator expects and handles."""


class InputError(FleetscoreError):
    """An input that the operator cannot use; the message names the input and the next step."""


class InvalidSettings(InputError):
    """A setting, an argument or a file of the administrator that the operator cannot use."""


class InvalidFleets(InputError):
    """A fleets file that the operator cannot use; the message names the fleet and the key."""


class InvalidRun(InputError):
    """A stored ScoringRun that this operator cannot read; the message names the field."""


class InvalidProgress(InputError):
    """A progress ConfigMap that this operator cannot read."""


class InvalidDeviceList(InputError):
    """A part of a device list that was not written by an operator."""


class InvalidHistory(InputError):
    """A tile of a fleet's history that no report wrote; the message names the blob."""


class RunError(FleetscoreError):
    """A reason why one run cannot continue in this pass.

    Args:
        reason: The reason of the run's condition, in CamelCase.
        message: A sentence for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class RunRejected(RunError):
    """A permanent problem: the run ends as Failed."""


class RunBlocked(RunError):
    """A problem outside the run: the run retries, and is Waiting, or Stalled if a person has to remove the cause.

    Args:
        reason: The reason of the run's condition, in CamelCase.
        message: A sentence for people.
        permanent: Whether a person has to remove the cause.
    """

    def __init__(self, reason: str, message: str, *, permanent: bool) -> None:
        super().__init__(reason, message)
        self.permanent = permanent


class RunDeleted(FleetscoreError):
    """A run whose object is deleted; the garbage collector deletes its children."""


class ApiError(FleetscoreError):
    """An error response of the API server, or a missing response.

    Args:
        message: The message of the server, or a description of the failed connection.
        status: The HTTP status; 0 without a response.
        reason: The reason of the `metav1.Status` in the response, such as "AlreadyExists".
        retry_after: The seconds of the header Retry-After, if the response has one.
        request: The verb and the path, for the log.
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
    """A request for an object that does not exist."""


class AlreadyExists(ApiError):
    """A create for which an object of the same name exists."""


class NameConflict(ApiError):
    """An object with a name of this run that belongs to another owner."""


class Conflict(ApiError):
    """A write for another object or version than the stored one, or a create during a change of a quota's usage."""


class Gone(ApiError):
    """A list or watch whose resource version has expired."""


class Forbidden(ApiError):
    """A request that this account may not make (now)."""


class QuotaExceeded(Forbidden):
    """A create that exceeds a ResourceQuota of the namespace."""


class Invalid(ApiError):
    """A request that the server never accepts as it is."""


class ResponseTooLarge(ApiError):
    """A response with more bytes than the request accepts."""


class Throttled(ApiError):
    """A request that the server delays for longer than it may wait."""


class LeaseLost(ApiError):
    """A write that was not sent, because this process may not be the leader any more."""


class Unavailable(ApiError):
    """A request without a usable response: a write may or may not have been applied."""


class StorageError(FleetscoreError):
    """A failed request to Blob Storage; the message names the container and the next step."""


class StorageUnavailable(StorageError):
    """A request without a response, or with one that asks for a retry."""


class IdentityUnavailable(StorageError):
    """A missing token, or an identity that Blob Storage rejects."""


class ConfigurationInvalid(StorageError):
    """Storage settings of the fleet that do not match the storage account."""
