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


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def unreachable_text(error: Exception) -> str:
    """Return why a request did not reach the API server, and the next step."""
    cause = type(getattr(error, "reason", None) or error).__name__
    texts = {
        "NameResolutionError": "its host name is unknown); check the context's server, the VPN and DNS",
        "SSLError": "its TLS certificate is not trusted); get the kubeconfig again",
    }
    return texts.get(cause, f"{cause}); check that the cluster runs, the context and the network")


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
