from dataclasses import replace
from typing import Any

import msgspec
import pytest

from scoring_operator.api.intervals import EMPTY, Positions
from scoring_operator.api.views import JobView
from scoring_operator.contract.outcome_message import parse_outcome_message
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.plan import make_plan, needs_inspection
from scoring_operator.planner.progress import Completion, Progress, finish
from scoring_operator.planner.types import Blocker, Plan, PlannerLimits
from scoring_operator.resources.status import build_status, needs_update
from tests.testkit.builders import NOW, a_batch, a_job, a_message, a_progress, a_run, an_observation, later


def plan_for(progress: Progress, **spec: Any) -> Plan:
    return make_plan(a_run(**spec), an_observation(progress), NOW)


def with_outcomes(progress: Progress, **texts: str) -> Progress:
    outcomes = {outcome: Positions.parse(text) for outcome, text in texts.items()}
    left = progress.waiting
    for positions in outcomes.values():
        left = left - positions
    return replace(progress, outcomes=outcomes, waiting=left)


def rebuilt(progress: Progress) -> Progress:
    return replace(progress, snapshot=msgspec.structs.replace(progress.snapshot, rebuilt=True))


# Step 2: the start.


def test_new_run_discovers_its_devices() -> None:
    assert make_plan(a_run(), an_observation(), NOW).discover_devices


@pytest.mark.parametrize(
    ("spec", "observed", "phase"),
    [
        ({"suspend": True}, {}, "Suspended"),
        ({}, {"blocked_by": "earlier"}, "Queued"),
        ({"overlapPolicy": "Skip"}, {"blocked_by": "earlier"}, "Skipped"),
        ({"overlapPolicy": "Skip"}, {"blocked_by": "by-hand", "blocker_pauses": True}, "Queued"),
        ({"cancel": True}, {}, "Cancelled"),
        ({}, {"rejection": Blocker("FleetNotFound", "no such fleet")}, "Failed"),
    ],
    ids=["suspended", "queued", "skipped", "has-precedence", "cancelled", "rejected"],
)
def test_run_that_may_not_begin_discovers_nothing(spec: dict[str, Any], observed: dict[str, Any], phase: str) -> None:
    plan = make_plan(a_run(**spec), an_observation(**observed), NOW)
    assert (plan.phase, plan.discover_devices) == (phase, False)


def test_failed_discovery_ends_the_run_at_its_pending_deadline() -> None:
    run = a_run(status={"startTime": "2026-11-24T12:00:00Z"}, pendingDeadlineSeconds=60)
    observation = an_observation(blocker=Blocker("StorageUnavailable", "no answer"))
    waiting = make_plan(run, observation, later(59))
    assert (waiting.completion, waiting.blocker) == (None, observation.blocker)
    completion = make_plan(run, observation, later(60)).completion
    assert completion is not None
    assert completion.message.endswith(": no answer")


@pytest.mark.parametrize(
    ("spec", "observed", "phase"),
    [
        ({}, {}, "Pending"),
        ({"suspend": True}, {}, "Suspended"),
        ({"overlapPolicy": "Skip"}, {"blocked_by": "earlier"}, "Queued"),
        ({"cancel": True}, {}, "Cancelled"),
        ({}, {"rejection": Blocker("DeviceListLost", "deleted")}, "Failed"),
    ],
    ids=["pending", "suspended", "queued", "cancelled", "rejected"],
)
@pytest.mark.parametrize("progress", [None, a_progress(3)], ids=["without-progress", "with-progress"])
def test_missing_device_list_is_discovered_unless_the_run_waits_or_ends(
    spec: dict[str, Any], observed: dict[str, Any], phase: str, progress: Progress | None
) -> None:
    plan = make_plan(a_run(**spec), an_observation(progress, missing=True, **observed), NOW)
    assert (plan.phase, plan.discover_devices) == (phase, phase == "Pending")
    if plan.completion and progress:
        assert plan.progress is not None
        assert (plan.save, plan.progress.count("notRun")) == (True, 3)


