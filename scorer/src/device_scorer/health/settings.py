"""The settings of incidents: when they open and close, and who owns a device.

The environment variable FLEETSCORE_INCIDENTS has them as JSON:
`{"fleet": "plant", "openAfter": 2, "closeAfter": 2, "suspiciousShare": "30%",
"owners": [{"devices": "hall3-*", "name": "Hall 3", "contact": "hall3@example.com"}]}`.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from device_scorer.errors import UsageInvalid
from device_scorer.health.globs import MAX_GLOB_CHARS, DeviceGlob

VARIABLE = "FLEETSCORE_INCIDENTS"
MAX_SETTINGS_BYTES = 64 * 1024
MAX_OWNERS = 200
MAX_WINDOWS = 100
MAX_TEXT_CHARS = 200
_SHARE_PATTERN = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%")
_KEYS = frozenset({"fleet", "openAfter", "closeAfter", "suspiciousShare", "owners"})


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of some devices.

    Attributes:
        devices: The glob of the device ids.
        name: The name of the owner.
        contact: The owner's address.
    """

    devices: DeviceGlob
    name: str
    contact: str = ""

    @property
    def label(self) -> str:
        """The name and the address, for people."""
        return f"{self.name} <{self.contact}>" if self.contact else self.name


NO_OWNER = Owner(DeviceGlob("*"), "")


@dataclass(frozen=True, slots=True)
class IncidentSettings:
    """The rules of incidents.

    Attributes:
        fleet: The fleet's name.
        open_after: The number of consecutive bad windows that open an incident.
        close_after: The number of consecutive normal windows that close it.
        suspicious_share: The share of devices, from 0 to 1, that must turn bad in one window to be one incident of the
            fleet.
        owners: The owners; the first match wins.
    """

    fleet: str = "default"
    open_after: int = 2
    close_after: int = 2
    suspicious_share: float = 0.3
    owners: Sequence[Owner] = ()

    def owner_of(self, device: str) -> Owner:
        """Return the device's owner; NO_OWNER without one."""
        return next((owner for owner in self.owners if owner.devices.matches(device)), NO_OWNER)


def parse_incident_settings(text: str) -> IncidentSettings:
    """Parse the settings of incidents, which are JSON.

    Args:
        text: The value of FLEETSCORE_INCIDENTS; an empty text has the defaults.

    Raises:
        UsageInvalid: The value is invalid; the text names the key.
    """
    if not text.strip():
        return IncidentSettings()
    if len(text.encode("utf-8", "replace")) > MAX_SETTINGS_BYTES:
        raise UsageInvalid(f"{VARIABLE} is invalid: it has more than {MAX_SETTINGS_BYTES:,} bytes")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageInvalid(f"{VARIABLE} is invalid: it must be JSON ({error})") from error
    if not isinstance(document, dict) or not document.keys() <= _KEYS:
        raise UsageInvalid(f"{VARIABLE} is invalid: it must be an object with the keys {', '.join(sorted(_KEYS))}")
    default = IncidentSettings()
    return IncidentSettings(
        fleet=_text(document, "fleet", default.fleet),
        open_after=_windows(document, "openAfter", default.open_after),
        close_after=_windows(document, "closeAfter", default.close_after),
        suspicious_share=_share(document, "suspiciousShare", default.suspicious_share),
        owners=_owners(document.get("owners", [])),
    )


def _text(document: dict[str, Any], key: str, default: str = "") -> str:
    value = document.get(key, default)
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS or not value.isprintable() or (default and not value):
        raise UsageInvalid(
            f"{VARIABLE} is invalid: {key} must be a printable text of at most {MAX_TEXT_CHARS} characters"
        )
    return value


def _windows(document: dict[str, Any], key: str, default: int) -> int:
    value = document.get(key, default)
    if type(value) is not int or not 1 <= value <= MAX_WINDOWS:
        raise UsageInvalid(f"{VARIABLE} is invalid: {key} must be a whole number from 1 to {MAX_WINDOWS}")
    return value


def _share(document: dict[str, Any], key: str, default: float) -> float:
    value = document.get(key)
    if value is None:
        return default
    match = _SHARE_PATTERN.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 0 < float(match[1]) <= 100:
        raise UsageInvalid(f"{VARIABLE} is invalid: {key} must be a share above 0% up to 100%, such as 30%")
    return float(f"{match[1]}e-2")


def _owners(value: object) -> tuple[Owner, ...]:
    if not isinstance(value, list) or len(value) > MAX_OWNERS or not all(isinstance(entry, dict) for entry in value):
        raise UsageInvalid(f"{VARIABLE} is invalid: owners must be a list of at most {MAX_OWNERS} objects")
    owners = []
    for entry in value:
        glob, name = _text(entry, "devices"), _text(entry, "name")
        if not glob or not name or len(glob) > MAX_GLOB_CHARS:
            raise UsageInvalid(f"{VARIABLE} is invalid: an owner must have devices and a name")
        owners.append(Owner(DeviceGlob(glob), name, _text(entry, "contact")))
    return tuple(owners)
