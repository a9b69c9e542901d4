"""The parts of a fleet that the client needs: its storage and its layout, as the chart's fleets file has them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from fleetscore.contract.documents import parse_yaml, short_reason
from fleetscore.contract.windows import parse_duration
from fleetscore.errors import DataInvalid, TooLarge, UsageInvalid

FILES_SELECTOR = "app.kubernetes.io/part-of=fleetscore,app.kubernetes.io/component=operator"
"""The label selector of the ConfigMaps with fleets files."""

MAX_FILES_CHARS = 4 * 2**20
"""Characters of all fleets files together above which they are not parsed: other users can create such ConfigMaps."""

_PLACEHOLDERS = {
    "models": {"device"},
    "data": {"device", "yyyy", "MM", "dd", "HH", "mm"},
    "predictions": {"device", "window"},
}
"""The placeholders of the path template of each container."""


@dataclass(frozen=True, slots=True)
class SecretReference:
    """A key of a Secret with the fleet's credential.

    Attributes:
        name: The name of the Secret.
        key: The key in the Secret.
        kind: "connectionString" or "sas".
    """

    name: str
    key: str = "connectionString"
    kind: str = "connectionString"


@dataclass(frozen=True, slots=True)
class FleetLayout:
    """The storage and the layout of one fleet.

    Attributes:
        name: The name of the fleet.
        namespaces: The namespaces whose runs may use the fleet.
        account_url: The blob endpoint; empty for a folder.
        containers: The names of the containers by role: models, data and predictions.
        models_path: The path template of model bundles.
        data_path: The path template of readings.
        predictions_path: The path template of predictions.
        partition: The length of a partition of readings.
        quality: The fleet's quality settings, which the scorer validates.
        secret: The Secret with the credential; None for workload identity.
    """

    name: str = "default"
    namespaces: tuple[str, ...] = ()
    account_url: str = ""
    containers: Mapping[str, str] = field(
        default_factory=lambda: {"models": "models", "data": "data", "predictions": "predictions"}
    )
    models_path: str = "{device}.joblib"
    data_path: str = "{yyyy}{MM}{dd}T{HH}{mm}Z/{device}.csv"
    predictions_path: str = "{window}/{device}.csv"
    partition: timedelta = timedelta(hours=1)
    quality: Mapping[str, Any] = field(default_factory=dict)
    secret: SecretReference | None = None


def read_fleets(texts: Iterable[str], namespace: str) -> dict[str, FleetLayout]:
    """Return the fleets of the fleets files of all releases by name.

    Of two fleets with the same name, the one that serves the namespace is returned. An invalid file of another user
    does not hide the fleets of the others.

    Args:
        texts: The texts of `fleets.yaml`.
        namespace: The namespace of the runs.

    Raises:
        DataInvalid: A text is not a fleets file, and no fleet serves the namespace.
        TooLarge: The texts together have more than MAX_FILES_CHARS characters.
    """
    serving: dict[str, FleetLayout] = {}
    others: dict[str, FleetLayout] = {}
    size, fault = 0, None
    for text in texts:
        size += len(text)
        if size > MAX_FILES_CHARS:
            reason = f"the fleets files of the cluster have more than {MAX_FILES_CHARS:,} characters"
            raise TooLarge(f"{reason}; delete the ConfigMaps {FILES_SELECTOR} that no release has")
        try:
            for name, fleet in parse_fleets(parse_yaml(text, "the fleets file")).items():
                (serving if namespace in fleet.namespaces else others)[name] = fleet
        except DataInvalid as error:
            fault = fault or error
    if fault and not serving:
        raise fault
    return others | serving


def parse_fleets(document: object, file: str = "the fleets file") -> dict[str, FleetLayout]:
    """Return the fleets of the chart's fleets file by name.

    Args:
        document: The decoded YAML of `fleets.yaml` in the release's ConfigMap.
        file: The name of the file, for messages.

    Raises:
        DataInvalid: The document is not a fleets file.
    """
    try:
        return {layout.name: layout for layout in map(_parse_fleet, document["fleets"])}  # type: ignore[index]
    except (KeyError, TypeError, AttributeError, ValueError, UsageInvalid) as error:
        raise DataInvalid(f"{file} is invalid ({short_reason(error)}); upgrade the client or the release") from error


def _parse_fleet(entry: Mapping[str, Any]) -> FleetLayout:
    default = FleetLayout()
    storage, data = entry.get("storage") or {}, entry.get("data") or {}
    secret = storage.get("existingSecret") if storage.get("auth") == "existingSecret" else None
    return FleetLayout(
        name=_text(entry["name"]),
        namespaces=tuple(entry.get("namespaces") or ()),
        account_url=_text(storage.get("accountUrl", "")),
        containers={role: _text(storage.get(role, name)) for role, name in default.containers.items()},
        models_path=_path(entry, "models", default.models_path),
        data_path=_path(entry, "data", default.data_path),
        predictions_path=_path(entry, "predictions", default.predictions_path),
        partition=parse_duration(_text(data.get("partition", "PT1H"))),
        quality=dict(entry.get("quality") or {}),
        secret=SecretReference(**{key: _text(secret[key]) for key in ("name", "key", "kind") if key in secret})
        if secret
        else None,
    )


def _path(entry: Mapping[str, Any], role: str, default: str) -> str:
    """Return the path template of a container, whose placeholders are known."""
    path = _text((entry.get(role) or {}).get("path", default))
    unknown = set(re.findall(r"\{(\w*)\}", path)) - _PLACEHOLDERS[role]
    if unknown or "{device}" not in path:
        raise ValueError(f"the path {path!r} of {role} has no {{device}}, or an unknown placeholder")
    return path


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text"[:100])
    return value