def test_discovery_of_a_missing_list_ends_after_the_pending_and_the_active_deadline() -> None:
    run = a_run(status={"startTime": "2026-11-24T12:00:00Z"}, pendingDeadlineSeconds=60, activeDeadlineSeconds=100)
    assert make_plan(run, an_observation(missing=True), later(159)).completion is None
    assert make_plan(run, an_observation(missing=True), later(160)).completion is not None


# Step 3: inspection and results.


def test_finished_and_missing_jobs_need_inspection() -> None:
    names = ["finished", "missing", "seen", "unverified", "assumed", "running", "reserved"]
    batches = {name: a_batch(str(at), created=name == "missing") for at, name in enumerate(names)}
    progress = replace(a_progress(7), open_batches=batches, waiting=Positions())
    jobs = {"finished": a_job("finished", failed=True), "running": a_job("running", ready=True)}
    observation = an_observation(progress, jobs=jobs, assumed=["assumed"], seen=["seen"], unverified=["unverified"])
    found = list(needs_inspection(observation.state, observation.jobs))
    assert found == ["finished", "missing", "seen", "unverified"]


def test_run_without_progress_needs_no_inspection() -> None:
    observation = an_observation()
    assert list(needs_inspection(observation.state, observation.jobs)) == []


def test_inspected_job_is_not_inspected_again() -> None:
    first = plan_for(a_progress(3))
    names = list(first.create)
    jobs = {name: a_job(name, complete=True) for name in names[:2]}
    results = {names[0]: JobResult(message=parse_outcome_message(a_message(1), 1))}
    observation = an_observation(first.progress, jobs=jobs, assumed=names[2:], results=results)
    assert list(needs_inspection(observation.state, observation.jobs)) == names[:2]
    following = an_observation(make_plan(a_run(), observation, NOW).progress, jobs=jobs, assumed=names[2:])
    assert list(needs_inspection(following.state, following.jobs)) == [names[1]]


def test_visible_job_is_recorded_as_created() -> None:
    first = plan_for(a_progress(2))
    name, other = first.create
    plan = make_plan(a_run(), an_observation(first.progress, jobs={name: a_job(name)}, seen=[other]), NOW)
    assert plan.progress is not None
    assert all(batch.created for batch in plan.progress.open_batches.values())


def first_pod(started_at: float, now: float) -> tuple[Any, float] | None:
    """Return the start of the first pod in the progress, whose pod reports a start at `started_at`."""
    reserved = plan_for(a_progress(1)).progress
    assert reserved is not None
    name = next(iter(reserved.open_batches))
    result = JobResult(failure_reason="JobLost", started_at=later(started_at))
    observation = an_observation(reserved, jobs={name: a_job(name, failed=True)}, results={name: result})
    progress = make_plan(a_run(), observation, later(now)).progress
    assert progress is not None
    return progress.clock.first_pod


def test_first_pod_start_is_the_time_of_the_pod() -> None:
    assert first_pod(started_at=3, now=5) == (later(3), 3.0)


def test_first_pod_start_is_not_before_the_run() -> None:
    assert first_pod(started_at=-3e9, now=5) == (later(0), 0.0)


def test_first_pod_start_is_not_after_the_api_servers_time() -> None:
    assert first_pod(started_at=3600, now=5) == (later(5), 5.0)


# Step 4: the end.


@pytest.mark.parametrize(
    ("spec", "outcomes", "reason"),
    [
        ({"maxFailedDevices": 1}, {"failed": "0-1"}, "MaxFailedDevicesExceeded"),
        ({"maxFailedDevices": "10%"}, {"failed": "0-1"}, "MaxFailedDevicesExceeded"),
        ({"maxFailedDevices": "11%"}, {"failed": "0-1"}, None),
        ({"maxEmptyDevices": "50%"}, {"empty": "0-5"}, "NoData"),
        ({"maxEmptyDevices": "50%"}, {"empty": "0-4"}, None),
        ({"cancel": True}, {"scored": "0"}, "Cancelled"),
        ({}, {"scored": "0-9"}, "AllDevicesDone"),
        ({"suspend": True}, {"scored": "0-9"}, "AllDevicesDone"),
    ],
)
def test_run_ends_as_soon_as_its_end_is_certain(
    spec: dict[str, Any], outcomes: dict[str, str], reason: str | None
) -> None:
    completion = plan_for(with_outcomes(a_progress(10), **outcomes), **spec).completion
    assert (completion.reason if completion else None) == reason


