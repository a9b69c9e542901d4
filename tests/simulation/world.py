"""All that there is in a simulation: API server, Job controller, scorers, storage, an operator; and what must hold.

The operator is the one that ships, engine, mirror, cluster and transport; storage is the integration tests' memory.
"""

import asyncio
import json
import random
from collections import Counter
from typing import Any

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
MOST_STATUS = 32 * 1024
WINDOW = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}


class World:
    """A fleet and everything that works on it; `wrong` has what should not have happened."""

    def __init__(self, seed: int, *, devices: int, max_jobs: int) -> None:
        self.time = VirtualTime()
        self._began = self.time.now()
        self.luck = random.Random(seed)  # noqa: S311  # a game of chance, no secret
        self.api = Api(self.luck, self.time.now)
        self.storage = InMemoryStorage([f"press-{number:02}" for number in range(devices)])
        self.wrong: list[str] = []
        self.told: dict[str, dict[int, str]] = {}  # by run: the outcome on record of each position
        self.max_jobs = max_jobs
        self.parallelism: dict[str, int] = {}  # the most that was ever allowed, by run
        self.operators = 0
        self._happened = 0  # what people, pods and the Job controller did
        self._created: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()  # Jobs that somebody deleted, and how often
        self._missed: Counter[str] = Counter()  # how often no operator could know of that before it created them again
        self._session: Session | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.api.on_write.append(self._judge)
        self.start()

    # The operator.

    def start(self) -> None:
        """Start an operator."""
        self.operators += 1
        self.time.run(self._start())

    async def _start(self) -> None:
        self._session = Session(self.api)
        account = Credentials(server="https://simulated")
        transport = Transport(account, self._session, None, 30.0)  # type: ignore[arg-type]  # it stands for aiohttp's
        cluster = KubeClient(transport, ClientTimeouts())
        fleet = a_fleet(NAMESPACE)
        _, self._tasks = assemble(cluster, self.storage, fleet, namespace=NAMESPACE, max_jobs=self.max_jobs)

    def kill(self) -> None:
        """End the operator as SIGKILL does: what it has sent may still be done, and it learns of nothing."""
        self._missed.update(self._lost.keys() | self.api.objects[JOBS].keys() | self.api.under_way)
        self.time.run(self._kill())

    async def _kill(self) -> None:
        if self._session:
            self._session.dead = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def close(self) -> None:
        self.kill()
        self.time.close()

    def let_pass(self, seconds: float) -> None:
        """Let time pass."""
        self.time.run(asyncio.sleep(seconds))
        ended = [task for task in self._tasks if task.done()]
        self.wrong += [f"the operator ended: {task.exception()}" for task in ended]
        self.wrong += [f"unheard error: {error}" for error in self.time.errors]
        self._judge_cost()

    # People, and the Job controller.

    def create_run(self, name: str, spec: Object) -> None:
        body = {"apiVersion": "fleetscore.dev/v1alpha1", "kind": "ScoringRun", "metadata": {"name": name}, "spec": spec}
        run = self._do(self.api.create, RUNS, body)
        self.parallelism[run["metadata"]["uid"]] = spec["parallelism"]

    def edit_run(self, name: str, **spec: Any) -> None:
        run = self._do(self.api.change, RUNS, name, {"spec": spec})
        uid = run["metadata"]["uid"]
        self.parallelism[uid] = max(self.parallelism[uid], run["spec"]["parallelism"])

    def remove(self, collection: str, name: str) -> None:
        """Somebody deletes something."""
        self._lost[name] += collection == JOBS
        self._missed[name] += name in self.api.under_way  # sent again, no answer having come: nobody can call it back
        self._do(self.api.remove, collection, name)

    def _do(self, action: Any, *arguments: Any) -> Any:
        self._happened += 1

        async def act() -> Any:
            return action(*arguments)

        return self.time.run(act())

    def jobs(self, *, finished: bool) -> list[str]:
        """Names of Jobs that have, or have not, ended."""
        return [name for name, job in self.api.objects[JOBS].items() if _finished(job) is finished]

    def at_work(self) -> Counter[str]:
        """How many Jobs each run has that have not ended, by the run's name; reports left out."""
        names = (name for name in self.jobs(finished=False) if positions_of(self.api.objects[JOBS][name]))
        return Counter(name.partition("-")[0] for name in names)

    def start_pod(self, name: str) -> None:
        """A Job's pod runs."""
        if not self.api.objects[JOBS][name]["spec"].get("suspend"):
            self._do(self.api.change, JOBS, name, {"status": {"active": 1, "ready": 1}})

    def end_job(self, name: str, how: str) -> None:
        """A Job ends: done, killed, transient (storage), mute (no word was left), unsaid (only the record is)."""
        job = self.api.objects[JOBS][name]
        if job["spec"].get("suspend"):
            return
        word = self._word(job, how)
        failed = how in ("killed", "transient") or (word is not None and set(word["outcomes"]) == {"failed"})
        if word and how != "transient":
            self._record(job, word)
        if how not in ("mute", "unsaid"):
            code = {"killed": 137, "transient": 75}.get(how, 65 if failed else 0)
            self._do(self.api.create, PODS, self._pod(job, json.dumps(word) if word else "", code))
        kind = "Failed" if failed else "Complete"
        status = {"active": 0, "ready": 0, kind.lower() if failed else "succeeded": 1}
        self._do(self.api.change, JOBS, name, {"status": {**status, "conditions": [{"type": kind, "status": "True"}]}})

    def _word(self, job: Object, how: str) -> Object | None:
        """What its scorer says; a report says nothing that anybody reads."""
        size = len(positions_of(job))
        if how in ("killed", "mute") or not size:
            return None
        if how == "transient":
            return {"v": 1, "devices": size, "transient": {"StorageUnavailable": str(ArgIndexes.range_to(size))}}
        kinds = [self.luck.choices(KINDS, (80, 5, 5, 5, 5))[0] for _ in range(size)]
        outcomes = {
            kind: str(ArgIndexes.from_positions(ArgIndex(at) for at, found in enumerate(kinds) if found == kind))
            for kind in {*kinds}
        }
        reasons = {"DataInvalid": outcomes["failed"]} if "failed" in outcomes else {}
        return {"v": 1, "devices": size, "outcomes": outcomes, "reasons": reasons, "rows": 60 * size}

    def _record(self, job: Object, word: Object) -> None:
        """The scorer writes its outcome record before it ends."""
        self.storage.records[job["metadata"]["name"]] = json.dumps(word).encode()
        told = self.told.setdefault(owner_of(job), {})
        for outcome, indexes in word["outcomes"].items():
            told |= {list(positions_of(job))[at]: outcome for at in ArgIndexes.parse(indexes)}

    def _pod(self, job: Object, message: str, code: int) -> Object:
        name, now = job["metadata"]["name"], self.api.stamp()
        ended = {"exitCode": code, "reason": "OOMKilled" if code == 137 else "", "message": message, "finishedAt": now}
        owner = {"uid": job["metadata"]["uid"], "kind": "Job", "name": name}
        return {
            "metadata": {
                "name": f"{name}-{self.luck.getrandbits(20):05x}",
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
        """A Job's pod is evicted; as its failure policy says, that does not count, and another will run."""
        pod = self._pod(self.api.objects[JOBS][name], "", 137)
        pod["status"] |= {"phase": "Failed", "reason": "Evicted"}
        self._do(self.api.create, PODS, pod)
        self._do(self.api.change, JOBS, name, {"status": {"active": 1, "ready": 0}})

    # What must hold at each write.

    def _judge(self, write: Write) -> None:
        collection, name = write.collection, write.name
        if collection == JOBS and write.verb == "POST" and write.after:
            self._judge_creation(write.after)
        if collection == RUNS and write.verb == "PATCH" and write.after and write.before:
            self._judge_status(name, write.before.get("status", {}), write.after["status"])
        if early := ahead_of_progress(write, self.api.objects[CONFIG_MAPS].values()):
            self.wrong.append(f"P: {early}")
        if write.before and collection in (JOBS, CONFIG_MAPS) and owner_of(write.before) not in self.parallelism:
            self.wrong.append(f"I5: {write.verb} of {name}, which is not ours")
        if collection == PODS or (collection == EVENTS and write.verb != "POST"):
            self.wrong.append(f"I5: {write.verb} of {name} in {collection}")

    def _judge_creation(self, job: Object) -> None:
        name, uid = job["metadata"]["name"], owner_of(job)
        if not positions_of(job):
            return  # a report, which may be made again where it was deleted before anybody saw it
        self._created[name] += 1
        if self._created[name] > 1 + min(self._lost[name], self._missed[name]):
            self.wrong.append(f"I1: Job {name} was created {self._created[name]} times")
        twice = positions_of(job) & Positions.from_positions(map(Position, self.told.get(uid, {})))
        if twice:
            self.wrong.append(f"I1: {name} runs positions {twice}, whose outcomes are on record")
        runs = {run["metadata"]["uid"] for run in self.api.objects[RUNS].values()}
        unfinished = [  # a Job that was under way when its run was deleted is the garbage collector's
            other
            for other in self.api.objects[JOBS].values()
            if not _finished(other) and positions_of(other) and owner_of(other) in runs
        ]
        mine = [other for other in unfinished if owner_of(other) == uid]
        if len(mine) > self.parallelism[uid]:
            self.wrong.append(f"I2: {len(mine)} Jobs of a run with parallelism {self.parallelism[uid]}")
        if len(unfinished) > self.max_jobs:
            self.wrong.append(f"I2: {len(unfinished)} Jobs with a limit of {self.max_jobs}")

    def _judge_status(self, name: str, before: Object, after: Object) -> None:
        devices, old = after.get("devices"), before.get("devices", {})
        if devices:
            parts = sum(count for key, count in devices.items() if key != "total")
            if parts != devices["total"]:
                self.wrong.append(f"I3: {name}: the parts add up to {parts} of {devices['total']}")
            backward = {key: (old[key], devices[key]) for key in OUTCOMES if devices[key] < old.get(key, 0)}
            if backward:
                self.wrong.append(f"I3: {name}: counters went backward: {backward}")
        was, now = (
            {
                c["type"]
                for c in s.get("conditions", ())
                if c["status"] == "True" and c["type"] in ("Complete", "Failed")
            }
            for s in (before, after)
        )
        if was - now:
            self.wrong.append(f"I4: {name}: {was - now} reverted")
        if (size := len(json.dumps(after))) > MOST_STATUS:
            self.wrong.append(f"I7: {name}: a status of {size} bytes")

    def _judge_cost(self) -> None:
        """Requests go with what happens, not with time; but for new lists, and looks at runs where nothing happens."""
        runs, failures, seconds = len(self.parallelism), self.api.failures, self.time.now() - self._began
        writes, asked = len(self.api.writes), self.api.requests
        due = 15 * runs + 4 * self._created.total() + 2 * self._happened + self.operators
        if writes > due:
            self.wrong.append(f"I8: {writes} writes, where {due} are due")
        if asked > 2 * (due + failures) + 10 * self.operators + seconds * (0.1 + 0.2 * runs):
            self.wrong.append(f"I8: {asked} requests in {seconds:.0f} s, where {due} writes are due")

    def judge_end(self, name: str) -> None:
        """Whether a run that is Complete says what its scorers said."""
        run = self.api.objects[RUNS][name]
        status, told = run["status"], Counter(self.told.get(run["metadata"]["uid"], {}).values())
        if status["phase"] != "Complete":
            return
        for outcome in ("scored", "partial", "empty", "alreadyScored"):
            if status["devices"][outcome] != told[outcome]:
                self.wrong.append(
                    f"O: {name}: {status['devices'][outcome]} {outcome}, and {told[outcome]} are on record"
                )


def _finished(job: Object) -> bool:
    return any(one["status"] == "True" for one in job.get("status", {}).get("conditions", ()))
