"""Drains are never blocked: by a budget, on a real API server with its disruption controller."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import yaml

from localcluster.cluster import Cluster
from localcluster.kubernetes.api import ApiError
from tests.testkit.chart import find, render
from tests.testkit.conditions import is_true
from tests.testkit.waiting import until

OPERATORS = "app.kubernetes.io/component=operator"


def pods(cluster: Cluster, namespace: str) -> Mapping[str, bool]:
    """Return the operator's pods that are not ending, and which of them are ready."""
    listed = json.loads(cluster.kubectl("-n", namespace, "get", "pods", "-l", OPERATORS, "-o", "json"))["items"]
    return {
        pod["metadata"]["name"]: is_true(pod["status"], "Ready")
        for pod in listed
        if "deletionTimestamp" not in pod["metadata"]
    }


def evicted(cluster: Cluster, namespace: str, pod: str) -> bool:
    """Ask for a pod's eviction, as `kubectl drain` does; False: not now, by a budget."""
    body: dict[str, Any] = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace},
    }
    try:
        cluster.api.create(f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", body)
    except ApiError as error:
        if error.status != 429:
            raise
        return False
    return True


@pytest.mark.value("operator.podDisruptionBudget.enabled")
@pytest.mark.parametrize("replicas", [1, 2])
def test_drain_evicts_the_operators_one_at_a_time(cluster: Cluster, namespace: str, replicas: int) -> None:
    manifests = render({"operator": {"replicas": replicas}}, namespace=namespace)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "fleetscore-operator"}}
    parts = [find(manifests, "Deployment"), *(m for m in manifests if m["kind"] == "PodDisruptionBudget")]
    assert len(parts) == replicas
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=yaml.safe_dump_all([account, *parts]))
    until(lambda: list(pods(cluster, namespace).values()) == [True] * replicas, description="ready operators")
    first = list(pods(cluster, namespace))
    for pod in first:
        until(partial(evicted, cluster, namespace, pod), description=f"eviction of {pod}")
    until(
        lambda: list(pods(cluster, namespace).values()) == [True] * replicas,
        description="others in their place",
    )
    assert not set(first) & pods(cluster, namespace).keys()