def test_device_without_outcome_at_the_end_is_not_run() -> None:
    plan = plan_for(with_outcomes(a_progress(10), scored="0-3"), cancel=True)
    assert plan.progress is not None
    assert plan.progress.count("notRun") == 6
    assert plan.save


def test_pending_deadline_counts_until_the_first_pod_and_the_active_one_from_it() -> None:
    run = a_run(pendingDeadlineSeconds=10, activeDeadlineSeconds=100)
    new = an_observation(a_progress(2))
    late = make_plan(run, new, later(10)).completion
    assert late is not None
    assert late.reason == "PendingDeadlineExceeded"
    first = make_plan(run, new, NOW)
    name = next(iter(first.create))
    started = make_plan(run, an_observation(first.progress, jobs={name: a_job(name, ready=True)}), later(9))
    assert started.completion is None
    assert make_plan(run, an_observation(started.progress), later(108)).completion is None
    completion = make_plan(run, an_observation(started.progress), later(109)).completion
    assert completion is not None
    assert completion.reason == "DeadlineExceeded"


def test_saved_end_does_not_change() -> None:
    ended = finish(a_progress(3), Completion("Complete", "AllDevicesDone", "", NOW))
    plan = make_plan(a_run(cancel=True), an_observation(ended), later(5))
    assert (plan.completion, plan.progress, plan.save) == (ended.completion, None, False)


# Step 5: the pause.


@pytest.mark.parametrize(("suspend", "blocked_by"), [(True, ""), (False, "earlier")], ids=["suspended", "queued"])
def test_paused_time_does_not_count(suspend: bool, blocked_by: str) -> None:  # noqa: FBT001  # a table
    run = a_run(suspend=suspend, pendingDeadlineSeconds=10)
    paused = make_plan(run, an_observation(a_progress(2), blocked_by=blocked_by), later(5))
    assert paused.save
    waited = make_plan(run, an_observation(paused.progress, blocked_by=blocked_by), later(900))
    assert (waited.completion, waited.save) == (None, False)
    resumed = make_plan(a_run(pendingDeadlineSeconds=10), an_observation(waited.progress), later(1000))
    assert resumed.completion is None
    assert resumed.requeue_after == 5


@pytest.mark.fault("T12", "T18")
def test_run_with_progress_waits_for_the_end_of_its_window() -> None:
    run = a_run(window={"start": "2026-11-24T11:00:00Z", "end": "2026-11-24T12:10:00Z"})
    early = make_plan(run, an_observation(a_progress(2), devices=["a", "b"]), NOW)
    assert (early.phase, early.create, early.requeue_after) == ("Queued", {}, 600)
    assert early.queued_for is not None
    assert early.queued_for.reason == "WindowNotOver"
    assert make_plan(run, an_observation(early.progress, devices=["a", "b"]), later(600)).create


def test_suspended_run_suspends_its_jobs_and_creates_none() -> None:
    first = plan_for(a_progress(3), parallelism=2)
    jobs = {name: a_job(name) for name in first.create}
    plan = make_plan(a_run(suspend=True), an_observation(first.progress, jobs=jobs), NOW)
    assert plan.suspend == dict.fromkeys(jobs, True)
    assert not plan.create
    suspended = {name: a_job(name, suspended=True) for name in jobs}
    resumed = make_plan(a_run(parallelism=2), an_observation(plan.progress, jobs=suspended), NOW)
    assert resumed.suspend == dict.fromkeys(jobs, False)


def test_paused_run_has_another_pass_for_a_job_that_is_not_visible_yet() -> None:
    first = plan_for(a_progress(1))
    plan = make_plan(a_run(suspend=True), an_observation(first.progress, assumed=first.create), NOW)
    assert (plan.suspend, plan.requeue_after) == ({}, 5.0)


def test_paused_run_replaces_a_job_that_another_controller_has_resumed() -> None:
    progress = marked(replace(a_progress(1), open_batches={"job": a_batch("0", created=True)}, waiting=EMPTY))
    observation = an_observation(progress, jobs={"job": a_job("job", marked=True)})
    plan = make_plan(a_run(suspend=True), observation, NOW)
    assert (plan.replace, plan.suspend, plan.save) == (("job",), {}, True)
    assert plan.progress is not None
    assert plan.progress.open_batches["job"].replaced


