"""Classification of the exceptions of obstore: retry, or an error for people.

obstore has few types of exceptions. Status, error code and cause are in the text: one line for people, "Debug source:",
and Rust's debug output. Only this module reads that text; a test fixes it for the pinned version. The text may contain
a URL, so messages contain only codes and texts from here.

Names, URLs and responses are in the text, too, and may imitate any part of its first line. In the debug output each of
them is a part of one line, within quotes or behind "http". The patterns here begin at the start of such a line.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from obstore.exceptions import BaseError, InvalidPathError

from device_scorer.errors import ConfigurationInvalid
from device_scorer.store.rejections import (
    certificate_problem,
    foreign_response,
    interrupted,
    proxy_login_required,
    redirected,
    rejected_request,
    rejected_token,
    unreachable,
    unreadable_token,
)
from device_scorer.store.retry import RetryableFailure

_MAX_DEBUG_CHARS = 20_000
_DEBUG_HEADING = "\n\nDebug source:\n"

# The patterns are compiled when an error needs them, and not at the start of each pod.
_SOURCE_PATTERN = r"^    source: (\w+)"
_STATUS_PATTERN = r"^ +status: (\d{3}),$"
_BODY = r'^ +body: Some\(\n +"[^\n]*?'
_CODE_PATTERN = _BODY + r"<Code>([A-Z][A-Za-z]{0,60}\d?[A-Za-z]{0,60})</Code>"  # others could be a part of a secret
_AADSTS_PATTERN = _BODY + r"(AADSTS\d{4,9})"
_HEAD_PATTERN = r"^ +method: HEAD,$"
_DIRECTORY_PATTERN = r'^    source: "Not a file'
_EMPTY_RANGE_PATTERN = r'^    source: ParseContentRange \{\n +value: "bytes 0--1/0",$'
_REDIRECT_PATTERN = r"^ +(?:inner: BareRedirect|kind: Redirect|source: BadScheme),$"
_PROXY_PATTERN = r"^ +(ProxyAuthRequired|TunnelUnsuccessful|TunnelUnexpectedEof|ConnectFailed)[,(]$"
_HTTP_KIND_PATTERN = r"^ +(?:\w+: )?HttpError \{\n +kind: (\w+),$"
_SYSTEM_MESSAGE_PATTERN = r'^ +(?:message|error): "([^"\\/]{1,100})",$'
_CERTIFICATE_PATTERN = r"^ +(?:\w+: )?InvalidCertificate\(\n +(\w+)"
_METADATA_PATTERN = r'^    source: InvalidMetadata \{\n +key: "([\w-]{1,80})",$'
_PROPERTY_PATTERN = r"^    source: Invalid(CacheControl|Content(?:Disposition|Encoding|Language|Type)) \{$"
_HEADER_PATTERN = r"^    source: (?:Header|Metadata) \{\n        source: (\w+)"
_LENGTH_PATTERN = r"^ +Parse\(\n +Header\(\n +(ContentLengthInvalid),$"

_TOKEN_SOURCES = ("TokenRequest", "TokenResponseBody")
_FOREIGN_SOURCES = (
    "InvalidContentRange",
    "InvalidListResponse",
    "NoContentRange",
    "NotPartial",
    "ParseContentRange",
    "UnexpectedRange",
)
_CAUSES = {
    "Timeout": "timed out",
    "Interrupted": "connection reset",
    "Request": "connection closed",
    "TunnelUnsuccessful": "it rejects the connection",
    "TunnelUnexpectedEof": "connection closed",
}

_Result = TypeVar("_Result")


def http_status(error: Exception) -> int | None:
    """Return the HTTP status of an error response of Blob Storage, or None if there is no such response."""
    debug = _debug_output(error)
    found = _find(_STATUS_PATTERN, debug)
    return int(found) if found and _find(_SOURCE_PATTERN, debug) not in _TOKEN_SOURCES else None


def storage_error_code(error: Exception) -> str:
    """Return the error code of Blob Storage, or an empty text: responses to HEAD have none."""
    return _find(_CODE_PATTERN, _debug_output(error))


def is_missing_blob(error: Exception) -> bool:
    """Return True if a response says that the blob does not exist. Other responses with the status 404 do not say so.

    A response to HEAD has no code. A directory of an account with a hierarchical namespace is not a blob.
    """
    if not isinstance(error, FileNotFoundError):
        return False
    debug = _debug_output(error)
    return storage_error_code(error) == "BlobNotFound" or _has(_HEAD_PATTERN, debug) or _has(_DIRECTORY_PATTERN, debug)


def is_whole_response(error: Exception) -> bool:
    """Return True if a response has the whole blob in the place of the requested range.

    Some proxies send it, and Azurite for an empty blob, whose range it states as "bytes 0--1/0".
    """
    debug = _debug_output(error)
    return isinstance(error, BaseError) and (
        _find(_SOURCE_PATTERN, debug) == "NotPartial" or _has(_EMPTY_RANGE_PATTERN, debug)
    )


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
    debug = _debug_output(error)
    proxy_failure = _find(_PROXY_PATTERN, debug)
    if proxy_failure == "ProxyAuthRequired":
        raise proxy_login_required(target) from error
    if _find(_SOURCE_PATTERN, debug) in _TOKEN_SOURCES:
        if _find(_STATUS_PATTERN, debug) == "407":
            raise proxy_login_required(target) from error
        return rejected_token(_find(_AADSTS_PATTERN, debug), _cause(debug))
    status = http_status(error)
    if status is not None:
        return rejected_request(status, storage_error_code(error), target, secret=secret)
    _raise_if_permanent(debug, target, error)
    if _find(_HTTP_KIND_PATTERN, debug) == "Connect":
        return unreachable(target, _cause(debug), through_proxy=bool(proxy_failure))
    return interrupted(target, _cause(debug))


def convert_panic(attempt: Callable[[], _Result], *, has_identity: bool = False) -> _Result:
    """Call a function and return its result.

    A panic of obstore is not an Exception. It becomes one, so that it fails one device and not a thread.

    Args:
        attempt: The function.
        has_identity: True if the requests have a token. Their other headers are printable.

    Raises:
        IdentityUnavailable: The token that the identity platform issued cannot be sent.
        RuntimeError: obstore panicked for another reason.
    """
    try:
        return attempt()
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":
            raise
        if has_identity and str(error).endswith("InvalidHeaderValue"):
            raise rejected_token("", "InvalidHeader").error from error
        raise RuntimeError(f"obstore failed: {error}") from error


def _raise_if_permanent(debug: str, target: str, error: Exception) -> None:
    """Raise the error of a failure without an error response that no waiting ends."""
    if _find(_SOURCE_PATTERN, debug) == "FederatedTokenFile":
        raise unreadable_token() from error
    if key := _find(_METADATA_PATTERN, debug):
        raise ConfigurationInvalid(f"{target} has metadata {key} that is not ASCII; remove it") from error
    if name := _find(_PROPERTY_PATTERN, debug):
        raise ConfigurationInvalid(f"{target} has a property {name} that is not ASCII; remove it") from error
    if _has(_REDIRECT_PATTERN, debug):
        raise redirected(target) from error
    if problem := _foreign_problem(debug):
        raise foreign_response(target, problem) from error


def _foreign_problem(debug: str) -> str:
    """Return the name of what is wrong in a response with success as its status, or an empty text.

    These responses have all their headers. A connection that is cut in the headers or in the body has another error.
    """
    if found := _find(_HEADER_PATTERN, debug) or _find(_LENGTH_PATTERN, debug):
        return found
    source = _find(_SOURCE_PATTERN, debug)
    return source if source in _FOREIGN_SOURCES else ""


def _cause(debug: str) -> str:
    """Return the system's text for the failure of a connection, or the status or the kind of another failure."""
    if found := _find(_CERTIFICATE_PATTERN, debug):
        return certificate_problem(found.removesuffix("Context"))
    if found := _find(_SYSTEM_MESSAGE_PATTERN, debug):
        return found
    if found := _find(_STATUS_PATTERN, debug):
        return f"status {found}"
    kinds = (_find(pattern, debug) for pattern in (_PROXY_PATTERN, _HTTP_KIND_PATTERN))
    return next((_CAUSES[kind] for kind in kinds if kind in _CAUSES), "invalid response")


def _debug_output(error: Exception) -> str:
    """Return the beginning of Rust's debug output. No name and no response has a line break in it."""
    _, heading, debug = str(error).rpartition(_DEBUG_HEADING)
    return debug[:_MAX_DEBUG_CHARS] if heading else ""


def _find(pattern: str, debug: str) -> str:
    """Return the first group of a pattern in the debug output, or an empty text."""
    found = re.search(pattern, debug, re.MULTILINE)
    return found[1] if found else ""


def _has(pattern: str, debug: str) -> bool:
    return re.search(pattern, debug, re.MULTILINE) is not None
