"""The ConfigMaps of a run: manifest, content and owner."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from scoring_operator.api import names
from scoring_operator.api.scoringrun import KIND, RunRef

PROGRESS_KEY = "progress"
DEVICES_KEY = "devices"


def config_map(run: RunRef, name: str, key: str, content: bytes, *, resource_version: str = "") -> dict[str, Any]:
    """Return the manifest of a ConfigMap with one binary key.

    Args:
        run: The owner.
        name: The name of the ConfigMap.
        key: The key.
        content: The value.
        resource_version: The version that an update replaces; empty for a create.
    """
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": run.namespace,
        "labels": names.run_labels(run),
        "ownerReferences": [names.owner_reference(run)],
    }
    if resource_version:
        metadata["resourceVersion"] = resource_version
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "binaryData": {key: b64encode(content).decode()},
    }


def config_map_content(config_map_: Mapping[str, Any], key: str) -> bytes:
    """Return the value of a key of a ConfigMap; b'' if the key does not exist."""
    return b64decode((config_map_.get("binaryData") or {}).get(key, ""))


def is_owned_by(run: RunRef, item: Mapping[str, Any]) -> bool:
    """Return True if an owner reference of the object is the run.

    The kind is compared because the chart's admission policy protects references of this kind.
    """
    owners = item["metadata"].get("ownerReferences") or ()
    return any((owner.get("kind"), owner.get("uid")) == (KIND, run.uid) for owner in owners)


def describe_owner(item: Mapping[str, Any]) -> str:
    """Return the kind and name of an object's first owner, for messages."""
    owners = item["metadata"].get("ownerReferences") or ()
    return f"{owners[0].get('kind')} {owners[0].get('name')}" if owners else "no known owner"
