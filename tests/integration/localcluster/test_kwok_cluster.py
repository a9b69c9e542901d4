import json

from localcluster.cluster import Cluster
from localcluster.nodes import stages
from tests.testkit.cluster import ALL_SCORED


def a_job(name: str, *arguments: str) -> str:
    return json.dumps(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "spec": {
                        "restartPolicy": "Never",
                        "containers": [{"name": "scorer", "image": "scorer", "args": list(arguments)}],
                    }
                },
            },
        }
    )


def message_of(cluster: Cluster, namespace: str, job: str) -> str:
    path = "jsonpath={.items[0].status.containerStatuses[0].state.terminated.message}"
    return cluster.kubectl("-n", namespace, "get", "pods", "-l", f"job-name={job}", "-o", path)


def test_job_completes_on_simulated_nodes(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=a_job("plain", "score"))
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Complete", "job/plain", "--timeout=180s")


def test_stage_sets_exit_code_and_message_of_selected_pods(cluster: Cluster, namespace: str) -> None:
    cluster.add_stage(stages.finish_pods("press-7", arguments=["press-7"], exit_code=65, message='{"no": "model"}'))
    try:
        cluster.kubectl("-n", namespace, "apply", "-f", "-", input=a_job("seven", "score", "--", "press-7"))
        cluster.kubectl("-n", namespace, "wait", "--for=condition=Failed", "job/seven", "--timeout=180s")
        assert message_of(cluster, namespace, "seven") == '{"no": "model"}'
    finally:
        cluster.remove_stage("press-7")


def test_message_template_reads_the_operands(cluster: Cluster, namespace: str) -> None:
    cluster.add_stage(stages.finish_pods("scored", arguments=["packed"], message_template=ALL_SCORED))
    try:
        cluster.kubectl("-n", namespace, "apply", "-f", "-", input=a_job("three", "packed", "--", "a", "b", "c"))
        cluster.kubectl("-n", namespace, "wait", "--for=condition=Complete", "job/three", "--timeout=180s")
        assert '"devices":3,"outcomes":{"scored":"0-2"}' in message_of(cluster, namespace, "three")
    finally:
        cluster.remove_stage("scored")