# Step 6: the run.


def marked(progress: Progress) -> Progress:
    """Return the progress of a run whose suspended Jobs are marked."""
    return replace(progress, snapshot=msgspec.structs.replace(progress.snapshot, marks_suspension=True))


def held(progress: Progress, seconds: float) -> Plan:
    """Return the plan of a run whose Jobs another controller suspends."""
    jobs = {name: a_job(name, suspended=True) for name in progress.open_batches}
    return make_plan(a_run(pendingDeadlineSeconds=60), an_observation(progress, jobs=jobs), later(seconds))


def test_run_waits_without_a_deadline_while_another_controller_suspends_its_jobs() -> None:
    first = plan_for(marked(a_progress(2)))
    assert first.progress is not None
    waits = held(first.progress, 10)
    assert (waits.suspend, waits.completion, waits.save) == ({}, None, True)
    assert waits.blocker is not None
    assert (waits.blocker.reason, waits.blocker.permanent) == ("SuspendedByAnotherController", False)
    assert waits.progress is not None
    long_after = held(waits.progress, 5000)
    assert (long_after.completion, long_after.save) == (None, False)
    assert long_after.progress is not None
    jobs = {name: a_job(name) for name in long_after.progress.open_batches}
    resumed = make_plan(a_run(pendingDeadlineSeconds=60), an_observation(long_after.progress, jobs=jobs), later(5010))
    assert (resumed.blocker, resumed.completion) == (None, None)
    ended = make_plan(a_run(pendingDeadlineSeconds=60), an_observation(resumed.progress, jobs=jobs), later(5065))
    assert ended.completion is not None
    assert ended.completion.reason == "PendingDeadlineExceeded"


def test_held_run_creates_the_jobs_that_another_controller_has_to_queue() -> None:
    progress = plan_for(marked(a_progress(3)), parallelism=1).progress
    assert progress is not None
    jobs = {next(iter(progress.open_batches)): a_job(suspended=True)}
    plan = make_plan(a_run(parallelism=2), an_observation(progress, jobs=jobs), NOW)
    assert len(plan.create) == 1


def test_job_with_outdated_settings_is_replaced_and_its_loss_does_not_count() -> None:
    progress = marked(replace(a_progress(1), open_batches={"job": a_batch("0", created=True)}, waiting=EMPTY))
    observation = replace(an_observation(progress, jobs={"job": a_job("job", template="old")}), template="new")
    plan = make_plan(a_run(), observation, later(60))
    assert (plan.replace, plan.save, plan.create) == (("job",), True, {})
    gone = an_observation(plan.progress, results={"job": JobResult(missing=True)})
    again = make_plan(a_run(), gone, later(61))
    assert [(one.round, one.lost_jobs, one.replaced) for one in again.create.values()] == [(1, 0, False)]


def test_job_whose_scorer_has_ended_is_recorded_and_deleted() -> None:
    progress = marked(replace(a_progress(2), open_batches={"job": a_batch("0", created=True)}))
    progress = replace(progress, waiting=Positions.parse("1"))
    result = JobResult(message=parse_outcome_message(a_message(1), 1), ended=True, started_at=later(5))
    plan = make_plan(a_run(), an_observation(progress, jobs={"job": a_job("job")}, results={"job": result}), later(30))
    assert (plan.delete, plan.save) == (("job",), True)
    assert plan.progress is not None
    assert plan.progress.count("scored") == 1
    assert plan.progress.clock.first_pod == (later(5), 5.0)


def test_running_scorer_of_a_pod_that_is_not_ready_starts_the_active_deadline() -> None:
    progress = marked(replace(a_progress(1), open_batches={"job": a_batch("0", created=True)}, waiting=EMPTY))
    result = JobResult(started_at=later(5), provisional=True)
    started = an_observation(progress, jobs={"job": a_job("job")}, results={"job": result})
    plan = make_plan(a_run(pendingDeadlineSeconds=60), started, later(30))
    assert plan.progress is not None
    assert plan.progress.clock.first_pod == (later(5), 5.0)
    assert list(plan.progress.open_batches) == ["job"]


