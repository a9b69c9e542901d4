"""T13: the operator, as a process at its most talkative, lets no secret out."""

import json
from pathlib import Path

import pytest

from localcluster.cluster import Cluster
from localcluster.nodes import stages
from tests.testkit.azurite import Storage
from tests.testkit.cluster import ALL_SCORED
from tests.testkit.operator_process import DATA, an_operator_environment, operator
from tests.testkit.waiting import until

pytestmark = pytest.mark.usefixtures("helm")


@pytest.mark.fault("T13", "T14")
def test_operator_writes_no_secret_to_logs_or_objects(
    cluster: Cluster, namespace: str, tmp_path: Path, storage: Storage
) -> None:
    storage.put("models", "press-1.joblib", b"x")
    storage.put("data", f"{DATA}/press-1.csv", b"x")
    release = an_operator_environment(cluster, namespace, tmp_path / "release", storage)
    release.log_level = "DEBUG"
    chooser = {"app.kubernetes.io/component": "scorer"}
    cluster.add_stage(stages.finish_pods("scorers", labels=chooser, after_seconds=1, message_template=ALL_SCORED))
    with operator(release) as running:
        release.run("good")
        until(lambda: release.get("good").get("status", {}).get("phase") == "Complete", "the run's end")
        wrong = storage.connection_string.replace(storage.azurite.key, "QUFB" + storage.azurite.key[4:])
        (release.folder / "secrets" / "default" / "connectionString").write_text(wrong)
        release.run("refused", window={"start": "2018-08-28T22:00:00Z", "end": "2018-08-28T23:00:00Z"})
        until(lambda: "IdentityUnavailable" in json.dumps(release.get("refused")), "storage rejects the key")
        metrics = running.probe("/metrics")[1]
    kinds = "scoringruns,jobs,pods,events,configmaps"
    written = cluster.kubectl("-n", namespace, "get", kinds, "-o", "json")
    logged = running.log.read_text()
    assert "storage is used with a changed Secret" in logged
    for text in (logged, written, metrics):
        assert storage.azurite.key[4:] not in text
    assert "press-1" not in metrics
