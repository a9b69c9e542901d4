"""What can go wrong, and what each kind means for a device and for its Job.

ScorerError
├── UsageInvalid          wrong arguments or configuration: exit 64
├── FinalError            trying again would not help: the device fails with this reason
│   ├── ModelNotFound  ModelInvalid  ModelRejected  ModelIncompatible
│   ├── DataInvalid  DataTooLarge
│   ├── DeadlineExceeded
│   └── ConfigurationInvalid
├── PassingError          try again: exit 75
│   ├── StorageUnavailable
│   └── IdentityUnavailable
└── TooLarge              a blob is larger than its reader allows; the reader names the reason

The type is the decision whether to try again; `reason` is the word that the operator counts under (a closed list).
"""
# ruff: noqa: N818  the names are the reasons that the operator counts under


class ScorerError(Exception):
    """The root: its text is one sentence for a person, naming the thing and the next step."""


class UsageInvalid(ScorerError):
    """The command line or the environment is wrong; nothing was attempted."""


class BlobTooLarge(ScorerError):
    """A blob holds more bytes than its reader allows."""

    def __init__(self, name: str, size: int, limit: int) -> None:
        """Keep the figures (bytes) beside the sentence."""
        super().__init__(f"{name} has {size:,} bytes, more than the {limit:,} that are allowed")
        self.name = name
        self.size = size
        self.limit = limit


class DeviceError(ScorerError):
    """An error that the operator counts under its `reason`."""

    reason = "Unknown"


class PermanentError(DeviceError):
    """The same input would fail again."""


class ModelNotFound(PermanentError):
    """The device has no model bundle, or none for the tags asked for."""

    reason = "ModelNotFound"


class ModelInvalid(PermanentError):
    """The bundle or one model in it cannot be read."""

    reason = "ModelInvalid"


class ModelRejected(PermanentError):
    """The bundle names code that is not on the allow-list; none of it ran."""

    reason = "ModelRejected"


class ModelIncompatible(PermanentError):
    """The bundle is sound but uses what this version does not know."""

    reason = "ModelIncompatible"


class DataInvalid(PermanentError):
    """The readings are not a CSV of TS, Device, Tag, Value."""

    reason = "DataInvalid"


class DataTooLarge(PermanentError):
    """The readings exceed a limit on bytes or rows."""

    reason = "DataTooLarge"


class DeadlineExceeded(PermanentError):
    """The device took longer than it may."""

    reason = "DeadlineExceeded"


class ConfigurationInvalid(PermanentError):
    """Storage refuses the request in a way that only a person can mend (a name, a permission)."""

    reason = "ConfigurationInvalid"


class TransientError(DeviceError):
    """Something that may be well again in a minute."""


class StorageUnavailable(TransientError):
    """Blob Storage does not answer, or answers that it cannot now."""

    reason = "StorageUnavailable"


class IdentityUnavailable(TransientError):
    """No token could be had for the storage account."""

    reason = "IdentityUnavailable"
