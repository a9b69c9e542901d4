"""Responses of the API server: errors in the words of the user, and the check that a response is an object.

A login page of a proxy, or another server at the address, answers with 200, too. So each response is checked.
"""

import json
import re
from typing import Any

from fleetscore.cluster.causes import right_check
from fleetscore.errors import AccessDenied, ClusterUnavailable, FleetscoreError, NotFound, UsageInvalid
from fleetscore.texts import printable

RUNS_API = "/apis/fleetscore.dev"

_MISSING_NAMESPACE = re.compile(r'namespaces "([a-z0-9-]+)" not found')
_REJECTED_BY_A_RULE = re.compile(
    r"admission|exceeded quota|is being terminated|violates PodSecurity|denied the request"
)
"""Messages of a 403 that no Role cures: webhooks, policies, quotas, and a namespace that is being deleted."""


def response_error(status: int, reason: str, content: bytes, *, action: str, path: str, server: str) -> FleetscoreError:
    """Return the error for a response that is not a success.

    Args:
        status: The HTTP status.
        reason: The text of the status.
        content: The body.
        action: The verb and the object, for messages.
        path: The path of the request.
        server: The URL of the API server.
    """
    message, is_status = _message(content)
    if status == 401:
        text = f"{server} rejects the credentials of this user (401)"
        return AccessDenied(f"{text}; log in again, or use another --context")
    if status == 403 and not _REJECTED_BY_A_RULE.search(message):
        text = f"the cluster does not allow this user to {action}; ask for a Role with this right"
        return AccessDenied(text + right_check(message))
    if status == 404:
        return _not_found(message, is_status=is_status, action=action, path=path, server=server)
    if status in (400, 403, 409, 422):
        return _rejected(message or reason, action, server)
    if 300 <= status < 400:
        return not_an_api_server(server, f"it answered {status} {reason}")
    detail = f": {message}" if is_status and message else ""
    text = f"cannot {action}: {server} answered {status} {reason}{detail}"
    is_transient = status in (408, 410, 429) or status >= 500
    return ClusterUnavailable(f"{text}; {'try again' if is_transient else 'check the server of the context'}")


def _rejected(message: str, action: str, server: str) -> UsageInvalid:
    if "HTTP request to an HTTPS server" in message:
        return UsageInvalid(f"{server} expects TLS; correct the server of the context to https://")
    next_step = "; choose another name" if "already exists" in message else ""
    if " is invalid: " in message:
        next_step = "; correct the value that the message names"
    return UsageInvalid(f"cannot {action}: {message}{next_step}")


def parse_object(content: bytes, server: str) -> dict[str, Any]:
    """Return the JSON object of a response.

    Raises:
        ClusterUnavailable: The content is not a JSON object: another server answered.
    """
    found = _json_object(content)
    if found is None:
        raise not_an_api_server(server, "it answered with another document than JSON of Kubernetes")
    return found


def parse_resource(content: bytes, server: str) -> dict[str, Any]:
    """Return the resource of a response: a JSON object with metadata; see parse_object."""
    found = parse_object(content, server)
    if not isinstance(found.get("metadata"), dict):
        raise not_an_api_server(server, "it answered with an object without metadata")
    return found


def parse_list(content: bytes, server: str) -> tuple[list[dict[str, Any]], str]:
    """Return the resources of a list, and the token of its next page, which is empty on the last one.

    Raises:
        ClusterUnavailable: The content is not a list of resources: another server answered.
    """
    found = parse_object(content, server)
    items, metadata = found.get("items"), found.get("metadata")
    is_list = isinstance(items, list) and all(
        isinstance(one, dict) and isinstance(one.get("metadata"), dict) for one in items
    )
    if not is_list or not isinstance(metadata, dict):
        raise not_an_api_server(server, "it answered with an object that is not a list of resources")
    return list(items or ()), str(metadata.get("continue") or "")


def not_an_api_server(server: str, observed: str) -> ClusterUnavailable:
    """Return the error for a server that is not an API server.

    Args:
        server: Its URL.
        observed: The fact that shows it.
    """
    text = f"{server} is not an API server of Kubernetes, or a proxy answers in its place ({observed})"
    return ClusterUnavailable(f"{text}; check the server of the context, and log in to the proxy or VPN")


def _not_found(message: str, *, is_status: bool, action: str, path: str, server: str) -> FleetscoreError:
    is_unknown = "page not found" in message or "the server could not find the requested resource" in message
    if is_unknown and path.startswith(RUNS_API):
        return NotFound("the cluster does not know ScoringRuns; `helm install` Fleetscore, or use --context")
    if is_unknown or not is_status:
        return not_an_api_server(server, f"it does not know {path}"[:200])
    if match := _MISSING_NAMESPACE.search(message):
        return NotFound(f"cannot {action}: namespace {match[1]} does not exist; create it, or name another with -n")
    match = re.search(r"/namespaces/([^/]+)", path)
    place = f" in namespace {match[1]}" if match else ""
    return NotFound(f"cannot {action}: it does not exist{place}; check its name, -n and --context")


def _message(content: bytes) -> tuple[str, bool]:
    """Return the message of a Status object, and True; otherwise the text of the response, and False."""
    found = _json_object(content)
    text = content[:4096].decode(errors="replace") if found is None else found.get("message") or ""
    return printable(text).rstrip("."), found is not None


def _json_object(content: bytes) -> dict[str, Any] | None:
    """Return a JSON object, or None for another content."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
