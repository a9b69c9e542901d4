"""A site for faults: a namespace with the chart's account and Roles, operators as processes, runs and their results.

The operator works under its own account's token, its devices come from memory (operator_main.py), its scorers are
simulated pods. The events are read from the API server's audit log, never from the operator.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from localcluster.allocation import free_port
from localcluster.cluster import Cluster
from localcluster.kubernetes.api import ApiError
from localcluster.kubernetes.certificates import write_kubeconfig
from scoring_operator.api.names import job_name, progress_config_map_name, report_job_name
from scoring_operator.api.scoringrun import parse_run
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.progress_codec import decode_progress
from scoring_operator.resources import config_maps
from tests.testkit.audit import Audit, Request, created_jobs
from tests.testkit.chart import a_fleet
from tests.testkit.conditions import condition, true_conditions
from tests.testkit.operator_process import Operator, OperatorEnvironment
from tests.testkit.paths import ROOT
from tests.testkit.waiting import until

MAX_SHOWN = 4000  # characters of each part of a state
ROUNDS = range(6)
UNEXPECTED, REPORT = (-1, -1, -1), (-2, -2, -2)  # the ranges of Jobs that should not be, and of the report's
TIME_FIELDS = (
    "startTime",
    "firstPodTime",
    "lastProgressTime",
    "completionTime",
    "duration",
    "podSeconds",
    "conditions",
)
REPORT_FIELDS = ("report", "incidents", "sensors")  # they are written some time after the end


@dataclass(frozen=True)
class RunResult:
    """The result of a run without times: equal for any two runs over the same devices."""

    status: dict[str, Any]
    conditions: set[str]
    progress: dict[str, Any]
    ranges: Counter[tuple[int, int, int]]  # first and last position, round: how often its Job was created


@dataclass
class Site:
    """One namespace of a cluster, set up as the chart does."""

    cluster: Cluster
    namespace: str
    folder: Path
    audit: Audit
    devices: int = 20
    poison: bool = False
    release: OperatorEnvironment = field(init=False)

    def __post_init__(self) -> None:
        self.cluster.create_namespace(self.namespace)
        self.release = OperatorEnvironment(self.cluster, self.namespace, self.folder, [a_fleet()])
        self.release.install()

    def behind(self, url: str) -> None:
        """Let operators that are started from now on reach the API server at another address."""
        user = {"token": self.cluster.create_token(self.namespace, "fleetscore-operator", lifetime_seconds=24 * 3600)}
        path = self.folder / "proxied.kubeconfig"
        self.release.kubeconfig = write_kubeconfig(path, server=url, ca=self.cluster.ca_certificate, user=user)

    def start(
        self, name: str = "operator", *options: str, environment: Mapping[str, str] = MappingProxyType({})
    ) -> Operator:
        """Start an operator; it need not become ready."""
        port, log = free_port(), self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.operator_main", *self._storage(), *options],
                env={**self.release.environment(name, port), **environment},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Operator(process, port, log)

    def _storage(self) -> list[str]:
        return ["--devices", str(self.devices), *(["--poison"] if self.poison else [])]

    @contextmanager
    def operator(
        self, name: str = "operator", *options: str, environment: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[Operator]:
        """Run an operator until it is ready, and kill it at the end."""
        running = self.start(name, *options, environment=environment)
        try:
            until(lambda: running.probe("/readyz")[0] == 200 or running.process.poll() is not None, "it is ready")
            assert running.process.poll() is None, running.log.read_text()
            yield running
        finally:
            running.process.kill()
            running.process.wait()

    def requests(self) -> list[Request]:
        """Return the requests of the operator's account in the namespace so far."""
        found = self.audit.of(self.namespace)
        account = f"system:serviceaccount:{self.namespace}:fleetscore-operator"
        return [request for request in found if request.user == account]

    def created(self, run: str) -> Counter[str]:
        return created_jobs(self.audit.of(self.namespace), f"{run}-")

    def run(self, name: str, **spec: Any) -> dict[str, Any]:
        """Create a ScoringRun; one of that name from before goes first."""
        self.remove(name)
        return self.release.run(name, **spec)

    def remove(self, name: str) -> None:
        """Delete a ScoringRun, if it is there; its children are collected meanwhile."""
        path = f"/apis/fleetscore.dev/v1alpha1/namespaces/{self.namespace}/scoringruns/{name}"
        self._delete(path)

    def free_lease(self) -> None:
        """Delete the Lease, so that the next operator has to make it."""
        self._delete(f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/fleetscore-operator")

    def _delete(self, path: str) -> None:
        try:
            self.cluster.api.request("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.release.get(name).get("status", {})
        return found

    def condition(self, name: str, kind: str) -> dict[str, str]:
        """Return a condition of a run."""
        return condition(self.status(name), kind)

    def until_scored(self, name: str, count: int) -> None:
        def scored() -> bool:
            return int(self.status(name).get("devices", {}).get("scored", 0)) >= count

        until(scored, f"{count} devices of {name} are scored")

    def ended(self, name: str) -> bool:
        """Return True if a run and its report have ended."""
        status = self.status(name)
        return "completionTime" in status and condition(status, "Reported").get("status") != "Unknown"

    def until_ended(self, name: str, *, seconds: float = 240) -> None:
        until(lambda: self.ended(name), f"{name} has ended", seconds=seconds, state=lambda: self._state(name))

    def _state(self, name: str) -> str:
        """Return what shows why a run does not end: its status, Jobs, pods and events, and the operators' logs."""
        objects = [self.cluster.kubectl("-n", self.namespace, "get", kind) for kind in ("jobs,pods", "nodes", "events")]
        logs = [path.read_text() for path in self.folder.glob("*.log")]
        return "\n".join([json.dumps(self.status(name)), *(text[-MAX_SHOWN:] for text in objects + logs)])

    def jobs(self, run: str) -> list[dict[str, Any]]:
        """Return the scoring Jobs of a run."""
        labels = {"fleetscore.dev/run": run, "app.kubernetes.io/component": "scorer"}
        return [job for job in self.release.jobs() if labels.items() <= job["metadata"]["labels"].items()]

    def progress(self, name: str) -> Progress:
        """Return the saved progress of a run."""
        run = parse_run(self.release.get(name))
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{progress_config_map_name(run)}"
        return decode_progress(
            config_maps.config_map_content(self.cluster.api.request("GET", path), config_maps.PROGRESS_KEY)
        )

    def result(self, name: str) -> RunResult:
        """Return the result of a finished run."""
        body = self.release.get(name)
        saved = self.progress(name)
        run, status = parse_run(body), body["status"]
        ranges = (
            (first, last, round_) for last in range(self.devices) for first in range(last + 1) for round_ in ROUNDS
        )
        names = {_digest_of(job_name(run.name, run.uid, *site)): site for site in ranges}
        names[_digest_of(report_job_name(run))] = REPORT
        assert saved.completion is not None
        return RunResult(
            status={key: value for key, value in status.items() if key not in (*TIME_FIELDS, *REPORT_FIELDS)},
            conditions=true_conditions(status),
            progress={
                "outcomes": {key: str(value) for key, value in saved.outcomes.items()},
                "reasons": {key: str(value) for key, value in saved.reasons.items()},
                "left": (str(saved.waiting), saved.queued_batches, dict(saved.open_batches)),
                "results": saved.results,
                "top": saved.top_anomalies,
                "samples": saved.failure_samples,
                "end": (saved.completion.condition, saved.completion.reason, saved.completion.message),
            },
            # A name that is none of those expected shows as a range of its own, not as a KeyError.
            ranges=Counter(
                {names.get(_digest_of(job), UNEXPECTED): times for job, times in self.created(name).items()}
            ),
        )


def _digest_of(job: str) -> str:
    """Return the end of a Job's name: what is before it may have a part of the device's id."""
    return job.rpartition("-")[2]
