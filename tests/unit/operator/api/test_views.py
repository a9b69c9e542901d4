from typing import Any

import msgspec
import pytest

from scoring_operator.api.conditions import Condition
from scoring_operator.api.views import ContainerState, JobStatusView, JobView, PodView
from tests.testkit.builders import a_job, a_pod


def test_job_without_an_owner_has_no_uid_of_a_run() -> None:
    assert a_job("job-1", owner="some-uid").owner_uid == "some-uid"
    assert (JobView().owner_uid, a_job("job-1").name) == ("", "job-1")


RUN_OWNER = {"kind": "ScoringRun", "uid": "run-uid", "name": "hourly"}
OTHER_OWNER = {"kind": "AppWrapper", "uid": "other-uid", "name": "x"}


@pytest.mark.parametrize(
    ("owners", "uid"),
    [
        ([RUN_OWNER], "run-uid"),
        ([OTHER_OWNER, RUN_OWNER], "run-uid"),
        ([OTHER_OWNER], "label-uid"),
        ([], "label-uid"),
    ],
    ids=["run", "other and run", "other", "orphan"],
)
def test_job_belongs_to_its_run_whatever_owners_others_add_or_remove(owners: list[dict[str, str]], uid: str) -> None:
    labels = {"fleetscore.dev/run-uid": "label-uid"}
    assert msgspec.convert({"metadata": {"labels": labels, "ownerReferences": owners}}, JobView).owner_uid == uid


def test_job_keeps_no_more_than_a_job_of_the_operator_has() -> None:
    large = "x" * 10_000
    condition = {"type": "Failed", "status": "True", "message": large}
    job = msgspec.convert(
        {
            "metadata": {
                "finalizers": [f"x.example/{number}" for number in range(1000)],
                "ownerReferences": [OTHER_OWNER] * 1000,
                "annotations": {"fleetscore.dev/positions": large, "fleetscore.dev/suspended": "true"},
            },
            "status": {"conditions": [condition, {"type": "Complete", "status": "True"}]},
        },
        JobView,
    )
    assert (len(job.metadata.finalizers), len(job.metadata.owner_references)) == (5, 1)
    assert (job.metadata.annotations.positions, job.complete, job.true_condition("Failed")) == ("", True, None)


@pytest.mark.parametrize(("length", "kept"), [(4096, True), (4097, False)])
def test_texts_of_a_condition_and_of_annotations_have_at_most_4096_characters(length: int, *, kept: bool) -> None:
    condition = {"type": "A", "status": "True", "message": "x" * (length - 5)}
    annotations = {"fleetscore.dev/positions": "x" * length}
    job = msgspec.convert({"metadata": {"annotations": annotations}, "status": {"conditions": [condition]}}, JobView)
    assert (bool(job.metadata.annotations.positions), bool(job.status.conditions)) == (kept, kept)


@pytest.mark.parametrize(("length", "kept"), [(400, True), (401, False)])
def test_owner_reference_has_at_most_400_characters(length: int, *, kept: bool) -> None:
    owner = {"kind": "ScoringRun", "uid": "run-uid", "name": "x" * (length - 17)}
    job = msgspec.convert({"metadata": {"ownerReferences": [owner]}}, JobView)
    assert bool(job.metadata.owner_references) == kept


def test_first_16_conditions_of_a_job_are_kept() -> None:
    status = msgspec.convert({"conditions": [{"type": "A", "status": "True"}] * 17}, JobStatusView)
    assert len(status.conditions) == 16


HUGE = "x" * 1_000_000


@pytest.mark.fault("T12")
@pytest.mark.parametrize(
    "forged",
    [
        {"metadata": {"ownerReferences": [{**RUN_OWNER, "name": HUGE}]}},
        {"metadata": {"ownerReferences": [{**RUN_OWNER, "uid": HUGE}, OTHER_OWNER]}},
        {"metadata": {"ownerReferences": [{**OTHER_OWNER, "kind": HUGE}]}},
        {"metadata": {"annotations": {"fleetscore.dev/template": HUGE}}},
        {"metadata": {"annotations": {"fleetscore.dev/suspended": HUGE}}},
        {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": HUGE}]}},
        {"status": {"conditions": [{"type": "A", "status": "True", "message": "x" * 4000}] * 250}},
    ],
    ids=["owner name", "owner uid", "owner kind", "template", "suspended", "reason", "conditions"],
)
def test_forged_job_of_a_megabyte_takes_little_memory(forged: dict[str, Any]) -> None:
    assert len(msgspec.json.encode(msgspec.convert(forged, JobView))) < 70_000


def test_pod_is_of_the_job_that_owns_it_and_not_of_the_one_in_its_label() -> None:
    labels = {"batch.kubernetes.io/job-name": "job-1"}
    owned = {"labels": labels, "ownerReferences": [{"kind": "Job", "name": "job-1", "uid": "u"}]}
    forged = [{"labels": labels}, {**owned, "labels": {"batch.kubernetes.io/job-name": "job-2"}}]
    pods = [msgspec.convert({"metadata": metadata}, PodView) for metadata in (owned, *forged)]
    assert [pod.job for pod in pods] == ["job-1", "", ""]


@pytest.mark.parametrize(
    ("job", "finished"),
    [(a_job(), False), (a_job(ready=True), False), (a_job(complete=True), True), (a_job(failed=True), True)],
)
def test_job_is_finished_by_its_conditions(job: JobView, finished: bool) -> None:  # noqa: FBT001  # a table
    assert job.finished is finished


def test_job_is_complete_by_its_condition() -> None:
    assert [job.complete for job in (a_job(), a_job(failed=True), a_job(complete=True))] == [False, False, True]


def test_job_with_foreign_fields_is_not_finished() -> None:
    job = msgspec.json.decode(b'{"finished": true, "complete": true}', type=JobView)
    assert (job.finished, job.complete) == (False, False)


def test_job_with_counters_but_no_condition_is_not_finished() -> None:
    suspended = Condition("Suspended", "True")
    assert not JobView(status=JobStatusView(succeeded=1, conditions=(suspended,))).finished


@pytest.mark.parametrize(
    ("counters", "started"),
    [({}, False), ({"active": 1}, False), ({"ready": 1}, True), ({"succeeded": 1}, True), ({"failed": 1}, True)],
)
def test_pod_of_a_job_has_started_once_it_is_ready_or_ended(counters: dict[str, int], started: bool) -> None:  # noqa: FBT001  # a table
    status = msgspec.convert(counters, JobStatusView)
    assert JobView(status=status).pod_started is started


def test_pod_has_the_state_of_its_scorer_container() -> None:
    ended = a_pod(code=75).scorer.terminated
    assert ended is not None
    assert ended.exit_code == 75
    assert PodView().scorer == ContainerState()


def test_job_of_the_api_server_is_decoded() -> None:
    job = msgspec.json.decode(
        b"""{"metadata": {"name": "a", "labels": {"fleetscore.dev/run": "hourly", "other": "x"}, "generation": 1},
        "spec": {"suspend": true, "parallelism": 1},
        "status": {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "t"}]}}""",
        type=JobView,
    )
    assert (job.name, job.metadata.labels.run, job.spec.suspend) == ("a", "hourly", True)
    assert job.true_condition("Complete") == Condition("Complete", "True", last_transition_time="t")
    assert job.true_condition("Failed") is None
