"""The objects of Kueue; tests/deploy/test_kueue.py runs it."""

from pathlib import Path
from typing import Any

from localcluster.addons import kueue
from tests.unit.localcluster.addons.fake_cluster import FakeCluster


def a_workload(job: str, **conditions: str) -> dict[str, Any]:
    status = {"conditions": [{"type": name, "status": status} for name, status in conditions.items()]}
    return {"metadata": {"ownerReferences": [{"name": job}]}, **({"status": status} if conditions else {})}


def test_queue_of_a_namespace_has_a_quota_of_cpu_and_hardly_any_of_memory(tmp_path: Path) -> None:
    fake = FakeCluster(tmp_path, "none")
    kueue.create_queue(fake.cluster, "small", "scoring", cpu="4")
    shared = fake.created["/apis/kueue.x-k8s.io/v1beta2/clusterqueues"]
    local = fake.created["/apis/kueue.x-k8s.io/v1beta2/namespaces/scoring/localqueues"]
    (group,) = shared["spec"]["resourceGroups"]
    quotas = {one["name"]: one["nominalQuota"] for one in group["flavors"][0]["resources"]}
    assert quotas == {"cpu": "4", "memory": "1Ti"}
    assert local["metadata"]["name"] == "small"
    assert local["spec"]["clusterQueue"] == shared["metadata"]["name"] == "scoring-small"


def test_admitted_jobs_are_those_that_are_neither_waiting_evicted_nor_finished(tmp_path: Path) -> None:
    workloads = [
        a_workload("admitted", Admitted="True"),
        a_workload("new"),
        a_workload("waiting", QuotaReserved="False"),
        a_workload("evicted", Admitted="False", Evicted="True"),
        a_workload("finished", Admitted="True", Finished="True"),
    ]
    fake = FakeCluster(tmp_path, "none", workloads={"items": workloads})
    assert kueue.admitted_jobs(fake.cluster, "scoring") == ["admitted"]
    assert fake.requests == [("GET", "/apis/kueue.x-k8s.io/v1beta2/namespaces/scoring/workloads")]


def test_configuration_opens_no_port_that_another_cluster_may_use(tmp_path: Path) -> None:
    config = kueue._configuration(tmp_path)
    assert config["health"]["healthProbeBindAddress"].endswith(":0")
    assert (config["metrics"]["bindAddress"], config["webhook"]["port"]) == ("0", 0)
    assert config["integrations"]["frameworks"] == ["batch/job"]
    assert {path.name for path in Path(config["webhook"]["certDir"]).iterdir()} == {"tls.key", "tls.crt"}
