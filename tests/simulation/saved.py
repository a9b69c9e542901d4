"""The order of writes: reservations and outcomes are saved before the operator writes Jobs and status."""

from collections.abc import Iterable

from scoring_operator.api.intervals import Positions
from scoring_operator.api.names import POSITIONS_ANNOTATION
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.progress_codec import decode_progress
from scoring_operator.resources import config_maps
from tests.simulation.api import JOBS, RUNS, Object, Write

OUTCOMES = ("scored", "partial", "empty", "failed", "notRun", "alreadyScored")


def ahead_of_progress(write: Write, config_maps: Iterable[Object]) -> str:
    """Return the problem if a write is not based on saved progress; empty if it is, or if progress was deleted.

    Args:
        write: The write of the operator.
        config_maps: All ConfigMaps at the time of the write.
    """
    if write.collection not in (JOBS, RUNS):
        return ""
    item = write.after or write.before or {}
    mine = item["metadata"]["uid"] if write.collection == RUNS else owner_of(item)
    saved = next((found for one in config_maps if owner_of(one) == mine and (found := _progress(one))), None)
    if saved is None:
        return ""
    if write.collection == JOBS and write.verb == "POST":
        unreserved = positions_of(item) and write.name not in saved.open_batches
        return f"{write.name} is created before its reservation is saved" if unreserved else ""
    if write.collection == JOBS and write.verb == "DELETE" and write.name in saved.open_batches:
        return f"{write.name} is deleted before its outcome is saved"
    if write.collection == RUNS and write.verb == "PATCH" and not saved.snapshot.rebuilt:  # that one keeps counters
        devices = item["status"].get("devices", {})
        early = [kind for kind in OUTCOMES if devices.get(kind, 0) > saved.count(kind)]
        return f"status has {early} before they are saved" if early else ""
    return ""


def _progress(config_map: Object) -> Progress | None:
    data = config_maps.config_map_content(config_map, config_maps.PROGRESS_KEY)
    return decode_progress(data) if data else None


def positions_of(job: Object) -> Positions:
    """Return the positions of a Job's batch; none for a report Job."""
    return Positions.parse(job["metadata"].get("annotations", {}).get(POSITIONS_ANNOTATION, ""))


def owner_of(item: Object) -> str:
    """Return the uid of an object's first owner; empty if there is none."""
    owners = item["metadata"].get("ownerReferences") or [{"uid": ""}]
    return str(owners[0]["uid"])
