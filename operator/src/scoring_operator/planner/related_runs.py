"""An index of the runs that may conflict, so that a pass does not visit all runs.

An author may create thousands of runs of one window or schedule. So the index keeps their order, and only the first
ones decide which run has to wait.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from scoring_operator.planner.queueing import MAX_WOKEN, Demand, Order


@dataclass(slots=True)
class _Group:
    """The runs of one window, or those of one schedule.

    Attributes:
        open: The runs that may block others, in their order.
        running: Those of them that are active.
        ended: The starts of the windows of the runs that have ended, and their uids.
    """

    open: list[Order] = field(default_factory=list)
    running: list[Order] = field(default_factory=list)
    ended: list[tuple[datetime, str]] = field(default_factory=list)


class RelatedRuns:
    """The runs of one fleet and window, and the runs of one schedule.

    Args:
        max_first: The number of runs of one kind that `first` and `oldest_ended` return.
    """

    def __init__(self, max_first: int = MAX_WOKEN) -> None:
        self._max_first = max_first
        self._demands: dict[str, Demand] = {}  # by uid
        self._groups: dict[Hashable, _Group] = {}

    def update(self, demand: Demand) -> None:
        """Add a run, or replace its demand.

        Args:
            demand: The demand of the run.
        """
        uid = demand.run.uid
        old = self._demands.get(uid)
        if old is None or _state(old) != _state(demand):
            self.remove(uid)
            for key in _keys(demand):
                group = self._groups.setdefault(key, _Group())
                for places in _lists(group, demand):
                    insort(places, demand.order)
                if demand.run.ended:
                    insort(group.ended, (demand.run.spec.window.start, uid))
        self._demands[uid] = demand

    def remove(self, uid: str) -> None:
        """Remove a run, if it is known.

        Args:
            uid: The uid of the run.
        """
        demand = self._demands.pop(uid, None)
        if demand is None:
            return
        for key in _keys(demand):
            group = self._groups.get(key)
            if group is None:
                continue  # no run of the group has a place
            for places in _lists(group, demand):
                del places[bisect_left(places, demand.order)]
            if demand.run.ended:
                del group.ended[bisect_left(group.ended, (demand.run.spec.window.start, uid))]
            if not (group.open or group.ended):
                del self._groups[key]

    def first(self, demand: Demand) -> list[Demand]:
        """Return the first runs of a run's window and of its schedule: 20 of the active ones, and 20 of all.

        The run that blocks another one is always among them.

        Args:
            demand: The run.
        """
        groups = [group for key in _keys(demand) if (group := self._groups.get(key))]
        count = self._max_first
        found = (uid for group in groups for places in (group.running, group.open) for *_, uid in places[:count])
        return [self._demands[uid] for uid in dict.fromkeys(found)]

    def count_later(self, demand: Demand) -> int:
        """Return the number of ended runs of later windows of the run's schedule; 0 for a run without a schedule.

        Args:
            demand: The run.
        """
        ended = self._ended(demand)
        return len(ended) - bisect_right(ended, demand.run.spec.window.start, key=lambda one: one[0])

    def oldest_ended(self, demand: Demand) -> list[str]:
        """Return the uids of the first 20 ended runs of a run's schedule, by their windows.

        Args:
            demand: The run.
        """
        return [uid for _, uid in self._ended(demand)[: self._max_first]]

    def _ended(self, demand: Demand) -> list[tuple[datetime, str]]:
        group = self._groups.get(_schedule_key(demand)) if demand.run.schedule else None
        return group.ended if group else []


def _state(demand: Demand) -> tuple[object, ...]:
    """Return what the places of a run depend on, except for its name, namespace and creation."""
    run = demand.run
    return demand.may_block, demand.running, run.ended, run.schedule, run.spec.fleet, run.spec.window


def _lists(group: _Group, demand: Demand) -> Iterator[list[Order]]:
    """Yield the lists in which a run has a place."""
    if demand.may_block:
        yield group.open
        if demand.running:
            yield group.running


def _keys(demand: Demand) -> tuple[Hashable, ...]:
    window = (demand.run.spec.fleet, demand.run.spec.window)
    return (window, _schedule_key(demand)) if demand.run.schedule else (window,)


def _schedule_key(demand: Demand) -> Hashable:
    return demand.run.namespace, demand.run.schedule, demand.run.spec.fleet, demand.scheduled
