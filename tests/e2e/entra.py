"""What Azure does for workload identity, written out: its webhook for pods, and its token endpoint, on one HTTPS port.

Neither is Azure's own program. The webhook adds to a labelled pod the variables and the projected token that
azure-workload-identity adds. The endpoint believes an assertion as Entra ID does: signed by the cluster's keys, for the
agreed audience, not run out, and its subject one of the federated credentials. Tokens that it gives are for Azurite,
which checks their claims and not their signature.

Beyond Azure's, the webhook lets pods trust the test's certificates (REQUESTS_CA_BUNDLE); Azure's are publicly trusted.
"""

import base64
import json
import secrets
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt

from localcluster.api import Api

AUDIENCE = "api://AzureADTokenExchange"
TOKEN_FOLDER = "/var/run/secrets/azure/tokens"  # where the webhook mounts the token, no password
TOKEN_FILE = f"{TOKEN_FOLDER}/azure-identity-token"
TRUST = "test-authority"  # ConfigMap with the test's authority under the key ca.crt
TRUST_FOLDER = "/etc/test-authority"


class RefusedError(Exception):
    """Entra's refusal; the message begins with its code."""


@dataclass
class Entra:
    """A tenant.

    Attributes:
        api: the cluster's API server, whose issuer and keys the tenant trusts, and whose accounts the webhook reads.
        tenant: its id.
        credentials: the federated credentials: client id by subject.
        not_spread: subjects whose credential is so new that the next request does not find it yet.
        exchanges: subject and client id of each request, and the code of its refusal ('' where a token was given).
    """

    api: Api
    tenant: str
    credentials: dict[str, str]
    not_spread: list[str] = field(default_factory=list)
    exchanges: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer a request for a token.

        Raises:
            RefusedError: the assertion is not believed.
        """
        subject = ""
        try:
            subject = self._believe(form)
        except RefusedError as refusal:
            subject = subject or str(jwt.decode(form["client_assertion"], options={"verify_signature": False})["sub"])
            self.exchanges.append((subject, form["client_id"], str(refusal).partition(":")[0]))
            raise
        self.exchanges.append((subject, form["client_id"], ""))
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com",
            "iss": f"https://sts.windows.net/{self.tenant}/",
            "iat": now,
            "nbf": now - 60,
            "exp": now + 3600,
            "appid": form["client_id"],
        }
        token = jwt.encode(claims, secrets.token_bytes(32), algorithm="HS256")
        return {"token_type": "Bearer", "expires_in": 3600, "access_token": token}

    def _believe(self, form: Mapping[str, str]) -> str:
        """The subject of a request's assertion."""
        wanted = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "scope": "https://storage.azure.com/.default",
        }
        if {key: form.get(key) for key in wanted} != wanted:
            raise RefusedError("AADSTS900144: the request lacks what a workload identity sends")
        assertion = form["client_assertion"]
        issuer = self.api.request("GET", "/.well-known/openid-configuration")["issuer"]
        keys = jwt.PyJWKSet.from_dict(self.api.request("GET", "/openid/v1/jwks"))
        try:
            key = keys[jwt.get_unverified_header(assertion)["kid"]]
            claims = jwt.decode(assertion, key, algorithms=["RS256"], audience=AUDIENCE, issuer=issuer)
        except (jwt.InvalidTokenError, KeyError) as error:
            raise RefusedError(f"AADSTS700211: the assertion is not believed: {error}") from error
        subject = str(claims["sub"])
        if subject in self.not_spread:
            self.not_spread.remove(subject)
            raise RefusedError(f"AADSTS700213: no matching federated identity record found for subject {subject}")
        if self.credentials.get(subject) != form["client_id"]:
            raise RefusedError(f"AADSTS700213: {form['client_id']} has no federated identity record for {subject}")
        return subject

    def review(self, review: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the API server's question about a pod: its spec with the identity added."""
        request = review["request"]
        spec = self._with_identity(request["namespace"], request["object"]["spec"])
        patch = base64.b64encode(json.dumps([{"op": "replace", "path": "/spec", "value": spec}]).encode()).decode()
        response = {"uid": request["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch}
        return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}

    def _with_identity(self, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
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
        token = {"path": "azure-identity-token", "audience": AUDIENCE, "expirationSeconds": 3600}
        spec["volumes"] += [
            {"name": "azure-identity-token", "projected": {"sources": [{"serviceAccountToken": token}]}},
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
        """The configuration that azure-workload-identity installs, for one namespace."""
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


@contextmanager
def serving(entra: Entra, host: str, certificate: Path, key: Path) -> Iterator[Entra]:
    """Serve a tenant at a free port of an address; its `url` is set."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = 200, {}
            if self.path.partition("?")[0] == "/mutate":
                answer = entra.review(json.loads(body))
            elif self.path == f"/{entra.tenant}/oauth2/v2.0/token":
                try:
                    answer = entra.token(dict(urllib.parse.parse_qsl(body.decode())))
                except RefusedError as refusal:
                    status, answer = 401, {"error": "invalid_client", "error_description": str(refusal)}
            else:
                status = 404
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # Handshakes belong into the threads of the requests: one that is broken off must not end the server.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    entra.url = f"https://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield entra
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
