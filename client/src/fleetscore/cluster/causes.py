"""Texts for what keeps a user from the cluster: a kubeconfig, a login command, a network or a missing right."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

WRONG_TYPES = (TypeError, AttributeError, KeyError)
"""The errors of the package kubernetes for a kubeconfig with a list or text in place of a mapping."""

_FORBIDDEN = re.compile(
    r'cannot ([a-z]+) resource "([a-z0-9/.-]+)" in API group "([a-z0-9.-]*)"(?: in the namespace "([a-z0-9-]+)")?'
)
"""The message of the API server's authorizer (apiserver/pkg/endpoints/handlers/responsewriters, Forbidden)."""


@contextmanager
def logged_errors() -> Iterator[list[str]]:
    """Collect the errors that the package kubernetes only logs: those of login commands."""
    found: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: found.append(_one_line(record.getMessage()))  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield found
    finally:
        logging.getLogger().removeHandler(handler)


def invalid_text(error: Exception) -> str:
    """Return the fault of a kubeconfig as one line."""
    text = _one_line(error)
    return f"one of its values has the wrong type ({text})" if isinstance(error, WRONG_TYPES) else text


_CAUSES = {
    "NameResolutionError": "its host name is unknown); check the context's server, the VPN and DNS",
    "ConnectTimeoutError": "it does not answer); check that the cluster runs, the context, the VPN and the network",
    "ReadTimeoutError": "it accepts connections, but does not answer in time); try again, or check the API server",
    "ProxyError": "the proxy does not answer); check proxy-url of the kubeconfig and HTTPS_PROXY",
}
_UNTRUSTED = "its TLS certificate is not trusted); get the kubeconfig again"
_OTHER_HOST = "its TLS certificate is for another host name); correct the server or tls-server-name of the kubeconfig"
_CLIENT_CERTIFICATE = "it rejects the client certificate of the kubeconfig); get the kubeconfig again"
_TLS_TEXTS = {
    "certificate has expired": "its TLS certificate has expired); renew it, or correct the clock of this machine",
    "certificate is not yet valid": "its TLS certificate is not valid yet); correct the clock of this machine",
    "ostname mismatch": _OTHER_HOST,
    "IP address mismatch": _OTHER_HOST,
    "WRONG_VERSION_NUMBER": "it does not answer with TLS); correct the port of the context's server, or use http://",
    "ALERT_CERTIFICATE": _CLIENT_CERTIFICATE,
    "ALERT_BAD_CERTIFICATE": _CLIENT_CERTIFICATE,
    "ALERT_UNKNOWN_CA": _CLIENT_CERTIFICATE,
    "alert certificate": _CLIENT_CERTIFICATE,
}
"""The cause and the next step by a part of the message of OpenSSL."""


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def unreachable_text(error: Exception) -> str:
    """Return why a request did not reach the API server, and the next step."""
    reason = getattr(error, "reason", None) or error
    cause = type(reason).__name__
    if cause == "SSLError" or str(reason).startswith("SSLError"):  # the package kubernetes has it as text, too
        return next((text for part, text in _TLS_TEXTS.items() if part in str(reason)), _UNTRUSTED)
    return _CAUSES.get(cause, f"{cause}); check that the cluster runs, the context and the network")


def right_check(message: str) -> str:
    """Return the command that checks a right, from the message of a rejection; empty if it names none."""
    found = _FORBIDDEN.search(message)
    if not found:
        return ""
    verb, resource, group, namespace = found.groups()
    kind, _, subresource = resource.partition("/")
    words = [verb, f"{kind}.{group}" if group else kind, f"--subresource={subresource}" if subresource else ""]
    command = " ".join(word for word in [*words, f"-n {namespace}" if namespace else "--all-namespaces"] if word)
    return f" (`kubectl auth can-i {command}` checks it)"
