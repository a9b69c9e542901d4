"""The small objects that the operator writes beside Jobs: ConfigMaps of a run, and events. Pure."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from scoring_operator.api import names
from scoring_operator.api.scoringrun import ScoringRun

PROGRESS_KEY = "progress"
DEVICES_KEY = "devices"


def config_map(run: ScoringRun, name: str, key: str, content: bytes, *, resource_version: str = "") -> dict[str, Any]:
    """A ConfigMap of the run with one binary key; with `resource_version` it replaces just that version."""
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
    """The bytes under a key of a ConfigMap; b'' where there are none."""
    return b64decode((config_map_.get("binaryData") or {}).get(key, ""))


def is_owned_by(run: ScoringRun, item: Mapping[str, Any]) -> bool:
    """Whether an object belongs to the run."""
    return any(owner.get("uid") == run.uid for owner in item["metadata"].get("ownerReferences") or ())


def describe_owner(item: Mapping[str, Any]) -> str:
    """Whose an object is, for people."""
    owners = item["metadata"].get("ownerReferences") or ()
    return f"{owners[0].get('kind')} {owners[0].get('name')}" if owners else "nobody we know"
