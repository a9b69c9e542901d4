"""What progress must have saved before the operator writes anything else: marks of Jobs, outcomes of devices."""

from collections.abc import Iterable

from scoring_operator.api.intervals import Positions
from scoring_operator.api.names import POSITIONS_ANNOTATION
from scoring_operator.planner import progress
from scoring_operator.planner.progress import Progress
from scoring_operator.resources import config_maps
from tests.simulation.api import JOBS, RUNS, Object, Write

OUTCOMES = ("scored", "partial", "empty", "failed", "notRun", "alreadyScored")


def ahead_of_progress(write: Write, config_maps: Iterable[Object]) -> str:
    """What a write says or does that saved progress does not bear out; empty where it does, or progress is gone.

    Args:
        write: of the operator.
        config_maps: all there are at that moment.
    """
    if write.collection not in (JOBS, RUNS):
        return ""
    item = write.after or write.before or {}
    mine = item["metadata"]["uid"] if write.collection == RUNS else owner_of(item)
    saved = next((found for one in config_maps if owner_of(one) == mine and (found := _progress(one))), None)
    if saved is None:
        return ""
    if write.collection == JOBS and write.verb == "POST":
        unmarked = positions_of(item) and write.name not in saved.open_batches
        return f"{write.name} is created before its mark is saved" if unmarked else ""
    if write.collection == JOBS and write.verb == "DELETE" and write.name in saved.open_batches:
        return f"{write.name} is deleted before its outcome is saved"
    if write.collection == RUNS and write.verb == "PATCH":
        devices = item["status"].get("devices", {})
        early = [kind for kind in OUTCOMES if devices.get(kind, 0) > saved.count(kind)]
        return f"status tells of {early} before they are saved" if early else ""
    return ""


def _progress(config_map: Object) -> Progress | None:
    data = config_maps.config_map_content(config_map, config_maps.PROGRESS_KEY)
    return progress.decode(data) if data else None


def positions_of(job: Object) -> Positions:
    """The devices that a Job covers; none for a report."""
    return Positions.parse(job["metadata"].get("annotations", {}).get(POSITIONS_ANNOTATION, ""))


def owner_of(item: Object) -> str:
    """The uid of an object's first owner; '' for none."""
    owners = item["metadata"].get("ownerReferences") or [{"uid": ""}]
    return str(owners[0]["uid"])
