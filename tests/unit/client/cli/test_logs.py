"""The command `logs` on a fake API server; a real one has no log of a simulated pod."""

import json
from typing import Any

import pytest

from fleetscore.cli import main
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease

POD = f"/api/v1/namespaces/{fake.NAMESPACE}/pods"
TIME = "2026-01-05T00:00:00Z"


def a_run(name: str, hour: int, **status: Any) -> dict[str, Any]:
    window = {"start": f"2026-01-05T{hour:02}:00:00Z", "end": f"2026-01-05T{hour + 1:02}:00:00Z"}
    metadata = {"name": name, "namespace": fake.NAMESPACE, "uid": f"uid-{name}"}
    return {
        "metadata": {**metadata, "creationTimestamp": f"2026-01-05T{hour:02}:00:00Z"},
        "spec": {"window": window},
        "status": status,
    }


@pytest.fixture
def release(fake_release: FakeRelease) -> FakeRelease:
    """Return a release with two runs; the pod of the packed Job of the first one has a log."""
    labels = {"fleetscore.dev/run-uid": "uid-first", "app.kubernetes.io/component": "scorer"}
    container = {"name": "scorer", "args": ["score", "--", "press-1", "press-2"]}
    metadata = {"namespace": fake.NAMESPACE, "creationTimestamp": TIME}
    job = {"metadata": {"name": "job-a", "labels": labels, **metadata}}
    pod = {"metadata": {"name": "pod-a", "labels": {"batch.kubernetes.io/job-name": "job-a"}, **metadata}}
    runs = [a_run("first", 1), a_run("second", 2)]
    lines = [{"message": "device", "device": f"press-{n}"} for n in (1, 2)]
    fake_release.lists |= {
        fake.RUNS: runs,
        "/apis/batch/v1/jobs": [{**job, "spec": {"template": {"spec": {"containers": [container]}}}}],
        POD: [pod],
    }
    fake_release.objects |= {f"{fake.RUNS}/{run['metadata']['name']}": run for run in runs}
    fake_release.texts[f"{POD}/pod-a/log"] = "\n".join([*map(json.dumps, lines), "\x1b[31mred"])
    return fake_release


@pytest.mark.usefixtures("release")
def test_log_has_the_lines_of_the_device_and_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "press-2", "--run", "first"]) == 0
    assert capsys.readouterr().out.splitlines() == ['{"message": "device", "device": "press-2"}', "\\u001b[31mred"]
    assert main(["logs", "press-2", "--window", "2026-01-05T01:00Z", "--all", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["run"], found["pod"], len(found["lines"])) == ("first", "pod-a", 3)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["press-9", "--run", "first"], "run first has no Job of device press-9: it may not be created yet"),
        (["press-1"], "run second has no Job of device press-1"),
        (["press-1", "--window", "2026-01-05T09:00Z"], "has no run of fleet default for 2026-01-05T09:00Z/1h"),
        (["press-1", "--run", "third"], "cannot get run third: it does not exist"),
    ],
    ids=["device", "newest-run", "window", "run"],
)
@pytest.mark.usefixtures("release")
def test_missing_log_has_a_reason(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", *words]) == 1
    assert text in capsys.readouterr().err


def test_deleted_job_and_pod_have_a_reason(release: FakeRelease, capsys: pytest.CaptureFixture[str]) -> None:
    release.lists[POD] = []
    assert main(["logs", "press-1", "--run", "first"]) == 1
    assert "Job job-a of device press-1 has no pod" in capsys.readouterr().err
    release.lists["/apis/batch/v1/jobs"] = []
    release.objects[f"{fake.RUNS}/first"]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert main(["logs", "press-1", "--run", "first"]) == 1
    assert "a minute after its end, its Jobs are deleted" in capsys.readouterr().err


def test_missing_right_to_read_logs_is_named(release: FakeRelease, capsys: pytest.CaptureFixture[str]) -> None:
    release.forbidden.add(f"{POD}/pod-a/log")
    assert main(["logs", "press-1", "--run", "first"]) == 1
    assert "does not allow this user to get the log of pod pod-a; ask for a Role" in capsys.readouterr().err
