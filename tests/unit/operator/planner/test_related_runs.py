from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.related_runs import RelatedRuns
from tests.testkit.builders import a_run

LATER = {"start": "2018-08-29T01:00:00Z", "end": "2018-08-29T02:00:00Z"}


def index_of(*runs: ScoringRun) -> RelatedRuns:
    related = RelatedRuns()
    for run in runs:
        related.add(run)
    return related


def test_runs_of_one_fleet_and_window_are_related_in_the_order_of_their_addition() -> None:
    own = a_run(uid="1")
    related = index_of(
        a_run(uid="3"), own, a_run(uid="2"), a_run(uid="4", window=LATER), a_run(uid="5", fleet="second")
    )
    assert related.uids(own) == ["3", "2"]


def test_runs_of_one_schedule_are_related_in_all_windows() -> None:
    own = a_run(uid="1", schedule="hourly")
    related = index_of(
        own, a_run(uid="2", schedule="hourly", window=LATER), a_run(uid="3", schedule="daily", window=LATER)
    )
    assert related.uids(own) == ["2"]


def test_run_of_the_same_window_and_schedule_is_named_once() -> None:
    own = a_run(uid="1", schedule="hourly")
    assert index_of(own, a_run(uid="2", schedule="hourly")).uids(own) == ["2"]


def test_removed_run_is_not_related() -> None:
    own, other = a_run(uid="1"), a_run(uid="2", schedule="hourly")
    related = index_of(own, other)
    related.remove(other)
    related.remove(other)
    assert related.uids(own) == []
