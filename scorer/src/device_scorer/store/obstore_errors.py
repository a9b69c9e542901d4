"""Classification of the exceptions of obstore: retry, or an error for people.

obstore has few types of exceptions. Status, error code and cause are in the text: one line for people, "Debug source:",
and Rust's debug output. Only this module reads that text; a test fixes it for the pinned version. The text may contain
a URL, so messages contain only codes and texts from here.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from obstore.exceptions import BaseError, InvalidPathError

from device_scorer.errors import ConfigurationInvalid, IdentityUnavailable, StorageUnavailable
from device_scorer.store.rejections import redirected, rejected_request, rejected_token, unreachable
from device_scorer.store.retry import RetryableFailure

_MAX_TEXT_CHARS = 20_000

# The patterns are compiled when an error needs them, and not at the start of each pod.
_STATUS_PATTERN = r" - Server returned (?:non-2xx status code: |error response: )(\d{3})"
_CODE_PATTERN = r"<Code>([A-Z][A-Za-z]{0,60}\d?[A-Za-z]{0,60})</Code>"  # others could be a part of a secret
_AADSTS_PATTERN = r"AADSTS\d{4,9}"
_IDENTITY_PATTERN = r"^Generic MicrosoftAzure error: Error (?:performing|getting) token re"
_HTTP_KIND_PATTERN = r"HttpError \{\s+kind: (\w+)"
_SYSTEM_MESSAGE_PATTERN = r'\b(?:message|error): "([^"\\]{1,100})"'
_CERTIFICATE_PATTERN = r"InvalidCertificate\(\s*(\w+)"
_METADATA_PATTERN = r'Metadata value for "+([\w-]{1,80})"'

_UNREADABLE_FILE = "Error reading federated token file"
_CAUSES = {"Timeout": "timed out", "Interrupted": "connection reset", "Request": "connection closed"}

_Result = TypeVar("_Result")


def http_status(error: Exception) -> int | None:
    """Return the HTTP status of an error response of Blob Storage, or None if there is no such response."""
    text = str(error)[:_MAX_TEXT_CHARS]
    found = re.search(_STATUS_PATTERN, text)
    return int(found[1]) if found and not re.match(_IDENTITY_PATTERN, text) else None


def storage_error_code(error: Exception) -> str:
    """Return the error code of Blob Storage, or an empty text: responses to HEAD have none."""
    found = re.search(_CODE_PATTERN, str(error)[:_MAX_TEXT_CHARS])
    return found[1] if found else ""


def is_missing_blob(error: Exception) -> bool:
    """Return True if a response says that the blob does not exist. Other responses with the status 404 do not say so.

    A response to HEAD has no code. A directory of an account with a hierarchical namespace is not a blob.
    """
    if not isinstance(error, FileNotFoundError):
        return False
    text = str(error)[:_MAX_TEXT_CHARS]
    return storage_error_code(error) == "BlobNotFound" or "Error performing HEAD" in text or "Not a file" in text


def is_whole_response(error: Exception) -> bool:
    """Return True if a response has the whole blob in the place of the requested range.

    Some proxies send it, and Azurite for an empty blob, whose range it states as "bytes 0--1/0".
    """
    text = str(error)[:_MAX_TEXT_CHARS]
    return isinstance(error, BaseError) and ("Received non-partial response" in text or '"bytes 0--1/0"' in text)


def classify(error: Exception, *, target: str, secret: str = "") -> RetryableFailure:
    """Return the retryable failure behind an exception.

    Args:
        error: The exception.
        target: The requested blob or container, such as models/press-1.joblib.
        secret: The Secret with the credential, for error texts; empty if unknown.

    Raises:
        ConfigurationInvalid: Storage rejects the request, and a retry does not help.
        IdentityUnavailable: Storage or the identity platform rejects the credential, and a retry does not help.
        Exception: The exception itself, if it does not come from obstore.
    """
    if isinstance(error, InvalidPathError | ValueError):
        raise ConfigurationInvalid(f"{target} is invalid: obstore does not accept this name; rename it") from error
    if not isinstance(error, BaseError | FileNotFoundError):
        raise error
    text = str(error)[:_MAX_TEXT_CHARS]
    if re.match(_IDENTITY_PATTERN, text):
        code = re.search(_AADSTS_PATTERN, text)
        return rejected_token(code[0] if code else "", _cause(text))
    status = http_status(error)
    if status is not None:
        return rejected_request(status, storage_error_code(error), target, secret=secret)
    _raise_if_permanent(text, target, error)
    kind = re.search(_HTTP_KIND_PATTERN, text)
    if kind and kind[1] == "Connect":
        return unreachable(target, _cause(text))
    return RetryableFailure(
        StorageUnavailable(f"storage closed the connection or timed out for {target}: {_cause(text)}")
    )


def convert_panic(attempt: Callable[[], _Result]) -> _Result:
    """Call a function and return its result.

    A panic of obstore is not an Exception. It becomes one, so that it fails one device and not a thread.

    Raises:
        RuntimeError: obstore panicked.
    """
    try:
        return attempt()
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise RuntimeError(f"obstore failed: {error}") from error


def _raise_if_permanent(text: str, target: str, error: Exception) -> None:
    """Raise the error of a failure without an error response that no waiting ends."""
    if _UNREADABLE_FILE in text:
        raise IdentityUnavailable(
            "the service account's token (AZURE_FEDERATED_TOKEN_FILE) cannot be read; label the pod "
            "azure.workload.identity/use=true"
        ) from error
    if found := re.search(_METADATA_PATTERN, text):
        raise ConfigurationInvalid(f"{target} has metadata {found[1]} that is not ASCII; remove it") from error
    if "Got invalid list response" in text:
        raise ConfigurationInvalid(f"{target} cannot be listed: the response is not a listing of blobs") from error
    if "redirect" in text.partition("\n")[0]:
        raise redirected(target) from error


def _cause(text: str) -> str:
    """Return the system's text for the failure of a connection, or the kind of the failure."""
    if found := re.search(_CERTIFICATE_PATTERN, text):
        return f"its certificate is not trusted ({found[1]}); name the authority's file in REQUESTS_CA_BUNDLE"
    if found := re.search(_SYSTEM_MESSAGE_PATTERN, text):
        return found[1]
    kind = re.search(_HTTP_KIND_PATTERN, text)
    if kind:
        return _CAUSES.get(kind[1], "invalid response")
    return "Header missing" if "Header missing" in text else "invalid response"
