"""The exceptions of the scorer, and what each one means for a device and for its Job.

ScorerError
├── UsageInvalid          invalid arguments or settings: exit 64
├── BlobUnreadable        a blob's content cannot be used; the reader selects the reason
│   ├── BlobTooLarge          it is larger than its reader allows
│   ├── BlobEncodingInvalid   its Content-Encoding cannot be decoded
│   └── TileDamaged           a tile of the history has other content (health/history.py)
├── TileTooLarge          a tile of the history would be too large (health/history.py)
└── DeviceError           an error that has a reason
    ├── PermanentError    a retry does not help: the device fails
    │   ├── ModelNotFound  ModelRejected  ModelIncompatible
    │   ├── ModelInvalid
    │   │   └── UnpackedTooLarge  its content is too large without compression (models/bundle.py)
    │   ├── DataInvalid  DataTooLarge
    │   ├── DeadlineExceeded
    │   └── ConfigurationInvalid
    └── TransientError    a retry may help: exit 75
        ├── StorageUnavailable
        └── IdentityUnavailable

The type of an error decides whether to retry. Its name is the reason that the operator counts (a closed list). A name
states the condition, without the suffix Error. A signal that its caller always handles, such as ClosedFormMissing, has
a name of the same form, is defined in its own module and is not a ScorerError.
"""
# ruff: noqa: N818  the names are the reasons that the operator counts

import errno
from pathlib import Path

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The codes of an OSError for a disk or quota without free space."""


class ScorerError(Exception):
    """The root of all errors of the scorer. The text is one sentence for people and names the next step."""


class UsageInvalid(ScorerError):
    """The command line or the environment is invalid; nothing was attempted."""


class BlobUnreadable(ScorerError):
    """A blob exists, and its content cannot be used."""


class BlobTooLarge(BlobUnreadable):
    """A blob is larger than its reader allows.

    Args:
        name: The blob's name.
        size: The blob's size in bytes.
        limit: The largest allowed size in bytes.
    """

    def __init__(self, name: str, size: int, limit: int) -> None:
        super().__init__(f"{name} has {size:,} bytes, more than the {limit:,} that are allowed")
        self.name = name
        self.size = size
        self.limit = limit


class BlobEncodingInvalid(BlobUnreadable):
    """A blob has a Content-Encoding that cannot be decoded.

    Args:
        name: The blob's name.
        encoding: The Content-Encoding.
        problem: The problem, a verb and its object.
    """

    def __init__(self, name: str, encoding: str, problem: str) -> None:
        super().__init__(
            f"{name} is invalid: its Content-Encoding {encoding[:40]!r} {problem}; use gzip or no encoding"
        )


class DeviceError(ScorerError):
    """An error of one device, which the operator counts under its reason."""

    @property
    def reason(self) -> str:
        """The reason in the outcome message: the name of the error's type."""
        return type(self).__name__


class PermanentError(DeviceError):
    """An error that the same input causes again."""


class ModelNotFound(PermanentError):
    """The device has no model bundle, or no model for the requested tags."""


class ModelInvalid(PermanentError):
    """The bundle or one of its models cannot be read."""


class ModelRejected(PermanentError):
    """The bundle names code that is not on the allow-list; none of the code was executed."""


class ModelIncompatible(PermanentError):
    """The bundle is valid but uses a feature that this version does not support."""


class DataInvalid(PermanentError):
    """The readings are not a CSV with the columns TS, Device, Tag, Value."""


class DataTooLarge(PermanentError):
    """The readings exceed the limit of bytes or rows."""


class DeadlineExceeded(PermanentError):
    """The device took longer than its deadline allows."""


class ConfigurationInvalid(PermanentError):
    """Storage rejects the request until a person changes a name or a setting."""


class TransientError(DeviceError):
    """An error that may disappear within minutes."""


class StorageUnavailable(TransientError):
    """Blob Storage does not respond, or responds that it cannot serve the request now."""


class IdentityUnavailable(TransientError):
    """There is no token for the storage account, or storage does not accept the credential."""


def unwritable(path: Path, error: OSError, next_step: str) -> ScorerError:
    """Return the error of a file that a command writes: transient if the disk is full, else wrong usage.

    Args:
        path: The file.
        error: The error of the file system.
        next_step: The next step, such as the argument to change.
    """
    text = f"{path} cannot be written: {error.strerror}"
    if error.errno in DISK_FULL:
        return StorageUnavailable(f"{text}; free space on the disk, or {next_step}")
    return UsageInvalid(f"{text}; {next_step}")
