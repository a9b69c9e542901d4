"""The report's Job on a real API server with simulated pods."""

import asyncio
import json

from localcluster.nodes import stages
from tests.testkit.builders import a_report_message
from tests.testkit.conditions import condition
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.running_controller import RunController
from tests.testkit.runs import PodBehaviour, Runs, ended, reported, until_status
from tests.testkit.waiting import until

REPORT = {"app.kubernetes.io/component": "report"}
DEVICES = InMemoryStorage(["press-1", "press-2"])


async def test_report_is_created_after_completion_without_delaying_it(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(
        stages.finish_pods("report-takes-a-while", labels=REPORT, after_seconds=stages.NEVER_SECONDS, weight=100_000)
    )
    async with running_controller(DEVICES):
        runs.create()
        status = await ended(runs)
        assert condition(status, "Complete")["status"] == "True"
        assert condition(status, "Reported")["status"] == "Unknown"
        await asyncio.to_thread(_end_report_pod, runs)
        assert (await reported(runs))["reason"] == "ReportWritten"
    (job,) = runs.jobs("report")
    assert job["metadata"]["ownerReferences"][0]["uid"] == runs.get()["metadata"]["uid"]
    files = job["spec"]["template"]["spec"]["volumes"][1]["projected"]["sources"]
    path = f"/api/v1/namespaces/{runs.namespace}/configmaps"
    for file in (source["configMap"] for source in files):
        config_map = runs.cluster.api.request("GET", f"{path}/{file['name']}")
        assert config_map["binaryData"][file["items"][0]["key"]]


def _end_report_pod(runs: Runs) -> None:
    """Write the end of the report's pod as a kubelet does, once the pod runs."""
    query = "?labelSelector=app.kubernetes.io/component=report&fieldSelector=status.phase=Running"
    path = f"/api/v1/namespaces/{runs.namespace}/pods{query}"
    (pod,) = until(lambda: runs.cluster.api.request("GET", path)["items"], "the report's pod runs")
    terminated = {"exitCode": 0, "reason": "Completed"}
    states = [one | {"ready": False, "state": {"terminated": terminated}} for one in pod["status"]["containerStatuses"]]
    patch = json.dumps({"status": {"phase": "Succeeded", "containerStatuses": states}})
    words = ("patch", "pod", pod["metadata"]["name"], "--subresource=status", "--type=merge", "-p", patch)
    runs.cluster.kubectl("-n", runs.namespace, *words)


async def test_figures_of_the_report_are_in_status_conditions_events_and_columns(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    incidents = {
        "open": 12,
        "opened": 2,
        "openedUnmuted": 1,
        "openedFleet": 1,
        "closed": 1,
        "muted": 3,
        "causes": {"fleet": 1, "data": 11},
    }
    figures = a_report_message(
        incidents=incidents, sensors={"stuck": 4}, vanishedModels=2, problems=1, notifyProblems=1
    )
    pod_behaviour(stages.finish_pods("report-has-figures", labels=REPORT, message=figures, weight=100_000))
    async with running_controller(DEVICES):
        runs.create()
        report_condition = await reported(runs)
        # An event is written after the status that it reports.
        status = await until_status(runs, lambda _: "Suspicious" in runs.events())
    assert runs.events().count("Suspicious") == 1
    (job,) = runs.jobs("report")
    assert (report_condition["status"], report_condition["reason"]) == ("True", "ReportWritten")
    assert "not scored: 2 devices whose model was deleted" in report_condition["message"]
    assert report_condition["message"].endswith(
        f"1 problem, 1 of them with receivers of notices: read the log of Job {job['metadata']['name']}"
    )
    del incidents["openedFleet"]  # the condition Suspicious shows it
    assert status["incidents"] == {**incidents, "causes": {"machine": 0, "sensor": 0, "data": 11, "fleet": 1}}
    assert status["sensors"] == {"silent": 0, "sparse": 0, "stale": 0, "stuck": 4, "implausible": 0, "jumpy": 0}
    report = status["report"]
    assert report["path"] == "20180828T230000Z_20180829T000000Z/report.html"
    assert (report["vanishedModels"], report["problems"], report["notifyProblems"]) == (2, 1, 1)
    suspicious = condition(status, "Suspicious")
    assert (suspicious["status"], suspicious["reason"]) == ("True", "FleetIncident")
    header, row = runs.cluster.kubectl("-n", runs.namespace, "get", "sr", "-o", "wide").splitlines()
    at = header.index("INCIDENTS")
    assert row[at:].split()[0] == "12"


async def test_report_with_an_invalid_result_is_written_without_figures(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    invalid = a_report_message(incidents={"open": 1, "opened": 2})
    pod_behaviour(stages.finish_pods("report-is-invalid", labels=REPORT, message=invalid, weight=100_000))
    async with running_controller(DEVICES):
        runs.create()
        report_condition = await reported(runs)
    assert (report_condition["status"], report_condition["reason"]) == ("True", "ReportWritten")
    assert "its figures are unknown, because its pod left no valid result" in report_condition["message"]
    status = runs.status()
    assert status["report"] == {"path": "20180828T230000Z_20180829T000000Z/report.html"}
    assert not status.keys() & {"incidents", "sensors"}


async def test_failed_report_has_a_reason_and_the_run_stays_complete(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    line = '{"level":"error","message":"storage does not answer"}'
    pod_behaviour(stages.finish_pods("report-fails", labels=REPORT, exit_code=75, message=line, weight=100_000))
    async with running_controller(DEVICES):
        runs.create(backoffLimit=0)
        report_condition = await reported(runs)
        assert (report_condition["status"], report_condition["reason"], report_condition["message"]) == (
            "False",
            "StorageUnavailable",
            "storage does not answer",
        )
    status = runs.status()
    assert status["phase"] == "Complete"
    assert condition(status, "Complete")["status"] == "True"


async def test_report_with_a_deleted_job_is_not_created_again(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(stages.finish_pods("report-hangs", labels=REPORT, after_seconds=stages.NEVER_SECONDS, weight=100_000))
    async with running_controller(DEVICES):
        runs.create()
        await until_status(runs, lambda status: condition(status, "Reported").get("reason") == "ReportRunning")
        await asyncio.to_thread(
            runs.cluster.kubectl, "-n", runs.namespace, "delete", "job", "-l", "app.kubernetes.io/component=report"
        )
        assert (await reported(runs))["reason"] == "JobLost"
    assert runs.jobs("report") == []


async def test_operator_started_after_completion_creates_the_report(
    runs: Runs, running_controller: RunController
) -> None:
    quota = runs.create_quota("jobs", {"count/jobs.batch": "2"})
    async with running_controller(DEVICES):
        runs.create()
        status = await until_status(runs, lambda status: "quota" in condition(status, "Reported").get("message", ""))
        assert condition(status, "Reported")["status"] == "Unknown"
    runs.cluster.api.request("DELETE", quota)
    async with running_controller(DEVICES):
        assert (await reported(runs))["status"] == "True"


async def test_run_without_devices_has_no_report(runs: Runs, running_controller: RunController) -> None:
    async with running_controller(InMemoryStorage([])):
        runs.create()
        status = await ended(runs)
    assert (condition(status, "Reported")["status"], condition(status, "Reported")["reason"]) == (
        "False",
        "NothingToReport",
    )
    assert runs.jobs("report") == []
