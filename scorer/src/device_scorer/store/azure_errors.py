"""Classification of the exceptions of the Azure SDK: retry, or an error for people.

The text of an SDK exception may contain a URL with a SAS. Therefore messages contain only codes and texts from here.
"""

import re
from http import HTTPStatus
from ssl import SSLCertVerificationError
from traceback import walk_tb
from typing import Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
)
from requests.exceptions import InvalidHeader as InvalidRequestHeader
from requests.exceptions import InvalidSchema, InvalidURL
from urllib3.exceptions import InvalidHeader, LocationValueError, ProtocolError, ProxyError, ReadTimeoutError

from device_scorer.errors import DeviceError
from device_scorer.store.rejections import (
    certificate_problem,
    foreign_response,
    interrupted,
    proxy_login_required,
    rejected_request,
    rejected_token,
    unreachable,
    unreadable_token,
)
from device_scorer.store.retry import RetryableFailure

_AADSTS_PATTERN = re.compile(r"AADSTS\d{4,9}")
_CODE_PATTERN = re.compile(r"[A-Z][A-Za-z]{0,60}\d?[A-Za-z]{0,60}")
"""The form of the codes of Blob Storage. A text of another form could be a part of a secret."""
_CERTIFICATE_PROBLEMS = {
    **dict.fromkeys((18, 19, 20, 21), "UnknownIssuer"),
    9: "NotValidYet",
    10: "Expired",
    **dict.fromkeys((62, 64), "NotValidForName"),
}
"""The names in rustls of the codes of OpenSSL (X509_V_ERR_*)."""
_URL_ERRORS = InvalidSchema, InvalidURL, LocationValueError
_TUNNEL_PATTERN = re.compile(r"Tunnel connection failed: (\d{3})\b")


def classify(error: Exception, *, target: str, secret: str = "") -> RetryableFailure:
    """Return the retryable failure behind an exception.

    Args:
        error: The exception.
        target: The requested blob or container, such as models/press-1.joblib.
        secret: The Secret with the credential, for error texts; empty if unknown.

    Raises:
        ConfigurationInvalid: Storage rejects the request, and a retry does not help.
        IdentityUnavailable: Storage or the identity platform rejects the credential, and a retry does not help.
        Exception: The exception itself, if it does not come from the SDK.
    """
    if not isinstance(error, AzureError):
        raise error
    retry_after = _retry_after_seconds(error)
    status = http_status(error)
    tunnel_status = _tunnel_status(error)
    if tunnel_status == "407":
        raise proxy_login_required(target) from error
    if _is_token_request(error):
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise proxy_login_required(target) from error
        code = _AADSTS_PATTERN.search(str(error))
        return rejected_token(code[0] if code else "", _token_problem(error, status), retry_after_seconds=retry_after)
    _raise_if_foreign(error, status, target)
    if status is not None:
        return rejected_request(
            status, storage_error_code(error), target, secret=secret, retry_after_seconds=retry_after
        )
    if isinstance(_causes(error)[-1], _URL_ERRORS):
        return unreachable(target, "the account URL or HTTPS_PROXY is not a valid URL")
    through_proxy = _has_cause(error, ProxyError)
    was_sent = not through_proxy and _has_cause(error, ReadTimeoutError, ProtocolError)
    if isinstance(error, ServiceRequestError) and not isinstance(error, ServiceRequestTimeoutError) and not was_sent:
        text = f"it rejects the connection ({tunnel_status})" if tunnel_status else _describe(error)
        return unreachable(target, text, through_proxy=through_proxy)
    return interrupted(target, _describe(error))


def error_response(error: BaseException) -> HttpResponseError | None:
    """Return the error response whose body has led to an exception of the SDK, or None if there is no such response.

    Args:
        error: The exception, which is not one of the SDK.
    """
    context = error.__context__
    while context is not None:
        if isinstance(context, HttpResponseError) and http_status(context) is not None:
            return context
        context = context.__context__
    return None


def unparsed(error: Exception, target: str) -> DeviceError:
    """Return the error of an exception of a parser, or of the file with the service account's token.

    Args:
        error: The exception, which is not one of the SDK.
        target: The requested blob or container.
    """
    if not _passed_identity(error):
        return foreign_response(target, type(error).__name__)
    if isinstance(error, OSError | UnicodeDecodeError):
        return unreadable_token()
    return rejected_token("", type(error).__name__).error


def _tunnel_status(error: AzureError) -> str:
    """Return the status with which a proxy rejects a tunnel to an HTTPS server, or an empty text."""
    inner = _causes(error)[-1]
    found = _TUNNEL_PATTERN.match(str(inner)) if type(inner) is OSError else None  # others may have a server's text
    return found[1] if found else ""


def _is_token_request(error: AzureError) -> bool:
    """Return True if a request to the identity platform has failed: no other one has the method POST.

    An exception without a response does not name its request. The stack of its traceback names the library. A header
    that cannot be sent has the token: all others are printable.
    """
    response: Any = getattr(error, "response", None)
    if response is not None:
        return getattr(response.request, "method", "") == "POST"
    has_invalid_token = isinstance(_causes(error)[-1], InvalidRequestHeader)  # behind that of a response is another
    return isinstance(error, ClientAuthenticationError) or has_invalid_token or _passed_identity(error)


def _passed_identity(error: Exception) -> bool:
    """Return True if the library azure.identity is in the stack of the traceback."""
    modules = (str(frame.f_globals.get("__name__")) for frame, _ in walk_tb(error.__traceback__))
    return any(name.startswith("azure.identity.") for name in modules)


def _token_problem(error: AzureError, status: int | None) -> str:
    """Return a short text for a failed token request without a code."""
    if status is not None:
        return f"status {status}"
    only_response = isinstance(error, HttpResponseError) and len(_causes(error)) == 1
    return "invalid response" if only_response else _describe(error)


def _raise_if_foreign(error: AzureError, status: int | None, target: str) -> None:
    """Raise the error of a response with success as its status that the SDK does not understand."""
    if status is None and isinstance(error, HttpResponseError) and error.response is not None:
        raise foreign_response(target, type(error).__name__) from error
    if isinstance(inner := _causes(error)[-1], InvalidHeader):  # two lengths, or one that is not a number
        raise foreign_response(target, type(inner).__name__) from error


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
    text = str(getattr(code, "value", code) or headers.get("x-ms-error-code") or "")
    return text if _CODE_PATTERN.fullmatch(text) else ""


def _retry_after_seconds(error: AzureError) -> float | None:
    response: Any = error.response if isinstance(error, HttpResponseError) else None
    text = str((getattr(response, "headers", None) or {}).get("Retry-After", ""))
    return float(text) if re.fullmatch(r"\d{1,5}", text) else None


def _describe(error: AzureError) -> str:
    """Return the operating system's text for the innermost exception, or the name of its type."""
    inner = _causes(error)[-1]
    if isinstance(inner, SSLCertVerificationError):
        return certificate_problem(_CERTIFICATE_PROBLEMS.get(inner.verify_code, f"OpenSSL {inner.verify_code}"))
    return getattr(inner, "strerror", None) or type(inner).__name__


def _has_cause(error: AzureError, *types: type[BaseException]) -> bool:
    return any(isinstance(cause, types) for cause in _causes(error))


def _causes(error: AzureError) -> list[BaseException]:
    """Return the exception and those behind it, the innermost at the end."""
    causes: list[BaseException] = [error]
    while True:
        outer = causes[-1]
        inner = getattr(outer, "inner_exception", None) or outer.__cause__ or outer.__context__
        if inner is None:
            return causes
        causes.append(inner)
