"""Classification of the exceptions of the Azure SDK: retry, or an error for people.

The text of an SDK exception may contain a URL with a SAS. Therefore messages contain only codes and texts from here.

Sources: "Common REST API error codes" and "Blob Storage error codes" (Azure Storage REST API reference); "Microsoft
Entra authentication and authorization error codes" (AADSTS).
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
    {
        "AADSTS700213",  # no federated credential with this subject
        "AADSTS70021",  # no federated credential matches the token
        "AADSTS700211",  # no federated credential with this issuer
        "AADSTS700212",  # no federated credential with this audience
        "AADSTS90033",  # the service is temporarily unavailable
        "AADSTS50196",  # too many requests
    }
)
"""Codes of a new federated credential that is not replicated yet, and of a busy service."""


def classify(error: Exception, *, target: str) -> RetryableFailure:
    """Return the retryable failure behind an exception.

    Args:
        error: The exception.
        target: The requested blob or container, such as models/press-1.joblib.

    Raises:
        ConfigurationInvalid: Storage rejects the request, and a retry does not help.
        IdentityUnavailable: Storage or the identity platform rejects the credential, and a retry does not help.
        Exception: The exception itself, if it does not come from the SDK.
    """
    if not isinstance(error, AzureError):
        raise error
    if isinstance(error, ClientAuthenticationError) and (found := _AADSTS_PATTERN.search(str(error))):
        return _classify_token_error(error, found[0])  # the status 400 in it is that of the identity platform
    status, code = http_status(error), storage_error_code(error)
    if status is not None and status not in _RETRYABLE_STATUSES and code not in _IN_PROGRESS_CODES:
        _raise_rejection(error, status, code, target)
    if isinstance(error, ClientAuthenticationError):
        return _classify_token_error(error, "")
    if status is not None and not isinstance(error, DecodeError) and status >= 300:
        text = f"storage returned {status} {code} for {target}".replace("  ", " ")
        return RetryableFailure(StorageUnavailable(text), retry_after_seconds=_retry_after_seconds(error))
    if isinstance(error, ServiceRequestError) and not isinstance(error, ServiceRequestTimeoutError):
        return RetryableFailure(
            StorageUnavailable(f"storage cannot be reached for {target}: {_describe(error)}"), maybe_applied=False
        )
    return RetryableFailure(
        StorageUnavailable(f"storage closed the connection or timed out for {target}: {_describe(error)}")
    )


def http_status(error: Exception) -> int | None:
    """Return the HTTP status of an error response, or None if there is no error response."""
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) and status >= 300 else None


def storage_error_code(error: Exception) -> str:
    """Return the error code of Azure Storage, such as BlobNotFound, or an empty text if there is none."""
    code: Any = getattr(error, "error_code", None)
    response: Any = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or {}
    return str(getattr(code, "value", code) or headers.get("x-ms-error-code") or "")


def _raise_rejection(error: Exception, status: int, code: str, target: str) -> None:
    rejection = f"storage rejected {target}: {status} {code}".rstrip()
    if status in (401, 403):
        next_step = "check that the identity has a blob role on the container (or that the SAS or key allows this)"
        raise IdentityUnavailable(f"{rejection}; {next_step}") from error
    if code == "ContainerNotFound":
        raise ConfigurationInvalid(f"{rejection}; create the container") from error
    raise ConfigurationInvalid(rejection) from error


def _classify_token_error(error: ClientAuthenticationError, code: str) -> RetryableFailure:
    """Return the failure of a token request, or raise IdentityUnavailable if a retry does not help."""
    message = f"there is no token for the storage account ({code or type(error).__name__})"
    if code and code not in _TRANSIENT_IDENTITY_CODES:
        raise IdentityUnavailable(f"{message}; check client id, tenant and federated credential") from error
    return RetryableFailure(IdentityUnavailable(message), retry_after_seconds=_retry_after_seconds(error))


def _retry_after_seconds(error: AzureError) -> float | None:
    response: Any = error.response if isinstance(error, HttpResponseError) else None
    text = str((getattr(response, "headers", None) or {}).get("Retry-After", ""))
    return float(text) if re.fullmatch(r"\d{1,5}", text) else None


def _describe(error: AzureError) -> str:
    """Return the operating system's text for the innermost exception, or the name of its type."""
    inner: BaseException = error
    while (deeper := getattr(inner, "inner_exception", None) or inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    return getattr(inner, "strerror", None) or type(inner).__name__
