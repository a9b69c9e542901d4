"""Admission: whether a run may begin, and which fleet it may use. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from scoring_operator.api.fleets import (
    Fleet,
    ScorerSettings,
    admits,
    parse_fleet,
    parse_quantity,
    resource_excess,
    scorer_resources,
)
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.errors import InvalidFleets
from scoring_operator.planner.types import Blocker


def rejection(run: ScoringRun, fleets: Mapping[str, Fleet]) -> Blocker | None:
    """Why a run may not begin at all; None where it may."""
    spec = run.spec
    fleet = fleets.get(spec.fleet)
    if fleet is None:
        known = ", ".join(name for name, one in sorted(fleets.items()) if admits(one, run.namespace)) or "none"
        return Blocker("FleetNotFound", f"there is no fleet {spec.fleet!r}; fleets for this namespace: {known}")
    if not admits(fleet, run.namespace):
        message = f"fleet {fleet.name!r} does not admit namespace {run.namespace!r}; its administrator can add it"
        return Blocker("NamespaceNotAllowed", message)
    if spec.write_policy == "Overwrite" and not fleet.predictions.allow_overwrite:
        message = f"fleet {fleet.name!r} does not allow writePolicy Overwrite; use CreateOnly or IfChanged"
        return Blocker("OverwriteNotAllowed", message)
    if spec.resources and (problem := resource_excess(spec.resources, fleet) or _request_above_limit(run, fleet)):
        return Blocker("ResourcesNotAllowed", problem)
    return None


def _request_above_limit(run: ScoringRun, fleet: Fleet) -> str:
    """A request above its limit, which no Job could have."""
    resources = scorer_resources(run, fleet)
    for name, request in resources.requests.items():
        limit = resources.limits.get(name)
        if limit is not None and parse_quantity(request) > parse_quantity(limit):
            return f"resources.requests.{name} is {request}, above the limit {limit}; set resources.limits.{name} too"
    return ""


def fleet_if_unchanged(run: ScoringRun, saved_fleet: Mapping[str, Any], fleets: Mapping[str, Fleet]) -> Fleet | None:
    """The fleet of a run that has begun: the administrator's, if it still is what the run was frozen with.

    What was frozen lies in a ConfigMap of the run's namespace. If it were believed, whoever may write there could send
    the operator's identity, or another fleet's credential, to an address of theirs. So nothing is taken from it; it
    only shows whether the fleet has changed. How scorer pods run may change: later Jobs follow.

    Args:
        run: the run.
        frozen: the fleet's settings as saved in progress.
        fleets: the administrator's, by name.
    """
    fleet = fleets.get(run.spec.fleet)
    try:
        same = (
            fleet is not None
            and admits(fleet, run.namespace)
            and _storage_layout(fleet) == _storage_layout(parse_fleet(saved_fleet))
        )
    except InvalidFleets:
        return None
    return fleet if same else None


def _storage_layout(fleet: Fleet) -> Fleet:
    """A fleet's storage, and what lies where in it: what must not change under a run."""
    return msgspec.structs.replace(fleet, namespaces=(), scorer=ScorerSettings())
