"""A fake Microsoft Entra tenant for workload identity: its token endpoint and the webhook for pods, on one HTTPS port.

Neither is Azure's program. The webhook adds to a labelled pod the variables and the projected token that
azure-workload-identity adds. With an API server, the endpoint accepts an assertion as Entra does. The cluster's keys
have signed it, for the agreed audience, it has not expired, and its subject has a federated credential. Without an API
server it accepts every assertion. The tokens are for Azurite, which checks their claims and not their signature.

In addition to Azure's webhook, this webhook lets pods trust the test's certificates (REQUESTS_CA_BUNDLE).
"""

import base64
import json
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest

from localcluster.addons.azurite import Azurite, OAuth
from localcluster.kubernetes.api import ApiClient
from tests.testkit.azurite import Storage, new_storage
from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.tls import Tls

AUDIENCE = "api://AzureADTokenExchange"
TOKEN_FOLDER = "/var/run/secrets/azure/tokens"  # where the webhook mounts the token, not a password
TOKEN_FILE = f"{TOKEN_FOLDER}/azure-identity-token"
TRUST = "test-authority"  # ConfigMap with the test's authority under the key ca.crt
TRUST_FOLDER = "/etc/test-authority"

SIGNATURE = "c2lnbmF0dXJlLWNhbmFyeS0wMTIzNDU2Nzg5"
"""The last part of every token: no log line may contain it."""

ASSERTION = "assertion-canary-0123456789"
"""The service account's token of `workload`: no log line may contain it."""


class RejectedError(Exception):
    """A rejection by Entra; the message begins with its code."""


