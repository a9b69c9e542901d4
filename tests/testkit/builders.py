"""Builders that speak the domain and default everything a test does not care about."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from scoring_operator.api.conditions import Condition
from scoring_operator.api.fleets import Fleet
from scoring_operator.api.intervals import Positions
from scoring_operator.api.names import device_list_config_map_name
from scoring_operator.api.scoringrun import RunRef, ScoringRun, parse_run
from scoring_operator.api.views import (
    ContainerState,
    ContainerView,
    JobAnnotations,
    JobLabels,
    JobMeta,
    JobSpecView,
    JobStatusView,
    JobView,
    OwnerView,
    PodLabels,
    PodMeta,
    PodStatusView,
    PodView,
    Running,
    Terminated,
    Waiting,
)
from scoring_operator.planner.device_list import InitialState, pack
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.progress import Batch, Progress, RunClock, RunSnapshot, new_progress
from scoring_operator.planner.types import Allocation, Blocker, JobSnapshot, Observation, RunState

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
UID = "6f1c2b9e-0000-4000-8000-000000000001"
WINDOW = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def a_body(
    name: str = "hourly",
    *,
    namespace: str = "scoring",
    uid: str = UID,
    schedule: str = "",
    generation: int = 1,
    **spec: Any,
) -> dict[str, Any]:
    return {
        "apiVersion": "fleetscore.dev/v1alpha1",
        "kind": "ScoringRun",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "generation": generation,
            "creationTimestamp": "2026-11-24T12:00:00Z",
            "resourceVersion": "7",
            "labels": {"fleetscore.dev/schedule": schedule} if schedule else {},
        },
        "spec": {"window": WINDOW, **spec},
    }


def a_run(name: str = "hourly", *, status: dict[str, Any] | None = None, **options: Any) -> ScoringRun:
    return parse_run(a_body(name, **options) | {"status": status or {}})


def a_progress(devices: int = 3, *, per_job: int = 1, already: str = "", running: bool = True) -> Progress:
    frozen = RunSnapshot(
        fleet={"name": "default", "namespaces": ["scoring"]}, device_list_names=("list",), devices_per_job=per_job
    )
    progress = new_progress(frozen, devices, Positions.parse(already))
    return _with_clock(progress, RunClock(started=NOW, since=NOW)) if running else progress


def an_initial_state(run: RunRef, devices: Sequence[str], progress: Progress | None = None) -> InitialState:
    """Return the first state of a run, with one part of its device list under the name that belongs to it."""
    state = progress or a_progress(len(devices))
    (part,) = pack(devices)
    name = device_list_config_map_name(run, msgspec.json.encode(state.snapshot.fleet, order="sorted"), part)
    snapshot = msgspec.structs.replace(state.snapshot, device_list_names=(name,))
    return InitialState(replace(state, snapshot=snapshot), devices, {name: part})


def _with_clock(progress: Progress, clock: RunClock) -> Progress:
    return replace(progress, clock=clock)


def a_batch(positions: str = "0", **options: Any) -> Batch:
    return Batch(Positions.parse(positions), **options)


def an_observation(
    progress: Progress | None = None,
    *,
    devices: Sequence[str] = (),
    unverified: Iterable[str] = (),
    rejection: Blocker | None = None,
    missing: bool = False,
    jobs: Mapping[str, JobView] | None = None,
    assumed: Iterable[str] = (),
    seen: Iterable[str] = (),
    results: Mapping[str, JobResult] | None = None,
    blocked_by: str = "",
    blocker_pauses: bool = False,
    job_quota_full: bool = False,
    rejected: Sequence[str] = (),
    slots: int = 10_000,
    later_runs: int = 0,
    blocker: Blocker | None = None,
    blocked_seconds: float = 0.0,
    starved_seconds: float = 0.0,
    fleet: Fleet | None = None,
) -> Observation:
    state = RunState(progress, devices, None, frozenset(unverified), rejection, missing)
    allocation = Allocation(
        blocked_by,
        slots,
        shortfall=0,
        later_runs=later_runs,
        blocked_seconds=blocked_seconds,
        starved_seconds=starved_seconds,
        blocker_pauses=blocker_pauses,
        job_quota_full=job_quota_full,
    )
    snapshot = JobSnapshot(jobs or {}, frozenset(assumed), frozenset(seen))
    return Observation(
        state, snapshot, results or {}, allocation, blocker, template="", current_fleet=fleet, rejected=rejected
    )


def a_job(
    name: str = "job-1",
    *,
    complete: bool = False,
    failed: bool = False,
    ready: bool = False,
    suspended: bool = False,
    uid: str = "job-uid",
    owner: str = UID,
    deleting: bool = False,
    marked: bool = False,
    template: str = "",
    positions: str = "",
    round_: str = "0",
    created: str = "2026-11-24T12:00:00Z",
    parallelism: int = 1,
) -> JobView:
    kinds = ["Complete"] * complete + ["Failed"] * failed
    return JobView(
        metadata=JobMeta(
            name=name,
            namespace="scoring",
            uid=uid,
            resource_version="7",
            creation_timestamp=created,
            labels=JobLabels(run_uid=owner, round=round_),
            annotations=JobAnnotations("true" if marked else "", template, positions),
            owner_references=(OwnerView(uid=owner),),
            deletion_timestamp="2026-11-24T12:00:00Z" if deleting else None,
        ),
        spec=JobSpecView(suspend=suspended, parallelism=parallelism),
        status=JobStatusView(
            ready=int(ready),
            succeeded=int(complete),
            failed=int(failed),
            conditions=tuple(Condition(type=kind, status="True") for kind in kinds),
        ),
    )


def a_container(
    name: str = "scorer", *, waiting: str = "", message: str = "", code: int | None = None
) -> ContainerView:
    """Return a container that waits, has ended with a code, or runs."""
    if waiting:
        return ContainerView(name, ContainerState(waiting=Waiting(waiting, message)))
    if code is not None:
        return ContainerView(name, ContainerState(terminated=Terminated(code, "Error" if code else "", message)))
    return ContainerView(name, ContainerState(running=Running("2026-11-24T12:00:03Z")))


def pod_metadata(job: str) -> dict[str, Any]:
    """Return the JSON of the metadata of a pod that a Job owns."""
    return {
        "name": f"{job}-x",
        "uid": f"{job}-pod",
        "labels": {"batch.kubernetes.io/job-name": job},
        "ownerReferences": [{"kind": "Job", "name": job, "uid": "job-uid"}],
    }


def a_pod_of(*containers: ContainerView, init: Sequence[ContainerView] = (), phase: str = "Pending") -> PodView:
    """Return a pod with these containers."""
    status = PodStatusView(phase=phase, init_container_statuses=tuple(init), container_statuses=containers)
    return PodView(metadata=PodMeta(name="job-1-x", uid="pod-uid", labels=PodLabels(job_name="job-1")), status=status)


def a_message(devices: int = 1, **document: Any) -> str:
    every = "0" if devices == 1 else f"0-{devices - 1}"
    return json.dumps({"v": 1, "devices": devices, "outcomes": {"scored": every}, "rows": 60 * devices} | document)


def a_report_message(**document: Any) -> str:
    """Return the termination message of a report's pod."""
    return json.dumps({"v": 1, "complete": True} | document)


def a_pod(
    *,
    message: str = "",
    code: int = 0,
    reason: str = "",
    pod_reason: str = "",
    waiting: str = "",
    created: str = "2026-11-24T12:00:01Z",
    started: str | None = "2026-11-24T12:00:02Z",
    finished: str | None = "2026-11-24T12:00:09Z",
    job: str = "job-1",
) -> PodView:
    ended = None if waiting or pod_reason else Terminated(code, reason, message, finished_at=finished)
    state = ContainerState(terminated=ended, waiting=Waiting(waiting, f"{waiting} says why") if waiting else None)
    return PodView(
        metadata=PodMeta(name=f"{job}-x", creation_timestamp=created, labels=PodLabels(job_name=job)),
        status=PodStatusView(
            phase="Failed" if code or reason or pod_reason else "Succeeded",
            reason=pod_reason,
            start_time=started,
            container_statuses=(ContainerView("scorer", state),),
        ),
    )
