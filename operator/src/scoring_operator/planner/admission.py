"""Admission: the check that a run may begin, and the fleet that a run may use after it began."""

from collections.abc import Mapping
from typing import Any

from scoring_operator.api.fleets import Fleet, parse_fleet, resource_excess
from scoring_operator.api.quantities import parse_quantity
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.errors import InvalidFleets, RunRejected

HOW_TO_CONTINUE = "to continue, create a run for the same window, or one with devices.retryOf"
FLEET_CHANGED = f"the storage or layout of the fleet has changed since the run began; {HOW_TO_CONTINUE}"
_CONTINUE = {
    "FleetNotFound": "to continue, create a run for the same window with the new name of the fleet in spec.fleet, or "
    "after its administrator has added the fleet again",
    "NamespaceNotAllowed": "to continue, create a run for the same window after that",
}


def check_admission(run: ScoringRun, fleets: Mapping[str, Fleet]) -> None:
    """Check that a run may begin.

    Args:
        run: The run.
        fleets: The administrator's fleets, by name.

    Raises:
        RunRejected: The run may never begin.
    """
    spec = run.spec
    fleet = _admitting_fleet(run, fleets)
    if spec.write_policy == "Overwrite" and not fleet.predictions.allow_overwrite:
        message = f"fleet {fleet.name!r} does not allow writePolicy Overwrite; use CreateOnly or IfChanged"
        raise RunRejected("OverwriteNotAllowed", message)
    if spec.resources and (problem := resource_excess(spec.resources, fleet) or _request_above_limit(run, fleet)):
        raise RunRejected("ResourcesNotAllowed", problem)


def _admitting_fleet(run: ScoringRun, fleets: Mapping[str, Fleet]) -> Fleet:
    """Return the fleet that a run names, if it exists and admits the run's namespace."""
    name = run.spec.fleet
    fleet = fleets.get(name)
    if fleet is None:
        known = ", ".join(name for name, one in sorted(fleets.items()) if one.admits(run.namespace)) or "none"
        raise RunRejected("FleetNotFound", f"there is no fleet {name!r}; fleets for this namespace: {known}")
    if not fleet.admits(run.namespace):
        message = f"fleet {fleet.name!r} does not admit namespace {run.namespace!r}; its administrator can add it"
        raise RunRejected("NamespaceNotAllowed", message)
    return fleet


def _request_above_limit(run: ScoringRun, fleet: Fleet) -> str:
    """Return the first request that is above its limit, which the API server rejects; '' for none."""
    resources = fleet.resources_for(run)
    for name, request in resources.requests.items():
        limit = resources.limits.get(name)
        if limit is not None and parse_quantity(request) > parse_quantity(limit):
            return f"resources.requests.{name} is {request}, above the limit {limit}; set resources.limits.{name} too"
    return ""


def unchanged_fleet(run: ScoringRun, saved_fleet: Mapping[str, Any], fleets: Mapping[str, Fleet]) -> Fleet:
    """Return the administrator's fleet of a run that has begun, if its storage layout has not changed.

    The saved fleet is in a ConfigMap of the run's namespace, so it is only compared. Otherwise a user who may edit
    ConfigMaps could send the operator's identity, or the credential of another fleet, to an endpoint of their own. The
    settings of scorer pods may change: later Jobs use the new ones.

    Args:
        run: The run.
        saved_fleet: The storage layout in the run's progress.
        fleets: The administrator's fleets, by name.

    Raises:
        RunRejected: The run may not continue: the fleet changed, was deleted, or does not admit the run's namespace.
    """
    try:
        fleet = _admitting_fleet(run, fleets)
    except RunRejected as error:
        raise RunRejected(error.reason, f"{error.message}; {_CONTINUE[error.reason]}") from None
    try:
        same = fleet.storage_layout() == parse_fleet(saved_fleet).storage_layout()
    except InvalidFleets:
        same = False
    if not same:
        raise RunRejected("FleetChanged", FLEET_CHANGED)
    return fleet
