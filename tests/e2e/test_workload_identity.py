"""Workload identity with real containers: no pod holds a secret; its projected token buys it one for storage."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster.addons.azurite import Azurite, OAuth
from localcluster.cluster import Cluster
from scoring_operator.contract.command import RUN_FOLDER
from tests.testkit.azurite import new_storage
from tests.testkit.entra import AUDIENCE, TOKEN_FOLDER, TRUST, TRUST_FOLDER, Entra, serving
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.release import Release, scored_locally
from tests.testkit.tls import Tls
from tests.testkit.waiting import until

TENANT = "11111111-1111-4111-8111-111111111111"
OPERATOR, SCORER = "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"
IDENTITY = {"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST"}
FLEET = {
    "FLEETSCORE_ACCOUNT_URL", "FLEETSCORE_AUTH", "FLEETSCORE_MODELS_CONTAINER", "FLEETSCORE_DATA_CONTAINER",
    "FLEETSCORE_PREDICTIONS_CONTAINER", "FLEETSCORE_DATA_PATH", "FLEETSCORE_DATA_PARTITION", "FLEETSCORE_MODELS_PATH",
    "FLEETSCORE_MODELS_TRUST", "FLEETSCORE_PREDICTIONS_PATH", "FLEETSCORE_ALLOW_OVERWRITE",
    "FLEETSCORE_ANOMALOUS_SHARE", "FLEETSCORE_ANOMALOUS_MIN_ROWS",
}  # fmt: skip


@pytest.fixture(scope="module")
def tls(container_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls.create(tmp_path_factory.mktemp("authority"), container_cluster.host_address)


@pytest.fixture
def secure(loaded_cluster: Cluster, tls: Tls, tmp_path: Path) -> Iterator[Release]:
    """Return a release whose storage requires TLS and tokens."""
    oauth = OAuth(tls.certificate, tls.key)
    host = loaded_cluster.host_address
    with Azurite.start(tmp_path / "store", host=host, oauth=oauth, containers=()) as azurite:
        made = Release(loaded_cluster, new_storage(azurite), "e2e-identity")
        made.make_namespace()
        yield made
        made.storage.client.close()
        made.uninstall()


@pytest.fixture
def entra(secure: Release, tls: Tls) -> Iterator[Entra]:
    """Serve a tenant with the two accounts of the release; the scorer's credential is not replicated everywhere yet."""
    accounts = {"fleetscore-operator": OPERATOR, "fleetscore-scorer": SCORER}
    credentials = {f"system:serviceaccount:{secure.namespace}:{name}": client for name, client in accounts.items()}
    tenant = Entra(TENANT, secure.cluster.api, credentials, not_spread=[list(credentials)[1]])
    with serving(tenant, secure.cluster.host_address, tls):
        webhook = tenant.webhook(secure.namespace, tls.authority)
        secure.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": TRUST}, "data": {
            "ca.crt": tls.authority.read_text()
        }})  # fmt: skip
        secure.apply(webhook)
        yield tenant
        secure.cluster.kubectl("delete", "mutatingwebhookconfiguration", webhook["metadata"]["name"])


def pods_of(release: Release, component: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = release.get("pods", "-l", f"app.kubernetes.io/component={component}")["items"]
    return found


@pytest.mark.fault("T4", "T6", "F30")
def test_pods_reach_storage_by_their_projected_token_alone(
    secure: Release, entra: Entra, fleet_of: Callable[[int], Path], record_measurement: RecordMeasurement
) -> None:
    store = fleet_of(4)
    secure.upload(store)
    secure.fleets = [secure.fleet(auth="workloadIdentity")]
    secure.helm_upgrade(
        azure={"workloadIdentity": {"clientId": OPERATOR, "tenantId": TENANT}},
        scorer={"serviceAccount": {"annotations": {"azure.workload.identity/client-id": SCORER}}},
    )
    secure.start_run("identity")
    secure.wait_for_end("identity")
    # The operator deletes the Jobs from a minute after the end on.
    scorers = pods_of(secure, "scorer")
    reports = until(lambda: pods_of(secure, "report"), "the pod of the report")
    assert secure.devices("identity") == {"total": 4, "scored": 4}
    assert secure.predictions() == scored_locally(store, [f"press-{number}" for number in range(1, 5)])
    secure.kubectl("wait", "scoringrun/identity", "--for=condition=Reported", "--timeout=300s")
    assert "_SUCCESS" in secure.report()

    # Each account got tokens as its own client and no other; what one endpoint did not know yet cost no pod.
    clients = {subject.rpartition(":")[2]: client for subject, client, _ in entra.exchanges}
    assert clients == {"fleetscore-operator": OPERATOR, "fleetscore-scorer": SCORER}
    assert [code for *_, code in entra.exchanges if code] == ["AADSTS700213"]
    # The report has ended before the controller counts its pod.
    until(lambda: all(job["status"].get("succeeded") == 1 for job in secure.get("jobs")["items"]), "complete Jobs")
    assert not any(job["status"].get("failed") for job in secure.get("jobs")["items"])

    assert (len(scorers), len(reports)) == (4, 1)
    for pod in scorers + reports:
        (container,) = pod["spec"]["containers"]
        own_variables = {"FLEETSCORE_INCIDENTS"} if pod in reports else set()
        expected = FLEET | IDENTITY | {"REQUESTS_CA_BUNDLE"} | own_variables
        assert {variable["name"] for variable in container["env"]} == expected
        assert all(variable.keys() == {"name", "value"} for variable in container["env"])
        assert "envFrom" not in container
        own = {"report": {RUN_FOLDER}, "scorer": set()}[pod["metadata"]["labels"]["app.kubernetes.io/component"]]
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts == {"/tmp", TOKEN_FOLDER, TRUST_FOLDER} | own  # noqa: S108  # the pod's own emptyDir
        (token,) = [
            source["serviceAccountToken"]
            for volume in pod["spec"]["volumes"]
            for source in volume.get("projected", {}).get("sources", [])
            if "serviceAccountToken" in source
        ]
        assert token["audience"] == AUDIENCE  # so the API server does not accept it
        assert not [volume for volume in pod["spec"]["volumes"] if "secret" in volume]
    types = [secret["type"] for secret in secure.get("secrets")["items"]]
    assert set(types) == {"helm.sh/release.v1"}
    given = sum(not code for *_, code in entra.exchanges)
    record_measurement(f"{given} tokens given for 5 pods and the operator, one AADSTS700213 outlived, 0 pods failed")


@pytest.mark.fault("T4")
def test_azure_token_grants_no_access_to_the_cluster(release: Release) -> None:
    release.make_namespace()
    release.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "scorer"}})
    command = ["create", "token", "scorer"]
    reviewed = [review(release, release.kubectl(*command, *more).strip()) for more in ([], [f"--audience={AUDIENCE}"])]
    assert [status.get("authenticated", False) for status in reviewed] == [True, False]


def review(release: Release, token: str) -> dict[str, Any]:
    """Return the API server's review of a token."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    return dict(release.cluster.api.request("POST", path, body)["status"])
