"""What the Azure SDK's exceptions mean: try again, someone else was first, not there, or for a person to mend.

Nothing of an exception's own text gets out but codes and words chosen here: it may hold a URL with a SAS.
"""

import re
from typing import Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
)

from device_scorer.errors import ConfigurationInvalid, IdentityUnavailable, StorageUnavailable
from device_scorer.store.retry import RetryableFailure

_RETRYABLE_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_IN_PROGRESS_CODES = frozenset({"ContainerBeingDeleted", "AccountBeingCreated"})
_AADSTS_PATTERN = re.compile(r"AADSTS\d+")
_TRANSIENT_IDENTITY_CODES = frozenset(
    {"AADSTS700213", "AADSTS70021", "AADSTS700211", "AADSTS700212", "AADSTS90033", "AADSTS50196"}
)
"""A federated credential that has not spread yet, or a busy service: seen to pass within a minute."""


def classify(error: Exception, *, target: str) -> RetryableFailure:
    """The trouble behind an exception; raises ConfigurationInvalid or IdentityUnavailable where waiting is no help.

    `what` names what was wanted, such as "models/press-1.joblib". An exception that is none of the SDK's is raised as
    it is.
    """
    if not isinstance(error, AzureError):
        raise error
    if isinstance(error, ClientAuthenticationError) and (found := _AADSTS_PATTERN.search(str(error))):
        return _classify_token_error(
            error, found[0]
        )  # the answer in it, a 400, is the identity platform's, not storage's
    status, code = http_status(error), storage_error_code(error)
    if status is not None and status not in _RETRYABLE_STATUSES and code not in _IN_PROGRESS_CODES:
        _raise_rejection(error, status, code, target)
    if isinstance(error, ClientAuthenticationError):
        return _classify_token_error(error, "")
    if status is not None and not isinstance(error, DecodeError) and status >= 300:
        text = f"storage answers {status} {code} for {target}".replace("  ", " ")
        return RetryableFailure(StorageUnavailable(text), retry_after_seconds=_retry_after_seconds(error))
    if isinstance(error, ServiceRequestError) and not isinstance(error, ServiceRequestTimeoutError):
        return RetryableFailure(
            StorageUnavailable(f"storage cannot be reached for {target}: {_describe(error)}"), maybe_applied=False
        )
    return RetryableFailure(StorageUnavailable(f"storage broke off or is silent over {target}: {_describe(error)}"))


def http_status(error: Exception) -> int | None:
    """The HTTP status behind an exception of the storage account; None where there was no answer from it."""
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) and status >= 300 else None


def storage_error_code(error: Exception) -> str:
    """Azure Storage's word for the error, such as BlobNotFound; empty where it gave none."""
    code: Any = getattr(error, "error_code", None)
    response: Any = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or {}
    return str(getattr(code, "value", code) or headers.get("x-ms-error-code") or "")


def _raise_rejection(error: Exception, status: int, code: str, target: str) -> None:
    """Raise for an answer that will not change by itself."""
    told = f"storage refuses {target}: {status} {code}".rstrip()
    if status in (401, 403):
        cure = "has the identity a blob role on the container (or the SAS or key these rights)?"
        raise IdentityUnavailable(f"{told}: {cure}") from error
    if code == "ContainerNotFound":
        raise ConfigurationInvalid(f"{told}: create the container") from error
    raise ConfigurationInvalid(told) from error


def _classify_token_error(error: ClientAuthenticationError, code: str) -> RetryableFailure:
    """No token from the identity platform: some of its errors pass within a minute, the others are for a person."""
    told = f"no token for the storage account ({code or type(error).__name__})"
    if code and code not in _TRANSIENT_IDENTITY_CODES:
        raise IdentityUnavailable(f"{told}: check client id, tenant and federated credential") from error
    return RetryableFailure(IdentityUnavailable(told), retry_after_seconds=_retry_after_seconds(error))


def _retry_after_seconds(error: AzureError) -> float | None:
    response: Any = error.response if isinstance(error, HttpResponseError) else None
    text = str((getattr(response, "headers", None) or {}).get("Retry-After", ""))
    return float(text) if re.fullmatch(r"\d{1,5}", text) else None


def _describe(error: AzureError) -> str:
    """The kind of failure, by the innermost exception's name and the operating system's word."""
    inner: BaseException = error
    while (deeper := getattr(inner, "inner_exception", None) or inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    return getattr(inner, "strerror", None) or type(inner).__name__
