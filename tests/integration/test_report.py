"""The report's Job on a real API server with simulated pods."""

import asyncio

from localcluster import stages
from tests.integration.conftest import Operate, Staged
from tests.integration.operating import Memory
from tests.integration.runs import Runs, condition, ended, reported, until

REPORT = {"app.kubernetes.io/component": "report"}
DEVICES = Memory(["press-1", "press-2"])


async def test_a_report_is_made_after_the_last_device_and_completion_does_not_wait_for_it(
    runs: Runs, operate: Operate, staged: Staged
) -> None:
    staged(stages.finish("report-takes-a-while", labels=REPORT, after_seconds=3, weight=100_000))
    async with operate(DEVICES):
        runs.create()
        status = await ended(runs)
        assert condition(status, "Complete")["status"] == "True"
        assert condition(status, "Reported")["status"] == "Unknown"
        assert (await reported(runs))["reason"] == "ReportWritten"
    (job,) = runs.jobs("report")
    assert job["metadata"]["ownerReferences"][0]["uid"] == runs.get()["metadata"]["uid"]
    files = job["spec"]["template"]["spec"]["volumes"][1]["projected"]["sources"]
    path = f"/api/v1/namespaces/{runs.namespace}/configmaps"
    for file in (source["configMap"] for source in files):
        config_map = runs.cluster.api.request("GET", f"{path}/{file['name']}")
        assert config_map["binaryData"][file["items"][0]["key"]]


async def test_a_failed_report_says_why_and_leaves_the_run_complete(
    runs: Runs, operate: Operate, staged: Staged
) -> None:
    line = '{"level":"error","message":"storage does not answer"}'
    staged(stages.finish("report-fails", labels=REPORT, exit_code=75, message=line, weight=100_000))
    async with operate(DEVICES):
        runs.create(backoffLimit=0)
        told = await reported(runs)
        assert (told["status"], told["reason"], told["message"]) == (
            "False",
            "StorageUnavailable",
            "storage does not answer",
        )
    status = runs.status()
    assert status["phase"] == "Complete"
    assert condition(status, "Complete")["status"] == "True"


async def test_a_report_whose_job_is_deleted_is_not_made_a_second_time(
    runs: Runs, operate: Operate, staged: Staged
) -> None:
    staged(stages.finish("report-hangs", labels=REPORT, after_seconds=stages.NEVER, weight=100_000))
    async with operate(DEVICES):
        runs.create()
        await until(runs, lambda status: condition(status, "Reported").get("reason") == "ReportRunning")
        await asyncio.to_thread(
            runs.cluster.kubectl, "-n", runs.namespace, "delete", "job", "-l", "app.kubernetes.io/component=report"
        )
        assert (await reported(runs))["reason"] == "JobLost"
    assert runs.jobs("report") == []


async def test_an_operator_that_starts_after_the_end_makes_the_report(runs: Runs, operate: Operate) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "jobs"}}
    path = f"/api/v1/namespaces/{runs.namespace}/resourcequotas"
    runs.cluster.api.request("POST", path, {**quota, "spec": {"hard": {"count/jobs.batch": "2"}}})
    async with operate(DEVICES):
        runs.create()
        status = await until(runs, lambda status: "quota" in condition(status, "Reported").get("message", ""))
        assert condition(status, "Reported")["status"] == "Unknown"
    runs.cluster.api.request("DELETE", f"{path}/jobs")
    async with operate(DEVICES):
        assert (await reported(runs))["status"] == "True"


async def test_a_run_that_never_had_devices_has_no_report(runs: Runs, operate: Operate) -> None:
    async with operate(Memory([])):
        runs.create()
        status = await ended(runs)
    assert (condition(status, "Reported")["status"], condition(status, "Reported")["reason"]) == (
        "False",
        "NothingToReport",
    )
    assert runs.jobs("report") == []
