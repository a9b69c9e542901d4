"""The search for devices in quarantine: reads tiles of the fleet's history, the latest first, until all is decided.

It never fails a run. A history that is damaged, too large or slow puts no device in quarantine, and the result says so.
"""

import asyncio
import logging
from collections.abc import Sequence

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.contract.history import TilePlace, place_of, read_tile, window_number
from scoring_operator.errors import InvalidHistory, StorageError
from scoring_operator.planner.quarantine import QuarantineResult, Suspects
from scoring_operator.storage.protocol import FleetStorage

MAX_TILES = 52  # a year of weeks
MAX_SECONDS = 60.0

_log = logging.getLogger(__name__)


async def find_quarantined(
    run: ScoringRun, fleet: Fleet, devices: Sequence[str], storage: FleetStorage, max_seconds: float = MAX_SECONDS
) -> QuarantineResult:
    """Return the devices of a fleet that are left out of a run.

    Args:
        run: The run.
        fleet: The run's fleet.
        devices: The devices of the fleet that have a model.
        storage: The Blob Storage of the fleets.
        max_seconds: Seconds after which no device is left out.
    """
    place, rule = place_of(fleet.name, run.spec.window), fleet.quarantine or None
    if rule is None or place is None or not devices:
        return QuarantineResult()
    try:
        async with asyncio.timeout(max_seconds):
            suspects = await _read(Suspects(rule, dict.fromkeys(devices, 0)), place, fleet, storage)
    except (InvalidHistory, StorageError) as error:
        result = QuarantineResult(problem=f"the history is not usable, so no device is in quarantine: {error}")
    except TimeoutError:
        problem = f"the history took longer than {max_seconds:.0f} s to read, so no device is in quarantine"
        result = QuarantineResult(problem=problem)
    else:
        result = suspects.decide(window_number(run.spec.window), len(devices))
    if result.problem:
        _log.warning("fleet %s: %s", fleet.name, result.problem)
    return result


async def _read(suspects: Suspects, place: TilePlace, fleet: Fleet, storage: FleetStorage) -> Suspects:
    """Read tiles until older ones change nothing. A missing tile has no known state."""
    end = place.index
    for _ in range(MAX_TILES):
        if not end:
            place = place.previous
            end = place.index + 1
        content = await storage.read_history(fleet, place.name)
        suspects = await asyncio.to_thread(_with_tile, suspects, content, place, end)
        if suspects.settled:
            break
        end = 0
    return suspects


def _with_tile(suspects: Suspects, content: bytes | None, place: TilePlace, end: int) -> Suspects:
    return suspects.with_tile(() if content is None else read_tile(content, place), end)