@dataclass
class Entra:
    """A tenant.

    Attributes:
        tenant: The id of the tenant.
        api: The API server of the cluster. The tenant trusts its issuer and keys; the webhook reads its accounts.
        credentials: The federated credentials: client id by subject.
        not_spread: The subjects whose credential is so new that the next request does not find it yet.
        rejections: The codes with which the next requests are rejected.
        exchanges: Subject and client id of each request, and the code of its rejection ('' for a token).
        url: The address of the endpoint while it is served.
    """

    tenant: str
    api: ApiClient | None = None
    credentials: dict[str, str] = field(default_factory=dict)
    not_spread: list[str] = field(default_factory=list)
    rejections: list[str] = field(default_factory=list)
    exchanges: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""

    @property
    def asked(self) -> int:
        """The number of requests for a token."""
        return len(self.exchanges)

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Return the response to a request for a token.

        Raises:
            RejectedError: The request is rejected.
        """
        subject = ""
        try:
            self._reject_if_requested()
            subject = self._check(form, self.api) if self.api else ""
        except RejectedError as refusal:
            if self.api:
                subject = str(jwt.decode(form["client_assertion"], options={"verify_signature": False})["sub"])
            self.exchanges.append((subject, form["client_id"], str(refusal).partition(":")[0]))
            raise
        self.exchanges.append((subject, form["client_id"], ""))
        return {"token_type": "Bearer", "expires_in": 3600, "access_token": token(self.tenant, form["client_id"])}

    def _reject_if_requested(self) -> None:
        if self.rejections:
            raise RejectedError(f"{self.rejections.pop(0)}: No matching federated identity record found.")

    def _check(self, form: Mapping[str, str], api: ApiClient) -> str:
        """Return the subject of a request's assertion."""
        wanted = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "scope": "https://storage.azure.com/.default",
        }
        if {key: form.get(key) for key in wanted} != wanted:
            raise RejectedError("AADSTS900144: the request lacks what a workload identity sends")
        assertion = form["client_assertion"]
        issuer = api.request("GET", "/.well-known/openid-configuration")["issuer"]
        keys = jwt.PyJWKSet.from_dict(api.request("GET", "/openid/v1/jwks"))
        try:
            key = keys[jwt.get_unverified_header(assertion)["kid"]]
            claims = jwt.decode(assertion, key, algorithms=["RS256"], audience=AUDIENCE, issuer=issuer)
        except (jwt.InvalidTokenError, KeyError) as error:
            raise RejectedError(f"AADSTS700211: the assertion is not valid: {error}") from error
        subject = str(claims["sub"])
        if subject in self.not_spread:
            self.not_spread.remove(subject)
            raise RejectedError(f"AADSTS700213: no matching federated identity record found for subject {subject}")
        if self.credentials.get(subject) != form["client_id"]:
            raise RejectedError(f"AADSTS700213: {form['client_id']} has no federated identity record for {subject}")
        return subject

    def review(self, review: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response to an admission review of a pod: its spec with the identity added."""
        request = review["request"]
        spec = self._with_identity(request["namespace"], request["object"]["spec"])
        patch = base64.b64encode(json.dumps([{"op": "replace", "path": "/spec", "value": spec}]).encode()).decode()
        response = {"uid": request["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch}
        return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}

    def _with_identity(self, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
        assert self.api
        account = self.api.request(
            "GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/{spec['serviceAccountName']}"
        )
        annotations = account["metadata"]["annotations"]
        environment = {
            "AZURE_CLIENT_ID": annotations["azure.workload.identity/client-id"],
            "AZURE_TENANT_ID": annotations.get("azure.workload.identity/tenant-id", self.tenant),
            "AZURE_FEDERATED_TOKEN_FILE": TOKEN_FILE,
            "AZURE_AUTHORITY_HOST": f"{self.url}/",
            "REQUESTS_CA_BUNDLE": f"{TRUST_FOLDER}/ca.crt",
        }
        projected = {"path": "azure-identity-token", "audience": AUDIENCE, "expirationSeconds": 3600}
        spec["volumes"] += [
            {"name": "azure-identity-token", "projected": {"sources": [{"serviceAccountToken": projected}]}},
            {"name": TRUST, "configMap": {"name": TRUST}},
        ]
        for container in spec["containers"]:
            container["env"] += [{"name": name, "value": value} for name, value in environment.items()]
            container["volumeMounts"] += [
                {"name": "azure-identity-token", "mountPath": TOKEN_FOLDER, "readOnly": True},
                {"name": TRUST, "mountPath": TRUST_FOLDER, "readOnly": True},
            ]
        return spec

    def webhook(self, namespace: str, authority: Path) -> dict[str, Any]:
        """Return the configuration that azure-workload-identity installs, for one namespace."""
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": f"identity-{namespace}"},
            "webhooks": [
                {
                    "name": "mutation.azure-workload-identity.io",
                    "clientConfig": {
                        "url": f"{self.url}/mutate",
                        "caBundle": base64.b64encode(authority.read_bytes()).decode(),
                    },
                    "objectSelector": {"matchLabels": {"azure.workload.identity/use": "true"}},
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                    "rules": [
                        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
                    ],
                    "failurePolicy": "Fail",
                    "reinvocationPolicy": "IfNeeded",
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }
            ],
        }


def token(tenant: str = "tenant", client: str = "client") -> str:
    """Return a token for a storage account, whose claims Azurite accepts."""
    now = int(time.time())
    claims = {
        "aud": "https://storage.azure.com",
        "iss": f"https://sts.windows.net/{tenant}/",
        "iat": now,
        "nbf": now - 60,
        "exp": now + 3600,
        "appid": client,
    }
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in ({"alg": "x"}, claims))
    return ".".join([*(part.rstrip("=") for part in parts), SIGNATURE])


class _Handler(RequestHandler):
    entra: Entra

    def handle_request(self) -> None:
        body = self.read_body()
        if self.path.partition("?")[0] == "/mutate":
            self.respond_json(200, self.entra.review(json.loads(body)))
        elif self.path == f"/{self.entra.tenant}/oauth2/v2.0/token":
            try:
                self.respond_json(200, self.entra.token(dict(urllib.parse.parse_qsl(body.decode()))))
            except RejectedError as refusal:
                self.respond_json(401, {"error": "invalid_client", "error_description": str(refusal)})
        else:
            self.respond_json(404, {})


@contextmanager
def serving(entra: Entra, host: str, tls: Tls) -> Iterator[Entra]:
    """Serve a tenant at a free port of an address, and set its `url`."""
    with serve(_Handler, host=host, tls=tls, entra=entra) as entra.url:
        yield entra


@dataclass(frozen=True)
class Workload:
    """Fresh containers on an Azurite that requires tokens, and the tenant that issues them."""

    storage: Storage
    platform: Entra


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Azurite, Entra, Tls]]:
    """Run an Azurite that requires tokens, and a tenant."""
    folder = tmp_path_factory.mktemp("identity")
    tls = Tls.create(folder, "127.0.0.1")
    with (
        Azurite.start(folder / "store", containers=(), oauth=OAuth(tls.certificate, tls.key)) as azurite,
        serving(Entra("tenant"), "127.0.0.1", tls) as entra,
    ):
        yield azurite, entra, tls


@pytest.fixture
def workload(tokens: tuple[Azurite, Entra, Tls], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workload]:
    """Set the environment of a pod with workload identity."""
    azurite, entra, tls = tokens
    entra.rejections.clear()
    entra.exchanges.clear()
    (tmp_path / "federated-token").write_text(ASSERTION)
    for name, value in {
        "FLEETSCORE_AUTH": "workloadIdentity",
        "AZURE_AUTHORITY_HOST": entra.url,
        "AZURE_TENANT_ID": entra.tenant,
        "AZURE_CLIENT_ID": "client",
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "federated-token"),
        "REQUESTS_CA_BUNDLE": str(tls.authority),
    }.items():
        monkeypatch.setenv(name, value)
    storage = new_storage(azurite)
    yield Workload(storage, entra)
    storage.client.close()
