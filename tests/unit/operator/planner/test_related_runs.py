import random
from typing import Any

import pytest

from scoring_operator.api.fleets import parse_fleet
from scoring_operator.planner.queueing import Demand, blocking_run, next_runs
from scoring_operator.planner.related_runs import RelatedRuns
from tests.testkit.builders import a_run

ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}
FLEET = parse_fleet({"name": "default", "namespaces": ["a", "b"], "schedules": [{"namespace": "a", "name": "hourly"}]})


def window(hour: int) -> dict[str, str]:
    return {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}


def a_demand(uid: str, phase: str = "Queued", **options: Any) -> Demand:
    return Demand(a_run(f"run-{uid}", uid=uid, **options), phase, None, FLEET)


def a_random_demand(rng: random.Random, uid: str) -> Demand:
    number = int(uid)
    scheduled_hour = number % 3 if number < 12 else None
    hour = rng.randrange(3)  # an earlier CRD admits other windows
    run = a_run(
        f"run-{uid}" if scheduled_hour is None else f"hourly-20180828t{scheduled_hour:02}0000z",
        uid=uid,
        namespace="ab"[number % 2],
        schedule=rng.choice(["", "hourly", "daily"]),
        window=window(hour),
        suspend=rng.random() < 0.2,
        status=ENDED if rng.random() < 0.2 else {},
    )
    return Demand(run, rng.choice(["Queued", "Queued", "Running"]), None, FLEET)


@pytest.mark.fault("T12")
@pytest.mark.parametrize("seed", range(20))
def test_first_runs_decide_as_all_runs_would(seed: int) -> None:
    rng, related = random.Random(seed), RelatedRuns(max_first=2)  # noqa: S311  # not a secret
    demands: dict[str, Demand] = {}
    for _ in range(150):
        uid = str(rng.randrange(30))
        if rng.random() < 0.2:
            demands.pop(uid, None)
            related.remove(uid)
            continue
        demands[uid] = a_random_demand(rng, uid)
        related.update(demands[uid])
        own = demands[rng.choice([*demands])]
        assert blocking_run(own, related.first(own)) == blocking_run(own, demands.values())


def test_only_the_first_runs_of_a_window_are_visited() -> None:
    related = RelatedRuns()
    for number in range(1000):
        related.update(a_demand(f"{number:04}", "Running" if number < 100 else "Queued"))
    own = a_demand("0999")
    assert [one.run.uid for one in related.first(own)] == [f"{number:04}" for number in range(20)]
    related.update(a_demand("0000", status=ENDED))
    blocking = blocking_run(own, related.first(own))
    assert blocking is not None
    assert blocking.run.name == "run-0001"
    assert next_runs(a_demand("0000", status=ENDED), related.first(own))[0] == "0001"


def test_later_runs_are_ended_runs_of_later_windows_of_the_same_schedule_and_fleet() -> None:
    related = RelatedRuns()

    def add(hour: int, **options: Any) -> Demand:
        settings = {"window": window(hour), "schedule": "hourly", "status": ENDED} | options
        demand = a_demand(str(random.getrandbits(64)), **settings)  # not a secret
        related.update(demand)
        return demand

    own, *later = (add(hour) for hour in (4, 5, 6))
    add(3)
    add(7, status={})
    for options in ({"schedule": "daily"}, {"fleet": "other"}, {"namespace": "b"}, {"schedule": ""}):
        add(8, **options)
    assert (related.count_later(own), related.count_later(add(4, schedule=""))) == (2, 0)
    assert related.oldest_ended(own)[1:] == [one.run.uid for one in (own, *later)]
    related.remove(later[0].run.uid)
    assert related.count_later(own) == 1


def test_runs_of_a_changed_label_or_of_no_group_have_no_place() -> None:
    related, other = RelatedRuns(), a_demand("2", schedule="hourly", window=window(9))
    related.update(other)
    related.update(a_demand("1", schedule="hourly"))
    assert [one.run.uid for one in related.first(other)] == ["2", "1"]
    related.update(a_demand("1", schedule="daily", suspend=True))
    related.remove("1")
    related.remove("1")
    assert [one.run.uid for one in related.first(other)] == ["2"]
