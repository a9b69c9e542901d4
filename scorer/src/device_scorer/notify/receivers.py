"""The receivers of a fleet, from the variable FLEETSCORE_NOTIFY.

The variable is a JSON list. A URL or a signing key that a Secret holds is the name of another variable, so the list
contains no secret.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from device_scorer.contract.causes import CAUSES

VARIABLE = "FLEETSCORE_NOTIFY"
ALERTMANAGER, WEBHOOK = "alertmanager", "webhook"
TYPES = (ALERTMANAGER, WEBHOOK)
OPENED, CLOSED, RUN_FAILED = "opened", "closed", "runFailed"
EVENTS = (OPENED, CLOSED, RUN_FAILED)
MAX_RECEIVERS = 10
MAX_SETTINGS_BYTES = 64 * 1024
DEFAULT_MAX_PER_WINDOW = 50
_NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_URL_PATTERN = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?(\?[^\s#]*)?")
_KEYS = frozenset({"name", "type", "url", "urlFrom", "keyFrom", "events", "causes", "minWindows", "maxPerWindow"})


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver of notices.

    Attributes:
        name: The name in messages; unique in the fleet.
        type: One of TYPES.
        url: The address, which may contain a secret.
        key: The key that signs the body of a webhook; empty for no signature.
        events: The events that are sent, from EVENTS.
        causes: The causes of incidents that are sent, from CAUSES.
        min_windows: The number of windows that an incident must have lasted.
        max_per_window: The number of notices of one window; one more notice counts the others.
    """

    name: str
    type: str
    url: str = field(repr=False)
    key: str = field(default="", repr=False)
    events: frozenset[str] = frozenset({OPENED, CLOSED})
    causes: frozenset[str] = frozenset(CAUSES)
    min_windows: int = 1
    max_per_window: int = DEFAULT_MAX_PER_WINDOW

    @property
    def address(self) -> str:
        """A text without a secret that changes with the type, the scheme, the host or the port."""
        parts = urlsplit(self.url)
        return hashlib.sha256(f"{self.type} {parts.scheme}://{parts.netloc}".lower().encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Receivers:
    """The receivers of a fleet.

    Attributes:
        usable: The receivers that can be used.
        problems: A sentence about each one that cannot.
        unusable: The names of those, as far as they have valid names: their notices wait until the cause has ended.
    """

    usable: tuple[Receiver, ...] = ()
    problems: tuple[str, ...] = ()
    unusable: frozenset[str] = frozenset()


def parse_receivers(environment: Mapping[str, str]) -> Receivers:
    """Return the receivers of a fleet. A receiver that cannot work is a problem and not an error of the others.

    Args:
        environment: The environment variables.

    Returns:
        The receivers. If FLEETSCORE_NOTIFY is not a JSON list of at most MAX_RECEIVERS objects, that is the problem.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return Receivers()
    if len(text) > MAX_SETTINGS_BYTES:
        return _invalid(f"it has more than {MAX_SETTINGS_BYTES:,} bytes")
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        return _invalid(f"it is not JSON ({error})")
    if not isinstance(entries, list) or len(entries) > MAX_RECEIVERS:
        return _invalid(f"it must be a list of at most {MAX_RECEIVERS} receivers")
    usable: dict[str, Receiver] = {}
    problems: list[str] = []
    unusable: set[str] = set()
    for number, entry in enumerate(entries, 1):
        try:
            receiver = _parse_receiver(entry, environment, usable)
            usable[receiver.name] = receiver
        except _ReceiverInvalid as problem:
            name = entry.get("name") if isinstance(entry, dict) else None
            label = f"receiver {name!r:.70}" if isinstance(name, str) else f"receiver number {number}"
            problems.append(f"{label} cannot be used: {problem}")
            if isinstance(name, str) and _NAME_PATTERN.fullmatch(name):
                unusable.add(name)
    return Receivers(tuple(usable.values()), tuple(problems), frozenset(unusable - usable.keys()))


def _invalid(reason: str) -> Receivers:
    return Receivers(problems=(f"{VARIABLE} is invalid: {reason}; no notices are sent",))


class _ReceiverInvalid(Exception):  # noqa: N818  a signal: see errors.py
    """A receiver cannot be used. The text is the reason."""


def _parse_receiver(entry: Any, environment: Mapping[str, str], others: Mapping[str, Receiver]) -> Receiver:
    if not isinstance(entry, dict):
        raise _ReceiverInvalid("it must be an object with name, type and url")
    if unknown := sorted(str(key)[:40] for key in entry.keys() - _KEYS):
        raise _ReceiverInvalid(f"the key {unknown[0]!r} is unknown")
    name, type_ = entry.get("name"), entry.get("type")
    if not isinstance(name, str) or not _NAME_PATTERN.fullmatch(name):
        raise _ReceiverInvalid("its name must be a DNS label of at most 63 characters")
    if name in others:
        raise _ReceiverInvalid("its name is used twice; rename one")
    if type_ not in TYPES:
        raise _ReceiverInvalid(f"its type must be one of {', '.join(TYPES)}")
    return Receiver(
        name=name,
        type=type_,
        url=_url(entry, environment),
        key=_referenced(entry, "keyFrom", environment) if "keyFrom" in entry else "",
        events=_choices(entry, "events", EVENTS, frozenset({OPENED, CLOSED})),
        causes=_choices(entry, "causes", CAUSES, frozenset(CAUSES)),
        min_windows=_number(entry, "minWindows", 1, 10_000),
        max_per_window=_number(entry, "maxPerWindow", DEFAULT_MAX_PER_WINDOW, 1000),
    )


def _url(entry: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    if ("url" in entry) == ("urlFrom" in entry):
        raise _ReceiverInvalid("exactly one of url and urlFrom must be set")
    url = entry["url"] if "url" in entry else _referenced(entry, "urlFrom", environment)
    if not isinstance(url, str) or not _URL_PATTERN.fullmatch(url) or not _has_valid_host(url):
        source = "url" if "url" in entry else "the Secret's value"
        raise _ReceiverInvalid(f"{source} must be an http(s) URL with a valid host and port, and without a user")
    return url


def _has_valid_host(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:  # the text of the error repeats the host, which a Secret may hold
        return False


def _referenced(entry: Mapping[str, Any], key: str, environment: Mapping[str, str]) -> str:
    """Return the value of the variable that `urlFrom` or `keyFrom` names."""
    variable = entry[key]
    value = environment.get(variable, "").strip() if isinstance(variable, str) else ""
    if not value:
        raise _ReceiverInvalid(f"{key} names a Secret's key that does not exist or is empty; check the Secret")
    return value


def _choices(entry: Mapping[str, Any], key: str, allowed: tuple[str, ...], default: frozenset[str]) -> frozenset[str]:
    if key not in entry:
        return default
    found = entry[key]
    if not isinstance(found, list) or not found or not all(one in allowed for one in found):
        raise _ReceiverInvalid(f"{key} must be a list from {', '.join(allowed)}")
    return frozenset(found)


def _number(entry: Mapping[str, Any], key: str, default: int, maximum: int) -> int:
    found = entry.get(key, default)
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= maximum:
        raise _ReceiverInvalid(f"{key} must be a number from 1 to {maximum:,}")
    return found
