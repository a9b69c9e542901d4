"""The settings of incidents."""

import json

import pytest

from device_scorer.errors import UsageInvalid
from device_scorer.health.settings import (
    MAX_OWNERS,
    MAX_SETTINGS_BYTES,
    MAX_TEXT_CHARS,
    MAX_WINDOWS,
    IncidentSettings,
    parse_incident_settings,
)


def test_missing_settings_open_and_close_after_2_windows_without_owners() -> None:
    assert parse_incident_settings(" ") == parse_incident_settings("{}") == IncidentSettings("default", 2, 2, 0.3, ())


def test_first_owner_that_matches_wins() -> None:
    owners = [
        {"devices": "hall3-*", "name": "Hall 3", "contact": "hall3@example.com"},
        {"devices": "*", "name": "Plant"},
    ]
    text = json.dumps({"fleet": "plant", "openAfter": 1, "closeAfter": 3, "suspiciousShare": "12.5%", "owners": owners})
    found = parse_incident_settings(text)
    assert (found.fleet, found.open_after, found.close_after, found.suspicious_share) == ("plant", 1, 3, 0.125)
    assert [found.owner_of(device).label for device in ("hall3-1", "x")] == ["Hall 3 <hall3@example.com>", "Plant"]
    assert IncidentSettings().owner_of("x").label == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no", "must be JSON"),
        ("[" * 99_999, "has more than"),
        ("[" * 60_000, "must be JSON"),
        ("[]", "must be an object"),
        ('{"open": 1}', "must be an object with the keys"),
        ('{"openAfter": 0}', "openAfter must be a whole number from 1 to 100"),
        ('{"closeAfter": 1.5}', "closeAfter must be"),
        ('{"openAfter": true}', "openAfter must be"),
        ('{"suspiciousShare": 0.3}', "suspiciousShare must be a share"),
        ('{"suspiciousShare": "0%"}', "suspiciousShare must be a share"),
        ('{"fleet": ""}', "fleet must be a printable text"),
        ('{"fleet": "a\\nb"}', "fleet must be a printable text"),
        ('{"owners": {}}', "owners must be a list"),
        ('{"owners": [{"devices": "*"}]}', "an owner must have devices and a name"),
        (json.dumps({"owners": [{}] * 201}), "at most 200 objects"),
    ],
)
def test_invalid_settings_are_rejected_with_the_key(text: str, reason: str) -> None:
    with pytest.raises(UsageInvalid, match=f"FLEETSCORE_INCIDENTS is invalid: .*{reason}"):
        parse_incident_settings(text)


def test_settings_have_at_most_200_owners_64_kib_and_100_windows() -> None:
    assert (MAX_OWNERS, MAX_SETTINGS_BYTES, MAX_TEXT_CHARS, MAX_WINDOWS) == (200, 65_536, 200, 100)
