"""A whole simulation: API server, Job controller, scorers, storage and an operator, with the invariants of all writes.

The operator is the product: controller, informer, client and transport. Storage is in memory.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

from scoring_operator.api.formatting import format_time
from scoring_operator.api.intervals import ArgIndex, ArgIndexes, Position, Positions
from scoring_operator.kube.client import ClientTimeouts, KubeClient
from scoring_operator.kube.credentials import Credentials
from scoring_operator.kube.transport import Transport
from tests.simulation.api import CONFIG_MAPS, EVENTS, JOBS, NAMESPACE, PODS, RUNS, Api, Object, Session, Write
from tests.simulation.saved import OUTCOMES, ahead_of_progress, owner_of, positions_of
from tests.simulation.virtual import VirtualTime
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.running_controller import a_fleet, assemble

KINDS = ("scored", "partial", "empty", "alreadyScored", "failed")
MAX_STATUS_BYTES = 32 * 1024
WINDOW = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}


class World:
    """A fleet and everything that works on it.

    Attributes:
        time: The virtual time.
        rng: The source of all random decisions.
        api: The API server.
        storage: The Blob Storage.
        violations: The violated invariants.
        recorded_outcomes: The recorded outcome of each position, by the uid of the run.
        max_jobs: The operator's limit of active Jobs.
        parallelism: The largest parallelism that each run ever had, by uid.
        fleet: Settings of the fleet.
        operators: The number of operators that were started.
    """

    def __init__(self, seed: int, *, devices: int, max_jobs: int, fleet: Mapping[str, Any] | None = None) -> None:
        self.time = VirtualTime()
        self._began = self.time.now()
        self.rng = random.Random(seed)  # noqa: S311  # a game of chance, no secret
        self.api = Api(self.rng, self.time.now)
        self.storage = InMemoryStorage([f"press-{number:02}" for number in range(devices)])
        self.violations: list[str] = []
        self.recorded_outcomes: dict[str, dict[int, str]] = {}
        self.max_jobs = max_jobs
        self.parallelism: dict[str, int] = {}
        self.fleet = fleet or {}
        self.operators = 0
        self._actions = 0  # of users, pods and the Job controller
        self._created: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()  # how often a user deleted each Job
        # How often no operator could observe the deletion of a Job before its next creation.
        self._missed: Counter[str] = Counter()
        self._session: Session | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.api.on_write.append(self._check)
        self.start()

    # The operator.

    def start(self) -> None:
        """Start an operator."""
        self.operators += 1
        self.time.run(self._start())

    async def _start(self) -> None:
        self._session = Session(self.api)
        account = Credentials(server="https://simulated")
        transport = Transport(account, self._session, None, 30.0)  # type: ignore[arg-type]  # it replaces an aiohttp session
        cluster = KubeClient(transport, ClientTimeouts())
        fleet = a_fleet(NAMESPACE, **self.fleet)
        _, self._tasks = assemble(cluster, self.storage, fleet, namespace=NAMESPACE, max_jobs=self.max_jobs)

    def kill(self) -> None:
        """End the operator like SIGKILL: requests that it has sent may still be applied."""
        self._missed.update(self._lost.keys() | self.api.objects[JOBS].keys() | self.api.in_flight)
        self.time.run(self._kill())

    async def _kill(self) -> None:
        if self._session:
            self._session.dead = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def die(self) -> None:
        """End the operator at this moment, in a callback of the event loop; `kill` completes it."""
        if self._session:
            self._session.dead = True
        for task in self._tasks:
            task.cancel()

    def close(self) -> None:
        self.kill()
        self.time.close()

    def advance(self, seconds: float) -> None:
        """Advance the time."""
        self.time.run(asyncio.sleep(seconds))
        ended = [task for task in self._tasks if task.done() and not task.cancelled()]
        self.violations += [f"the operator ended: {task.exception()}" for task in ended]
        self.violations += [f"unhandled error: {error}" for error in self.time.errors]
        self._check_cost()

    # Users, and the Job controller.

    def create_run(self, name: str, spec: Object) -> None:
        body = {"apiVersion": "fleetscore.dev/v1alpha1", "kind": "ScoringRun", "metadata": {"name": name}, "spec": spec}
        run = self._do(self.api.create, RUNS, body)
        self.parallelism[run["metadata"]["uid"]] = spec["parallelism"]

    def edit_run(self, name: str, **spec: Any) -> None:
        run = self._do(self.api.change, RUNS, name, {"spec": spec})
        uid = run["metadata"]["uid"]
        self.parallelism[uid] = max(self.parallelism[uid], run["spec"]["parallelism"])

    def remove(self, collection: str, name: str) -> None:
        """Delete an object, as a user."""
        self._lost[name] += collection == JOBS
        self._missed[name] += name in self.api.in_flight  # a creation that was sent again cannot be cancelled
        self._do(self.api.remove, collection, name)

    def _do(self, action: Any, *arguments: Any) -> Any:
        self._actions += 1

        async def act() -> Any:
            return action(*arguments)

        return self.time.run(act())

    def jobs(self, *, finished: bool) -> list[str]:
        """Return the names of the Jobs that have finished, or of those that have not."""
        return [name for name, job in self.api.objects[JOBS].items() if _finished(job) is finished]

    def at_work(self) -> Counter[str]:
        """Return the number of unfinished scoring Jobs, by the name of their run."""
        names = (name for name in self.jobs(finished=False) if positions_of(self.api.objects[JOBS][name]))
        return Counter(name.partition("-")[0] for name in names)

    def start_pod(self, name: str) -> None:
        """Start a Job's pod."""
        if not self.api.objects[JOBS][name]["spec"].get("suspend"):
            self._do(self.api.change, JOBS, name, {"status": {"active": 1, "ready": 1}})

    def end_job(self, name: str, how: str) -> None:
        """End a Job.

        Args:
            name: The name of the Job.
            how: done; killed; transient, by storage; silent, without a message and a record; record-only.
        """
        job = self.api.objects[JOBS][name]
        if job["spec"].get("suspend"):
            return
        message = self._message(job, how)
        failed = how in ("killed", "transient") or (message is not None and set(message["outcomes"]) == {"failed"})
        if message and how != "transient":
            self._record(job, message)
        if how not in ("silent", "record-only"):
            code = {"killed": 137, "transient": 75}.get(how, 65 if failed else 0)
            self._do(self.api.create, PODS, self._pod(job, json.dumps(message) if message else "", code))
        kind = "Failed" if failed else "Complete"
        status = {"active": 0, "ready": 0, kind.lower() if failed else "succeeded": 1}
        self._do(self.api.change, JOBS, name, {"status": {**status, "conditions": [{"type": kind, "status": "True"}]}})

    def _message(self, job: Object, how: str) -> Object | None:
        """Return the outcome message of a scorer; None for a report Job, whose message is not read."""
        size = len(positions_of(job))
        if how in ("killed", "silent") or not size:
            return None
        if how == "transient":
            return {"v": 1, "devices": size, "transient": {"StorageUnavailable": str(ArgIndexes.range_to(size))}}
        kinds = [self.rng.choices(KINDS, (80, 5, 5, 5, 5))[0] for _ in range(size)]
        outcomes = {
            kind: str(ArgIndexes.from_positions(ArgIndex(at) for at, found in enumerate(kinds) if found == kind))
            for kind in {*kinds}
        }
        reasons = {"DataInvalid": outcomes["failed"]} if "failed" in outcomes else {}
        return {"v": 1, "devices": size, "outcomes": outcomes, "reasons": reasons, "rows": 60 * size}

    def _record(self, job: Object, message: Object) -> None:
        """Write the outcome record of a scorer."""
        self.storage.records[job["metadata"]["name"]] = json.dumps(message).encode()
        recorded = self.recorded_outcomes.setdefault(owner_of(job), {})
        for outcome, indexes in message["outcomes"].items():
            recorded |= {list(positions_of(job))[at]: outcome for at in ArgIndexes.parse(indexes)}

    def _pod(self, job: Object, message: str, code: int) -> Object:
        name, now = job["metadata"]["name"], format_time(self.api.now())
        ended = {"exitCode": code, "reason": "OOMKilled" if code == 137 else "", "message": message, "finishedAt": now}
        owner = {"uid": job["metadata"]["uid"], "kind": "Job", "name": name}
        return {
            "metadata": {
                "name": f"{name}-{self.rng.getrandbits(20):05x}",
                "labels": {"batch.kubernetes.io/job-name": name},
                "ownerReferences": [owner],
            },
            "status": {
                "phase": "Failed" if code else "Succeeded",
                "startTime": now,
                "containerStatuses": [{"name": "scorer", "state": {"terminated": ended}}],
            },
        }

    def evict(self, name: str) -> None:
        """Evict a Job's pod. Its failure policy ignores that, and another pod will run."""
        pod = self._pod(self.api.objects[JOBS][name], "", 137)
        pod["status"] |= {"phase": "Failed", "reason": "Evicted"}
        self._do(self.api.create, PODS, pod)
        self._do(self.api.change, JOBS, name, {"status": {"active": 1, "ready": 0}})

    # The invariants of each write.

    def _check(self, write: Write) -> None:
        collection, name = write.collection, write.name
        if collection == JOBS and write.verb == "POST" and write.after:
            self._check_creation(write.after)
        if collection == RUNS and write.verb == "PATCH" and write.after and write.before:
            self._check_status(name, write.before.get("status", {}), write.after["status"])
        if early := ahead_of_progress(write, self.api.objects[CONFIG_MAPS].values()):
            self.violations.append(f"P: {early}")
        if write.before and collection in (JOBS, CONFIG_MAPS) and owner_of(write.before) not in self.parallelism:
            self.violations.append(f"I5: {write.verb} of {name}, which is not ours")
        if collection == PODS or (collection == EVENTS and write.verb != "POST"):
            self.violations.append(f"I5: {write.verb} of {name} in {collection}")

    def _check_creation(self, job: Object) -> None:
        name, uid = job["metadata"]["name"], owner_of(job)
        if not positions_of(job):
            return  # a report Job, which may be created again if it was deleted before the operator observed it
        self._created[name] += 1
        if self._created[name] > 1 + min(self._lost[name], self._missed[name]):
            self.violations.append(f"I1: Job {name} was created {self._created[name]} times")
        twice = positions_of(job) & Positions.from_positions(map(Position, self.recorded_outcomes.get(uid, {})))
        if twice:
            self.violations.append(f"I1: {name} runs positions {twice}, whose outcomes are on record")
        runs = {run["metadata"]["uid"] for run in self.api.objects[RUNS].values()}
        unfinished = [  # the garbage collector deletes the Jobs of a deleted run
            other
            for other in self.api.objects[JOBS].values()
            if not _finished(other) and positions_of(other) and owner_of(other) in runs
        ]
        mine = [other for other in unfinished if owner_of(other) == uid]
        if len(mine) > self.parallelism[uid]:
            self.violations.append(f"I2: {len(mine)} Jobs of a run with parallelism {self.parallelism[uid]}")
        if len(unfinished) > self.max_jobs:
            self.violations.append(f"I2: {len(unfinished)} Jobs with a limit of {self.max_jobs}")

    def _check_status(self, name: str, before: Object, after: Object) -> None:
        devices, old = after.get("devices"), before.get("devices", {})
        if devices:
            parts = sum(count for key, count in devices.items() if key != "total")
            if parts != devices["total"]:
                self.violations.append(f"I3: {name}: the parts add up to {parts} of {devices['total']}")
            backward = {key: (old[key], devices[key]) for key in OUTCOMES if devices[key] < old.get(key, 0)}
            if backward:
                self.violations.append(f"I3: {name}: counters went backward: {backward}")
        was, now = (
            {
                c["type"]
                for c in s.get("conditions", ())
                if c["status"] == "True" and c["type"] in ("Complete", "Failed")
            }
            for s in (before, after)
        )
        if was - now:
            self.violations.append(f"I4: {name}: {was - now} reverted")
        if (size := len(json.dumps(after))) > MAX_STATUS_BYTES:
            self.violations.append(f"I7: {name}: a status of {size} bytes")

    def _check_cost(self) -> None:
        """Check that requests depend on events, and on time only for relists and inspections of idle runs."""
        runs, failures, seconds = len(self.parallelism), self.api.failures, self.time.now() - self._began
        writes, asked = len(self.api.writes), self.api.requests
        due = 15 * runs + 4 * self._created.total() + 2 * self._actions + self.operators
        if writes > due:
            self.violations.append(f"I8: {writes} writes, where {due} are due")
        if asked > 2 * (due + failures) + 10 * self.operators + seconds * (0.1 + 0.2 * runs):
            self.violations.append(f"I8: {asked} requests in {seconds:.0f} s, where {due} writes are due")

    def check_end(self, name: str) -> None:
        """Check that a Complete run has the outcomes of its scorers."""
        run = self.api.objects[RUNS][name]
        status, recorded = run["status"], Counter(self.recorded_outcomes.get(run["metadata"]["uid"], {}).values())
        if status["phase"] != "Complete":
            return
        for outcome in ("scored", "partial", "empty", "alreadyScored"):
            if status["devices"][outcome] != recorded[outcome]:
                self.violations.append(
                    f"O: {name}: {status['devices'][outcome]} {outcome}, and {recorded[outcome]} are on record"
                )


def _finished(job: Object) -> bool:
    return any(one["status"] == "True" for one in job.get("status", {}).get("conditions", ()))
