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
from device_scorer.store.retry import Trouble

_TRIED_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_BEING = frozenset({"ContainerBeingDeleted", "AccountBeingCreated"})
_AADSTS = re.compile(r"AADSTS\d+")
_SPREADING = frozenset({"AADSTS700213", "AADSTS70021", "AADSTS700211", "AADSTS700212", "AADSTS90033", "AADSTS50196"})
"""A federated credential that has not spread yet, or a busy service: seen to pass within a minute."""


def understand(error: Exception, *, what: str) -> Trouble:
    """The trouble behind an exception; raises ConfigurationInvalid or IdentityUnavailable where waiting is no help.

    `what` names what was wanted, such as "models/press-1.joblib". An exception that is none of the SDK's is raised as
    it is.
    """
    if not isinstance(error, AzureError):
        raise error
    if isinstance(error, ClientAuthenticationError) and (found := _AADSTS.search(str(error))):
        return _without_token(error, found[0])  # the answer in it, a 400, is the identity platform's, not storage's
    status, code = status_of(error), code_of(error)
    if status is not None and status not in _TRIED_AGAIN and code not in _BEING:
        _refused(error, status, code, what)
    if isinstance(error, ClientAuthenticationError):
        return _without_token(error, "")
    if status is not None and not isinstance(error, DecodeError) and status >= 300:
        text = f"storage answers {status} {code} for {what}".replace("  ", " ")
        return Trouble(StorageUnavailable(text), retry_after=_retry_after(error))
    if isinstance(error, ServiceRequestError) and not isinstance(error, ServiceRequestTimeoutError):
        return Trouble(StorageUnavailable(f"storage cannot be reached for {what}: {_words(error)}"), reached=False)
    return Trouble(StorageUnavailable(f"storage broke off or is silent over {what}: {_words(error)}"))


def status_of(error: Exception) -> int | None:
    """The HTTP status behind an exception of the storage account; None where there was no answer from it."""
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) and status >= 300 else None


def code_of(error: Exception) -> str:
    """Azure Storage's word for the error, such as BlobNotFound; empty where it gave none."""
    code: Any = getattr(error, "error_code", None)
    response: Any = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or {}
    return str(getattr(code, "value", code) or headers.get("x-ms-error-code") or "")


def _refused(error: Exception, status: int, code: str, what: str) -> None:
    """Raise for an answer that will not change by itself."""
    told = f"storage refuses {what}: {status} {code}".rstrip()
    if status in (401, 403):
        cure = "has the identity a blob role on the container (or the SAS or key these rights)?"
        raise IdentityUnavailable(f"{told}: {cure}") from error
    if code == "ContainerNotFound":
        raise ConfigurationInvalid(f"{told}: create the container") from error
    raise ConfigurationInvalid(told) from error


def _without_token(error: ClientAuthenticationError, code: str) -> Trouble:
    """No token from the identity platform: some of its errors pass within a minute, the others are for a person."""
    told = f"no token for the storage account ({code or type(error).__name__})"
    if code and code not in _SPREADING:
        raise IdentityUnavailable(f"{told}: check client id, tenant and federated credential") from error
    return Trouble(IdentityUnavailable(told), retry_after=_retry_after(error))


def _retry_after(error: AzureError) -> float | None:
    response: Any = error.response if isinstance(error, HttpResponseError) else None
    text = str((getattr(response, "headers", None) or {}).get("Retry-After", ""))
    return float(text) if re.fullmatch(r"\d{1,5}", text) else None


def _words(error: AzureError) -> str:
    """The kind of failure, by the innermost exception's name and the operating system's word."""
    inner: BaseException = error
    while (deeper := getattr(inner, "inner_exception", None) or inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    return getattr(inner, "strerror", None) or type(inner).__name__