@pytest.mark.parametrize("jobs", [{"job": a_job("job", complete=True)}, {}], ids=["complete", "deleted"])
def test_job_that_ends_while_it_is_inspected_as_running_keeps_its_batch(jobs: dict[str, JobView]) -> None:
    progress = replace(a_progress(1), open_batches={"job": a_batch("0", created=True, lost_jobs=1)}, waiting=EMPTY)
    started = an_observation(progress, jobs=jobs, results={"job": JobResult(started_at=later(5), provisional=True)})
    plan = make_plan(a_run(), started, later(30))
    assert plan.progress is not None
    assert (plan.completion, plan.progress.open_batches, plan.create) == (None, progress.open_batches, {})


def test_end_at_a_deadline_names_what_keeps_pods_from_starting() -> None:
    observation = an_observation(a_progress(1), blocker=Blocker("FailedMount", "pods do not start: no secret"))
    completion = make_plan(a_run(pendingDeadlineSeconds=60), observation, later(61)).completion
    assert completion is not None
    assert completion.message.endswith("when the deadline passed: pods do not start: no secret")


def test_blocker_that_limits_no_jobs_does_not_reduce_them() -> None:
    blocker = Blocker("PodsDoNotEnd", "a sidecar", limits_jobs=False)
    assert len(make_plan(a_run(), an_observation(a_progress(3), blocker=blocker), NOW).create) == 3


@pytest.mark.parametrize(
    ("devices", "already", "message"),
    [
        (9, "0-8", "all 9 devices have an outcome; 9 had complete predictions before"),
        (1, "", "the only device has an outcome"),
    ],
)
def test_message_of_a_complete_run_counts_what_was_scored_before(devices: int, already: str, message: str) -> None:
    progress = a_progress(devices, already=already)
    progress = progress if already else with_outcomes(progress, scored="0")
    completion = plan_for(progress).completion
    assert completion is not None
    assert completion.message == message


def test_jobs_are_created_up_to_parallelism_after_they_are_reserved() -> None:
    plan = plan_for(a_progress(10), parallelism=4)
    assert len(plan.create) == 4
    assert plan.save
    assert plan.progress is not None
    assert set(plan.create) <= set(plan.progress.open_batches)


def test_slots_limit_the_number_of_jobs() -> None:
    assert len(make_plan(a_run(), an_observation(a_progress(10), slots=2), NOW).create) == 2


def test_already_scored_device_gets_no_job() -> None:
    plan = plan_for(a_progress(4, already="1-2"))
    assert sorted(str(batch.positions) for batch in plan.create.values()) == ["0", "3"]


def test_lower_parallelism_takes_effect_as_jobs_finish() -> None:
    first = plan_for(a_progress(10), parallelism=4)
    jobs = {name: a_job(name) for name in first.create}
    plan = make_plan(a_run(parallelism=1), an_observation(first.progress, jobs=jobs), NOW)
    assert not plan.create
    assert not plan.suspend


@pytest.mark.parametrize(
    ("ended", "free"), [({"complete": True}, 2), ({"failed": True}, 0)], ids=["complete", "failed"]
)
def test_complete_job_frees_its_slot_before_its_result_and_a_failed_one_does_not(ended: Any, free: int) -> None:
    first = plan_for(a_progress(10), parallelism=2)
    jobs = {name: a_job(name, **ended) for name in first.create}
    plan = make_plan(a_run(parallelism=2), an_observation(first.progress, jobs=jobs), NOW)
    assert len(plan.create) == free


def test_rejection_by_the_api_server_allows_one_job_per_pass_every_5_seconds() -> None:
    blocker = Blocker("QuotaExceeded", "full")
    plan = make_plan(a_run(), an_observation(a_progress(10), blocker=blocker), NOW)
    assert len(plan.create) == 1
    assert (plan.blocker, plan.requeue_after) == (blocker, 5.0)


def test_pods_that_do_not_start_allow_no_job() -> None:
    blocker = Blocker("ImagePullBackOff", "no image", allows_probe=False)
    assert not make_plan(a_run(), an_observation(a_progress(10), blocker=blocker), NOW).create


