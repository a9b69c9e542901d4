from typing import Any

from scoring_operator.api.conditions import find_condition
from scoring_operator.api.names import report_job_name
from scoring_operator.api.scoringrun import parse_run
from scoring_operator.planner.finished_runs import CLEANUP_INTERVAL_SECONDS
from tests.testkit.builders import a_body, a_report_message, pod_metadata
from tests.unit.operator.controller.one_run import JOBS, PODS, OneRun


async def a_run_with_a_report_job() -> tuple[OneRun, str]:
    """Return a run whose devices are done, and the name of its report Job, which is active."""
    cluster = OneRun()
    await cluster.reconcile(2)
    for name in cluster.job_names():
        cluster.complete(name)
    await cluster.reconcile(2)
    report = report_job_name(cluster.reconciler.run)
    cluster.show(report)
    await cluster.reconcile()
    return cluster, report


async def test_failed_report_job_has_the_reason_of_its_pod() -> None:
    cluster, report = await a_run_with_a_report_job()
    terminated = {"exitCode": 137, "reason": "OOMKilled"}
    container = {"name": "scorer", "state": {"terminated": terminated}}
    pod = {"metadata": pod_metadata(report), "status": {"containerStatuses": [container]}}
    cluster.client.lists[PODS] = [pod]
    cluster.show(report, failed=True)
    await cluster.reconcile()
    reported = find_condition(cluster.status, "Reported")
    assert reported is not None
    assert (reported.status, reported.reason) == ("False", "OOMKilled")


async def test_report_job_that_ends_while_its_pod_is_read_has_its_figures_in_the_next_pass() -> None:
    cluster, report = await a_run_with_a_report_job()
    pod: dict[str, Any] = {"metadata": pod_metadata(report), "status": {"phase": "Running"}}
    cluster.client.lists[PODS] = [pod]
    passes: list[bool] = []
    cluster.client.on_request = lambda: passes.append(cluster.show(report, complete=True))
    await cluster.reconcile()
    terminated = {"exitCode": 0, "message": a_report_message(vanishedModels=1)}
    pod["status"] = {"containerStatuses": [{"name": "scorer", "state": {"terminated": terminated}}]}
    await cluster.reconcile()
    reported = find_condition(cluster.status, "Reported")
    assert passes[0]  # the end requires a pass
    assert reported is not None
    assert reported.message.endswith("; not scored: 1 device whose model was deleted")


async def test_unfinished_jobs_of_a_deleted_run_are_deleted_until_none_is_left() -> None:
    cluster = OneRun()
    await cluster.reconcile(2)
    first, second = cluster.job_names()
    cluster.client.objects[f"{JOBS}/{first}"]["metadata"]["uid"] = "first-uid"
    cluster.show(first, uid="first-uid")
    cluster.show(second, complete=True)
    deleted = a_body()
    deleted["metadata"] |= {"deletionTimestamp": "2026-11-24T12:00:00Z", "resourceVersion": "99"}
    cluster.reconciler.update(parse_run(deleted))
    assert await cluster.reconcile() == CLEANUP_INTERVAL_SECONDS
    assert cluster.job_names() == [second]
