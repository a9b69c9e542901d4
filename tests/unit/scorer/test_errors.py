"""Tests of the exceptions: their reasons are the closed list of the outcome message."""

import errno
import os
from pathlib import Path

import pytest

from device_scorer import errors
from device_scorer.errors import (
    BlobTooLarge,
    DeviceError,
    PermanentError,
    StorageUnavailable,
    TransientError,
    UsageInvalid,
    unwritable,
)

PERMANENT = {
    *("ModelNotFound", "ModelInvalid", "ModelRejected", "ModelIncompatible", "DataInvalid", "DataTooLarge"),
    *("DeadlineExceeded", "ConfigurationInvalid"),
}
TRANSIENT = {"StorageUnavailable", "IdentityUnavailable"}


@pytest.mark.parametrize(("base", "reasons"), [(PermanentError, PERMANENT), (TransientError, TRANSIENT)])
def test_reason_of_each_error_is_the_name_of_its_type(base: type[DeviceError], reasons: set[str]) -> None:
    assert {kind("text").reason for kind in base.__subclasses__()} == reasons


def test_every_device_error_is_either_permanent_or_transient() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DeviceError)]
    assert {kind.__name__ for kind in kinds} - {"DeviceError", "PermanentError", "TransientError"} == (
        PERMANENT | TRANSIENT
    )


def test_blob_too_large_keeps_its_numbers() -> None:
    error = BlobTooLarge("a.csv", 5000, 4999)
    assert (error.name, error.size, error.limit) == ("a.csv", 5000, 4999)
    assert str(error) == "a.csv has 5,000 bytes, more than the 4,999 that are allowed"


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (errno.EACCES, UsageInvalid, "a.csv cannot be written: Permission denied; name another file"),
        (
            errno.ENOSPC,
            StorageUnavailable,
            "a.csv cannot be written: No space left on device; free space on the disk, or name another file",
        ),
        (
            errno.EDQUOT,
            StorageUnavailable,
            "a.csv cannot be written: Disk quota exceeded; free space on the disk, or name another file",
        ),
    ],
)
def test_file_that_cannot_be_written_is_transient_only_if_the_disk_is_full(code: int, kind: type, text: str) -> None:
    error = unwritable(Path("a.csv"), OSError(code, os.strerror(code)), "name another file")
    assert (type(error), str(error)) == (kind, text)
