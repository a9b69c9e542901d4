"""The Job, the pod and the log lines of a device."""

import json
from typing import Any

import pytest

from fleetscore.runs.jobs import device_label, devices_of, job_of, lines_of, newest_pod
from scoring_operator.api import names


def a_job(name: str, *devices: str, round_: str = "0", created: str = "2026-01-05T00:00:00Z") -> dict[str, Any]:
    container = {"name": "scorer", "args": ["score", "--run-uid", "u", "--", *devices]}
    return {
        "metadata": {"name": name, "labels": {"fleetscore.dev/round": round_}, "creationTimestamp": created},
        "spec": {"template": {"spec": {"containers": [{"name": "sidecar"}, container]}}},
    }


@pytest.mark.parametrize("device", ["press-7", "hall 3/7", "-x", "ü", "x" * 64, "a", "7."])
def test_label_of_a_device_is_that_of_the_operator(device: str) -> None:
    assert device_label(device) == names.device_label(device)


def test_devices_of_a_job_are_its_arguments_as_the_kubelet_passes_them() -> None:
    assert devices_of(a_job("a", "press-1", "$$(NAME)", "--")) == ["press-1", "$(NAME)", "--"]
    without = a_job("a")
    without["spec"]["template"]["spec"]["containers"][1]["args"] = ["report"]
    assert devices_of(without) == []


def test_job_of_a_device_is_that_of_the_last_round() -> None:
    jobs = [
        a_job("first", "press-1", "press-2"),
        a_job("half", "press-2", round_="10"),
        a_job("retry", "press-2", round_="2"),
        a_job("other", "press-1"),
    ]
    found = job_of(jobs, "press-2")
    assert found is not None
    assert found["metadata"]["name"] == "half"
    assert job_of(jobs, "press") is None


def test_newest_pod_is_the_one_that_was_created_last() -> None:
    pods = [{"metadata": {"name": one, "creationTimestamp": f"2026-01-05T00:0{one}:00Z"}} for one in "132"]
    found = newest_pod(pods)
    assert found is not None
    assert found["metadata"]["name"] == "3"
    assert newest_pod([]) is None


def test_lines_of_a_device_are_its_own_and_those_of_no_device() -> None:
    lines = [
        json.dumps({"message": "device", "device": "press-1"}),
        json.dumps({"message": "device", "device": "press-2"}),
        json.dumps({"message": "stopped"}),
        "a line of a library",
        "[1]",
        "[" * 100_000,
    ]
    assert list(lines_of("\n".join(lines), "press-2")) == lines[1:]
