"""Random actions of users, pods, network, storage and clocks, in random order: the invariants I1 to I8 hold.

Hypothesis finds an order, and the shortest one that breaks an invariant. I1: a Job is created once, and no device with
a recorded outcome is scored again. I2: there are never more Jobs than allowed. I3: counters add up and never decrease.
I4: an end is permanent. I5: only objects of the run are written. I6: without new faults every run ends, and then
nothing is written. I7: status is small. I8: the number of requests depends on events, not on time.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.simulation.api import JOBS, PODS, RUNS
from tests.simulation.world import World
from tests.testkit.measurements import Long, RecordMeasurement

WINDOWS = [
    {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"} for hour in range(10, 13)
]
STEPS = {"rules": 0, "requests": 0, "jobs": 0, "crashes": 0}
numbers = st.integers(0, 63)


class Machine(RuleBasedStateMachine):
    """The simulation, and the actions in it."""

    world: World

    @initialize(seed=st.integers(0, 2**32), devices=st.integers(1, 9), max_jobs=st.sampled_from([1000, 1000, 3]))
    def start(self, seed: int, devices: int, max_jobs: int) -> None:
        self.world = World(seed, devices=devices, max_jobs=max_jobs)
        self.runs = 0
        self.create_run(WINDOWS[0], per_job=1, parallelism=3, failed="100%", policy="Queue", canary=0)

    def _pick(self, names: list[str], number: int) -> str:
        return names[number % len(names)]

    def _runs(self) -> list[str]:
        return list(self.world.api.objects[RUNS])

    def _unfinished(self) -> list[str]:
        return self.world.jobs(finished=False)

    @precondition(lambda self: self.runs < 3)
    @rule(
        window=st.sampled_from(WINDOWS),
        per_job=st.sampled_from([1, 1, 2, 4]),
        parallelism=st.integers(1, 5),
        failed=st.sampled_from(["100%", "100%", 1]),
        policy=st.sampled_from(["Queue", "Skip"]),
        canary=st.sampled_from([0, 0, 1, 3]),
    )
    def create_run(
        self, window: dict[str, str], per_job: int, parallelism: int, failed: Any, policy: str, canary: int
    ) -> None:
        self.runs += 1
        spec = {"window": window, "devicesPerJob": per_job, "parallelism": parallelism, "maxFailedDevices": failed}
        spec |= {"canary": {"jobs": canary}} if canary else {}
        self.world.create_run(f"run-{self.runs}", spec | {"overlapPolicy": policy, "maxEmptyDevices": "100%"})

    @precondition(lambda self: self._runs())
    @rule(number=numbers, parallelism=st.integers(1, 5))
    def edit(self, number: int, parallelism: int) -> None:
        self.world.edit_run(self._pick(self._runs(), number), parallelism=parallelism)

    @precondition(lambda self: self._runs())
    @rule(number=numbers, suspend=st.booleans())
    def suspend(self, number: int, *, suspend: bool) -> None:
        self.world.edit_run(self._pick(self._runs(), number), suspend=suspend)

    @precondition(lambda self: len(self._runs()) > 1)
    @rule(number=numbers, delete=st.booleans())
    def cancel_or_delete(self, number: int, *, delete: bool) -> None:
        name = self._pick(self._runs(), number)
        if delete:
            self.world.remove(RUNS, name)
        else:
            self.world.edit_run(name, cancel=True)

    @precondition(lambda self: self._unfinished())
    @rule(number=numbers)
    def start_pod(self, number: int) -> None:
        self.world.start_pod(self._pick(self._unfinished(), number))

    @precondition(lambda self: self._unfinished())
    @rule(number=numbers, how=st.sampled_from(["done", "done", "done", "killed", "transient", "silent", "record-only"]))
    def end_job(self, number: int, how: str) -> None:
        self.world.end_job(self._pick(self._unfinished(), number), how)

    @precondition(lambda self: self._unfinished())
    @rule(number=numbers)
    def evict(self, number: int) -> None:
        self.world.evict(self._pick(self._unfinished(), number))

    @precondition(lambda self: self.world.api.objects[JOBS])
    @rule(number=numbers)
    def lose_job(self, number: int) -> None:
        """Delete a Job, finished or not, as its time to live or a user does."""
        self.world.remove(JOBS, self._pick(list(self.world.api.objects[JOBS]), number))

    @precondition(lambda self: self.world.api.objects[PODS])
    @rule(number=numbers)
    def lose_message(self, number: int) -> None:
        self.world.remove(PODS, self._pick(list(self.world.api.objects[PODS]), number))

    @rule(faults=st.lists(st.sampled_from(["500", "503", "429", "403", "reset", "lost", "silence", ""]), max_size=6))
    def break_requests(self, faults: list[str]) -> None:
        self.world.api.faults.extend(faults)

    @rule(faults=st.lists(st.sampled_from(["drop", "delay", "double", ""]), max_size=6))
    def lose_events(self, faults: list[str]) -> None:
        self.world.api.losses.extend(faults)

    @rule(how=st.sampled_from(["close", "compact", "silence"]))
    def break_watches(self, how: str) -> None:
        self.world.api.close_watches(how)

    @rule(down=st.booleans())
    def storage(self, *, down: bool) -> None:
        self.world.storage.down = down

    @rule(away=st.sampled_from([0, 0, 30, 4000]))
    def crash(self, away: int) -> None:
        STEPS["crashes"] += 1
        self.world.kill()
        self.world.advance(away)
        self.world.start()

    @rule(seconds=st.sampled_from([1, 2, 3, 5, 20, 70]))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    @invariant()
    def no_invariant_is_violated(self) -> None:
        STEPS["rules"] += 1
        self.world.advance(0.3)
        assert self.world.violations == []

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self.world.close()

    def _end(self) -> None:
        """Check that every run ends without new faults, and that then no operator writes anything."""
        world = self.world
        world.storage.down = False
        world.api.faults.clear()
        world.api.losses.clear()
        for name in self._runs():
            world.edit_run(name, suspend=False)
        for _ in range(200):
            for name in self._unfinished():
                world.end_job(name, "done")
            world.advance(10)
            if all(self._has_ended(name) for name in self._runs()):
                break
        assert [name for name in self._runs() if not self._has_ended(name)] == [], "I6: runs that never end"
        world.advance(400)
        written = len(world.api.writes)
        world.kill()
        world.start()
        world.advance(400)
        assert world.api.writes[written:] == [], "I6: writes where nothing is left to do"
        for name in self._runs():
            world.check_end(name)
        assert world.violations == []
        STEPS["requests"] += world.api.requests
        STEPS["jobs"] += sum(write.collection == JOBS and write.verb == "POST" for write in world.api.writes)

    def _has_ended(self, name: str) -> bool:
        conditions = {
            c["type"]: c["status"] for c in self.world.api.objects[RUNS][name].get("status", {}).get("conditions", ())
        }
        return (
            "True" in (conditions.get("Complete"), conditions.get("Failed")) and conditions.get("Reported") != "Unknown"
        )


@pytest.mark.fault("F1", "F5", "F8", "F10", "F14")
@pytest.mark.slow  # some hundred steps take seconds
@pytest.mark.timeout(3600)
def test_invariants_hold_for_random_actions_in_random_order(long: Long, record_measurement: RecordMeasurement) -> None:
    some = settings(
        max_examples=300 if long else 15,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=not long,
        database=None,
    )
    run_state_machine_as_test(Machine, settings=some)
    record_measurement(", ".join(f"{count} {what}" for what, count in STEPS.items()) + "; 0 invariants broken")
    assert STEPS["rules"] >= (10_000 if long else 100)
