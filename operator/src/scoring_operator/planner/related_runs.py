"""An index of the runs that may conflict, so that a pass does not visit all runs."""

from collections.abc import Hashable

from scoring_operator.api.scoringrun import ScoringRun


class RelatedRuns:
    """The runs of one fleet and window, and the runs of one schedule, by their uids."""

    def __init__(self) -> None:
        self._uids: dict[Hashable, dict[str, None]] = {}  # in the order of their addition

    def add(self, run: ScoringRun) -> None:
        """Add a run.

        Args:
            run: The run.
        """
        for key in _keys(run):
            self._uids.setdefault(key, {})[run.uid] = None

    def remove(self, run: ScoringRun) -> None:
        """Remove a run.

        Args:
            run: The run, as it was added.
        """
        for key in _keys(run):
            uids = self._uids.get(key, {})
            uids.pop(run.uid, None)
            if not uids:
                self._uids.pop(key, None)

    def uids(self, run: ScoringRun) -> list[str]:
        """Return the uids of the other runs of a run's window and of its schedule, in the order of their addition.

        Args:
            run: The run.
        """
        uids = {uid: None for key in _keys(run) for uid in self._uids.get(key, ())}
        uids.pop(run.uid, None)
        return list(uids)


def _keys(run: ScoringRun) -> tuple[Hashable, ...]:
    window = (run.spec.fleet, run.spec.window)
    return (window, (run.namespace, run.schedule)) if run.schedule else (window,)
