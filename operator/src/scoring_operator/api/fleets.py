"""The administrator's file of fleets, as frozen types. Pure.

Whatever decides where a scorer pod reads, writes and runs stands here and never in a ScoringRun: whoever may create a
run gains nothing but a run (faults.md T1, T7). A run ends if its fleet's storage or layout changes under it.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from scoring_operator.api.scoringrun import Resources, ScoringRun
from scoring_operator.errors import InvalidFleets

Quantity = str | int
_QUANTITY_SUFFIXES = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
}  # fmt: skip


class ExistingSecret(Struct, frozen=True, forbid_unknown_fields=True):
    """A Secret that the administrator made, in each of the fleet's namespaces."""

    name: str
    key: str = "connectionString"
    kind: Literal["connectionString", "sas"] = "connectionString"


class StorageSettings(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The storage account, its three containers and how to sign in."""

    account_url: str = ""
    models: str = "models"
    data: str = "data"
    predictions: str = "predictions"
    auth: Literal["workloadIdentity", "existingSecret"] = "workloadIdentity"
    existing_secret: ExistingSecret | None = None


class DataSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where readings lie and how they are partitioned in time."""

    path: str = "{yyyy}{MM}{dd}T{HH}{mm}Z/{device}.csv"
    partition: str = "PT1H"
    format: Literal["csv"] = "csv"


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where models lie and which classes may be loaded from them."""

    path: str = "{device}.joblib"
    trust: Literal["allowlist", "any"] = "allowlist"


class PredictionSettings(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Where predictions go and whether a run may overwrite them."""

    path: str = "{window}/{device}.csv"
    allow_overwrite: bool = False


class AnomalousWhen(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """When a device counts as anomalous: at least `minRows` rows and at least this share of its rows."""

    share: str = "1%"
    min_rows: int = 3


class ScorerSettings(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How scorer pods run: account, size, place."""

    service_account_name: str = "fleetscore-scorer"
    resources: Resources = field(default_factory=lambda: Resources(
        requests={"cpu": "250m", "memory": "256Mi"}, limits={"memory": "1Gi"}
    ))  # fmt: skip
    max_resources: dict[str, Quantity] = {}
    node_selector: dict[str, str] = {}
    tolerations: list[dict[str, Any]] = []
    affinity: dict[str, Any] = {}
    topology_spread_constraints: list[dict[str, Any]] = []
    priority_class_name: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    pod_labels: dict[str, str] = {}
    pod_annotations: dict[str, str] = {}
    extra_env: list[dict[str, Any]] = []
    extra_args: list[str] = []
    extra_volumes: list[dict[str, Any]] = []
    extra_volume_mounts: list[dict[str, Any]] = []


class Fleet(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One fleet: storage, layout and scorer settings that a run takes by naming it."""

    name: str
    namespaces: tuple[str, ...]
    storage: StorageSettings = field(default_factory=StorageSettings)
    data: DataSettings = field(default_factory=DataSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    predictions: PredictionSettings = field(default_factory=PredictionSettings)
    anomalous_when: AnomalousWhen = field(default_factory=AnomalousWhen)
    scorer: ScorerSettings = field(default_factory=ScorerSettings)


def parse_fleets(document: Any) -> dict[str, Fleet]:
    """Read the fleets file.

    Args:
        document: the decoded YAML, `{"fleets": [...]}`.

    Returns:
        The fleets by name.

    Raises:
        FleetsInvalidError: a key is unknown, missing or wrong; the message names fleet and key.
    """
    entries = (document or {}).get("fleets") if isinstance(document, Mapping | None) else None
    if not isinstance(entries, list):
        raise InvalidFleets("the fleets file must hold a list under the key `fleets`")
    fleets: dict[str, Fleet] = {}
    for index, entry in enumerate(entries):
        fleet = parse_fleet(entry, fallback_name=f"number {index + 1}")
        if fleet.name in fleets:
            raise InvalidFleets(f"fleet {fleet.name!r} is defined twice; give each fleet a name of its own")
        fleets[fleet.name] = fleet
    return fleets


def parse_fleet(entry: Any, *, fallback_name: str = "") -> Fleet:
    """Read one fleet; `called` names it in errors while its own name is not known.

    Raises:
        FleetsInvalidError: as `parse_fleets`.
    """
    name = (isinstance(entry, Mapping) and entry.get("name")) or fallback_name
    try:
        fleet = msgspec.convert(entry, Fleet)
    except msgspec.ValidationError as error:
        raise InvalidFleets(f"fleet {name}: {error}") from error
    if fleet.storage.auth == "existingSecret" and fleet.storage.existing_secret is None:
        raise InvalidFleets(
            f"fleet {name}: storage.auth is existingSecret, but storage.existingSecret is not set; "
            "name the Secret there, or use workloadIdentity"
        )
    return fleet


def parse_quantity(value: Quantity) -> Decimal:
    """A Kubernetes quantity such as `500m` or `1Gi` as a number.

    Raises:
        ValueError: not a quantity.
    """
    match = re.fullmatch(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)", str(value))
    if not match or match[2] not in _QUANTITY_SUFFIXES:
        raise ValueError(f"{value!r} is no quantity such as 500m or 1Gi")
    try:
        return Decimal(match[1]) * _QUANTITY_SUFFIXES[match[2]]
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is no quantity such as 500m or 1Gi") from error


def resource_excess(resources: Resources, fleet: Fleet) -> str:
    """What of a run's resources the fleet does not allow ('' for nothing).

    The bound is `maxResources`; a resource that it does not name may not exceed the fleet's own default, so that an
    administrator who sets no maximum has not given runs a free hand.
    """
    own = fleet.scorer.resources
    for part, wanted in (("requests", resources.requests), ("limits", resources.limits)):
        for name, value in wanted.items():
            most = fleet.scorer.max_resources.get(name, own.limits.get(name, own.requests.get(name)))
            try:
                if most is not None and parse_quantity(value) <= parse_quantity(most):
                    continue
            except ValueError as error:
                return f"resources.{part}.{name}: {error}"
            bound = "nothing" if most is None else most
            return f"resources.{part}.{name} is {value}, but fleet {fleet.name} allows {bound}"
    return ""


def admits(fleet: Fleet, namespace: str) -> bool:
    """Whether runs of this namespace may name the fleet."""
    return namespace in fleet.namespaces


def scorer_resources(run: ScoringRun, fleet: Fleet) -> Resources:
    """The run's requests and limits over the fleet's."""
    own, wanted = fleet.scorer.resources, run.spec.resources or Resources()
    return Resources({**own.requests, **wanted.requests}, {**own.limits, **wanted.limits})