def test_20_consecutive_transient_failures_allow_one_job_at_a_time() -> None:
    before = make_plan(a_run(), an_observation(replace(a_progress(10), consecutive_failures=19)), NOW)
    assert (len(before.create), before.blocker) == (10, None)
    plan = make_plan(a_run(), an_observation(replace(a_progress(10), consecutive_failures=20)), NOW)
    assert len(plan.create) == 1
    assert plan.blocker is not None
    assert plan.blocker.reason == "StorageUnavailable"
    message = (
        "20 Jobs in a row failed, the last one with StorageUnavailable; the pods of the failed Jobs have the cause"
    )
    assert plan.blocker.message == f"{message}; one Job at a time is created until it has ended"
    identity = replace(a_progress(10), consecutive_failures=20, transient_reason="IdentityUnavailable")
    blocker = make_plan(a_run(), an_observation(identity), NOW).blocker
    assert blocker is not None
    assert blocker.reason == "IdentityUnavailable"
    assert "the last one with IdentityUnavailable" in blocker.message


def slow_warning(seconds: float, *, warned: bool = False) -> bool:
    """Return the warning about a run of 1,000 devices that has scored one of them since its first pod."""
    progress = with_outcomes(a_progress(1000), scored="0")
    clock = msgspec.structs.replace(progress.clock, first_pod=(NOW, 0.0))
    progress = replace(progress, clock=clock, slow_warning_sent=warned)
    return make_plan(a_run(), an_observation(progress), later(seconds)).warn_slow


def test_run_that_exceeds_its_window_at_the_pace_of_a_minute_is_slow() -> None:
    assert not slow_warning(59)
    assert slow_warning(60)


def test_slow_run_is_warned_about_once() -> None:
    assert not slow_warning(121, warned=True)


def test_active_run_deletes_finished_jobs_beyond_the_limit() -> None:
    observation = an_observation(a_progress(1), jobs={f"done-{n}": a_job(complete=True) for n in range(3)})
    plan = make_plan(a_run(), observation, NOW, PlannerLimits(max_finished_jobs=1))
    assert plan.delete == ("done-0",)  # the limit is for Jobs without an open batch, and there is one open batch


def test_plan_without_news_requests_nothing() -> None:
    first = plan_for(a_progress(3))
    jobs = {name: a_job(name) for name in first.create}
    second = make_plan(a_run(), an_observation(first.progress, jobs=jobs), later(1))
    third = make_plan(a_run(), an_observation(second.progress, jobs=jobs), later(2))
    assert (third.create, third.suspend, third.delete, third.save) == ({}, {}, (), False)
    assert third.progress == second.progress
    status = build_status(a_run(), second, an_observation(second.progress, jobs=jobs), later(1))
    following = build_status(a_run(), third, an_observation(third.progress, jobs=jobs), later(2))
    assert not needs_update(status, following | {"conditions": status["conditions"]})


def test_storage_outage_uses_no_attempt_and_ends_with_all_devices_scored() -> None:
    run = a_run(parallelism=50)
    plan = make_plan(run, an_observation(a_progress(200)), NOW)
    jobs = dict[str, JobView]()
    probes: list[int] = []
    for step in range(400):
        jobs |= {name: a_job(name) for name in plan.create}
        active = [name for name, job in jobs.items() if not job.finished]
        if plan.progress and plan.progress.circuit_open:
            probes.append(len(active))
            assert plan.blocker is not None
            assert plan.blocker.reason == "StorageUnavailable"
        jobs |= {name: a_job(name, failed=step < 60, complete=step >= 60) for name in active}
        observation = an_observation(plan.progress, jobs=jobs)
        results = {}
        for name in needs_inspection(observation.state, observation.jobs):
            failed = jobs[name].true_condition("Failed")
            message = a_message(1, **({"outcomes": {}, "transient": {"StorageUnavailable": "0"}} if failed else {}))
            results[name] = JobResult(message=parse_outcome_message(message, 1))
        plan = make_plan(run, replace(observation, results=results), later(step))
        if plan.completion:
            break
    assert plan.progress is not None
    assert plan.progress.count("scored") == 200
    assert set(probes[1:]) == {1}
