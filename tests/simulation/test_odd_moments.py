"""Faults at every moment of runs with several devices per Job, retries, a canary, quarantine, pauses and cancellation.

The operator is killed after each write, replaced while its writes are still under way, or gets one error response at
each request. The invariants of the simulation hold, and the run ends as it does without a fault.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from scoring_operator.api.names import progress_config_map_name
from scoring_operator.api.scoringrun import parse_run
from tests.simulation.api import CONFIG_MAPS, JOBS, RUNS, Object
from tests.simulation.saved import positions_of
from tests.simulation.world import WINDOW, World
from tests.testkit.builders import a_run
from tests.testkit.history_tiles import tiles_before
from tests.testkit.measurements import Long, RecordMeasurement

SECONDS = 400  # until a run has to have ended
LATE = 20.0  # seconds until a write of a replaced operator is applied
BROKEN = 5  # the position of a device that ends its pod


@dataclass(frozen=True)
class Scenario:
    """A run, and what others do meanwhile.

    Attributes:
        spec: Fields of the run's spec.
        actions: The actions of others, by the number of ended Jobs after which they happen.
        phase: The phase at the end.
        fleet: Settings of the fleet.
        history: Whether device 1 is in quarantine.
    """

    spec: dict[str, Any]
    actions: dict[int, Callable[[World], None]] = field(default_factory=dict)
    phase: str = "Complete"
    fleet: dict[str, Any] = field(default_factory=dict)
    history: bool = False


def edit(**spec: Any) -> Callable[[World], None]:
    return lambda world: world.edit_run("run", **spec)


def lose_progress(world: World) -> None:
    name = progress_config_map_name(parse_run(world.api.objects[RUNS]["run"]))
    if name in world.api.objects[CONFIG_MAPS]:
        world.remove(CONFIG_MAPS, name)


def lose_jobs(world: World) -> None:
    for name in list(world.api.objects[JOBS]):
        world.remove(JOBS, name)


PACKED = {"devicesPerJob": 4, "parallelism": 2}
SCENARIOS = {
    "packed": Scenario(PACKED),
    "canary and quarantine": Scenario(
        PACKED | {"canary": {"jobs": 1, "maxFailedPercent": "100%"}},
        fleet={"quarantine": {"after": 3, "retryEvery": 10_080}},
        history=True,
    ),
    "pause": Scenario(PACKED, {1: edit(suspend=True), 2: edit(suspend=False)}),
    "cancel": Scenario(PACKED, {2: edit(cancel=True)}, phase="Cancelled"),
    "lost jobs": Scenario(PACKED, {1: lose_jobs}),
    "lost progress": Scenario(PACKED, {2: lose_progress}),
}


class Play:
    """One run of a scenario."""

    def __init__(self, scenario: Scenario, seed: int = 1) -> None:
        self.scenario = scenario
        self.world = World(seed, devices=12, max_jobs=1000, fleet=scenario.fleet)
        if scenario.history:
            window = a_run(window=WINDOW).spec.window
            self.world.storage.history = tiles_before(window, **{"press-01": "FFFF", "press-02": "NNNN"})
        spec = {"window": WINDOW, "maxFailedDevices": "100%", "maxEmptyDevices": "100%", "backoffLimit": 0}
        self.world.create_run("run", spec | scenario.spec)
        self.restart_at: float | None = None
        self._ended = 0
        self._paused = 0

    @property
    def run(self) -> Object:
        return self.world.api.objects[RUNS]["run"]

    @property
    def has_ended(self) -> bool:
        found = {one["type"]: one["status"] for one in self.run.get("status", {}).get("conditions", ())}
        return "True" in (found.get("Complete"), found.get("Failed")) and found.get("Reported") != "Unknown"

    def to_the_end(self) -> None:
        """Let pods and others act until the run and its report have ended, and check the result."""
        actions = dict(self.scenario.actions)
        for _ in range(SECONDS):
            if self.has_ended and self.restart_at is None:
                break
            self._paused += self.run["spec"].get("suspend", False)
            if self._paused == 20:
                self._ended = max(self._ended, 2)
            for number in [number for number in actions if number <= self._ended]:
                actions.pop(number)(self.world)
            self._end_jobs()
            self.world.advance(1)
            if self.restart_at is not None and self.world.time.now() >= self.restart_at:
                self.restart_at = None
                self.world.kill()
                self.world.api.lag = 0.0
                self.world.start()
        assert self.has_ended, self.run.get("status")
        self.world.advance(LATE + 10)
        assert not self.world.violations, self.world.violations
        assert self.run["status"]["phase"] == self.scenario.phase, self.run["status"]
        self.world.check_end("run")
        assert not self.world.violations, self.world.violations

    def _end_jobs(self) -> None:
        for name in self.world.jobs(finished=False):
            job = self.world.api.objects[JOBS][name]
            if job["spec"].get("suspend"):
                continue
            if not job.get("status", {}).get("ready"):
                self.world.start_pod(name)
                continue
            positions, first_round = (
                list(positions_of(job)),
                job["metadata"]["labels"].get("fleetscore.dev/round") == "0",
            )
            how = "transient" if positions and positions[0] == 8 and first_round else "done"
            self.world.end_job(name, "killed" if BROKEN in positions else how)
            self._ended += bool(positions)

    def die(self) -> None:
        if self.restart_at is None:
            self.world.die()
            self.restart_at = self.world.time.now() + 0.5


def play(scenario: Scenario, prepare: Callable[[Play], None] = lambda _: None) -> World:
    """Play a scenario to its end with a fault, and return its world."""
    one = Play(scenario)
    with closing(one.world):
        prepare(one)
        one.to_the_end()
        return one.world


def killed_after_write(point: int) -> Callable[[Play], None]:
    def prepare(one: Play) -> None:
        def count(_: object) -> None:
            if len(one.world.api.writes) == point:
                one.die()

        one.world.api.on_write.append(count)

    return prepare


def replaced_at_request(point: int) -> Callable[[Play], None]:
    """The writes from a request on are applied after another operator has taken over."""

    def prepare(one: Play) -> None:
        def count() -> None:
            if one.world.api.requests == point:
                one.world.api.lag = LATE
                one.world.time.loop.call_later(0.3, one.die)

        one.world.api.on_request.append(count)

    return prepare


def fails_at_request(point: int, *faults: str) -> Callable[[Play], None]:
    def prepare(one: Play) -> None:
        def count() -> None:
            if one.world.api.requests == point:
                one.world.api.faults.extend(faults)

        one.world.api.on_request.append(count)

    return prepare


def history_compacted_at_request(point: int) -> Callable[[Play], None]:
    def prepare(one: Play) -> None:
        def count() -> None:
            if one.world.api.requests == point:
                one.world.api.close_watches("compact")

        one.world.api.on_request.append(count)

    return prepare


FAULTS: dict[str, Callable[[int], Callable[[Play], None]]] = {
    "killed": killed_after_write,
    "replaced": replaced_at_request,
    "429": lambda point: fails_at_request(point, "429"),
    "500": lambda point: fails_at_request(point, "500", "500"),
    "lost": lambda point: fails_at_request(point, "lost", "lost"),
    "silence": lambda point: fails_at_request(point, "silence"),
    "403": lambda point: fails_at_request(point, *["403"] * 6),
    "410": history_compacted_at_request,
}


@pytest.mark.fault("F1", "F7", "F9", "F10", "F26")
@pytest.mark.timeout(7200)
@pytest.mark.slow  # a simulated run takes a second; with --long there are 700
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_at_any_moment_changes_no_result(fault: str, long: Long, record_measurement: RecordMeasurement) -> None:
    number = list(FAULTS).index(fault)
    chosen = [*SCENARIOS] if long else [[*SCENARIOS][number % len(SCENARIOS)]]
    moments = 0
    for name in chosen:
        baseline_run = play(SCENARIOS[name]) if long else None
        last = (
            len(baseline_run.api.writes if fault == "killed" else range(baseline_run.api.requests))
            if baseline_run
            else 0
        )
        for point in range(1 + number % 3, last + 1, 3) if baseline_run else [8 + 3 * number]:
            try:
                play(SCENARIOS[name], FAULTS[fault](point))
            except AssertionError as error:
                raise AssertionError(f"{name}, {fault} at {point}: {error}") from error
            moments += 1
    record_measurement(f"{moments} moments of {len(chosen)} kinds of runs, 0 differences")
