"""The health of a fleet: update the history with a window, and decide its incidents."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from device_scorer.health.history import UNKNOWN, Tile, TileTooLarge, place_of
from device_scorer.health.settings import IncidentSettings
from device_scorer.plurals import counted
from device_scorer.report import fleet_health
from device_scorer.report.fleet_health import FleetHealth
from device_scorer.report.history_store import HistoryStore
from device_scorer.report.summary import Summary
from device_scorer.store.base import Store
from device_scorer.window import Window


@dataclass(frozen=True)
class HealthKeeper:
    """A writer of the history of a fleet, and a reader of what its incidents need.

    Attributes:
        store: The store.
        settings: The rules of incidents.
        window: The window.
        open_history: A function that opens the history in a store.
        damaged_records: The names of the run's outcome records that are not used.
        now: The clock. Windows that have not ended are an error of a clock or of a person, and none is the newest one.
    """

    store: Store
    settings: IncidentSettings
    window: Window
    open_history: Callable[[Store], HistoryStore] = field(default=HistoryStore)
    damaged_records: Sequence[str] = ()
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def assess(self, summary: Summary) -> FleetHealth:
        """Write the states of a window to the history, and return the health of the fleet.

        Args:
            summary: The summary of the window.
        """
        place = place_of(self.settings.fleet, self.window)
        history = self.open_history(self.store)
        mutes = history.load_mutes(self.window)
        damaged = list(_damage(summary, self.damaged_records))
        problem = "windows of less than a minute have no history; their incidents are unknown"
        tile: Tile | None = None
        try:
            if place is not None:
                tile = history.set_column(place, fleet_health.state_letters(summary))
        except TileTooLarge as error:
            problem = f"the history is not written, and incidents are unknown: {error}; use longer windows"
        if place is None or tile is None:
            sensors = fleet_health.flagged_sensors(summary)
            return FleetHealth(sensors=sensors, problems=[problem, *damaged, *mutes.problems])
        past = history.load(tile, self.settings.close_after)
        health = fleet_health.assess(summary, past, self.settings, mutes, [*history.problems, *damaged])
        after, now = place.following, int(self.now().timestamp())
        ended = max(0, (now - place.first) // place.length)
        later = any(text[place.index + 1 : ended].strip(UNKNOWN) for text in tile.states.values())
        has_following = after.first + after.length <= now and self.store.head("predictions", after.name) is not None
        newest = not later and not has_following
        return replace(health, newest=newest, series=place.series)


def _damage(summary: Summary, records: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for damaged digests, one for incomplete ones, and one for damaged outcome records."""
    if digests := summary.coverage.damaged_digests:
        yield (
            f"{counted(len(digests), 'digest is', 'digests are')} invalid, the first is of {digests[0]}; its figures "
            "are read from the predictions, and its sensors are not checked; score the window again with Overwrite"
        )
    missing = [(row.device, row.statistics.left_out_flags) for row in summary.devices if row.statistics.left_out_flags]
    if missing:
        flags = sum(sum(counts[:-1]) for _, counts in missing)
        yield (
            f"{counted(flags, 'flag', 'flags')} of faulty sensors of {counted(len(missing), 'device', 'devices')} "
            f"{'is' if flags == 1 else 'are'} not listed, the first device is {missing[0][0]}: the digest of a device "
            f"names a few hundred sensors"
        )
    if records:
        yield (
            f"{counted(len(records), 'outcome record is', 'outcome records are')} invalid, the first is {records[0]}; "
            "the report lacks its messages, which the log of its Job has"
        )
