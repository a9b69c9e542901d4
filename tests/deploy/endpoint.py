"""A fake of Azure's public endpoints on this machine: it records the requests of az, and responds as Azure would.

It is the resource manager (what was PUT is there; everything else is not), Microsoft Entra (hands out unsigned tokens
without a check) and the little of Microsoft Graph and of a registry's login that the scripts need. It proves which
requests the scripts make, and that they can live with the answers' shapes; not what Azure would think of them.
"""

import base64
import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.tls import Tls

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
TENANT = "99999999-8888-7777-6666-555555555555"
USER = "77777777-0000-0000-0000-000000000001"  # the object id of the signed-in user
CLIENT = "77777777-0000-0000-0000-000000000002"
ISSUER = "https://oidc.example.invalid/cluster/"
# Ids of Azure's built-in roles, the same everywhere.
ROLES = {
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
}


@dataclass(frozen=True)
class Request:
    """A request: the path as it came, without its query."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    body: Any

    def is_change(self) -> bool:
        """Return True for a request that changes something in the resource manager."""
        return self.method in ("PUT", "PATCH", "DELETE") and self.path.startswith("/subscriptions/")


@dataclass
class Azure:
    """The running endpoint; as a context manager it is stopped at the end."""

    folder: Path
    host: str = "localhost"
    blob_url: str = "https://account.blob.example.invalid/"
    kubeconfig: str = "{}"
    issuer: str = ISSUER  # of the cluster's service account tokens
    credentials: dict[str, str] = field(default_factory=dict)  # federated: client id by subject
    requests: list[Request] = field(default_factory=list)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)  # by path in lower case
    broken: str = ""  # requests whose path contains this are rejected

    def __enter__(self) -> Self:
        tls = Tls.create(self.folder, self.host, "localhost")
        self.ca = tls.authority
        self._server = serve(_Handler, host=self.host, tls=tls, azure=self)
        self.url = self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    @property
    def address(self) -> str:
        """Host and port."""
        return self.url.removeprefix("https://")

    def changes(self) -> list[Request]:
        return [request for request in self.requests if request.is_change()]

    def put(self, ending: str) -> Any:
        """Return the body of the one PUT whose path has this ending."""
        (body,) = [
            one.body for one in self.requests if one.method == "PUT" and one.path.lower().endswith(ending.lower())
        ]
        return body

    def answer(self, request: Request) -> tuple[int, Any]:
        """Status and JSON body for a request."""
        path = request.path.lower()
        if self.broken and self.broken.lower() in path:
            return 503, {
                "error": {"code": "ServiceUnavailable", "message": "this endpoint rejects this request in a test"}
            }
        if path.startswith(("/subscriptions/", "/providers/")):
            return self._manage(request, path)
        if path.endswith("/v2.0/token"):
            return 200, self._token(request)
        return self._elsewhere(path)

    def _elsewhere(self, path: str) -> tuple[int, Any]:
        """Discovery, Entra, Graph and the registry's login."""
        account = {"subscriptionId": SUBSCRIPTION, "id": f"/subscriptions/{SUBSCRIPTION}", "tenantId": TENANT}
        answers: dict[str, Any] = {
            "/metadata/endpoints": self._cloud(),
            "/subscriptions": {"value": [{**account, "displayName": "recorded", "state": "Enabled"}]},
            "/tenants": {"value": [{"tenantId": TENANT, "id": f"/tenants/{TENANT}"}]},
            f"/v1.0/serviceprincipals/{USER}": {"id": USER, "appId": CLIENT},
            "/v1.0/serviceprincipals": {"value": [{"id": USER, "appId": CLIENT}]},
            "/oauth2/exchange": {"refresh_token": unsigned({"exp": int(time.time()) + 3600})},
        }
        if path.endswith("/.well-known/openid-configuration"):
            login = f"{self.url}/{TENANT}"
            return 200, {
                "token_endpoint": f"{login}/oauth2/v2.0/token",
                "authorization_endpoint": f"{login}/oauth2/v2.0/authorize",
                "issuer": f"{login}/v2.0",
            }
        return (200, answers[path]) if path in answers else (404, _not_found(path))

    def _cloud(self) -> dict[str, Any]:
        """Return the only cloud, in the format that az reads."""
        return {
            "name": "recorded",
            "portal": self.url,
            "resourceManager": self.url,
            "graph": self.url,
            "microsoftGraphResourceId": self.url,
            "graphAudience": self.url,
            "gallery": self.url,
            "batch": self.url,
            "authentication": {
                "loginEndpoint": self.url,
                "audiences": [self.url],
                "tenant": TENANT,
                "identityProvider": "AAD",
            },
            "suffixes": {"storage": "core.example.invalid", "acrLoginServer": self.address, "keyVaultDns": "x.invalid"},
        }

    def _token(self, request: Request) -> dict[str, Any]:
        """Return a token, without a check of the request."""
        asked = {key: values[0] for key, values in parse_qs(request.body).items()}
        now = int(time.time())
        claims = {
            "aud": asked.get("scope", "").partition(" ")[0].removesuffix("/.default").rstrip("/"),
            "iss": f"https://sts.windows.net/{TENANT}/",
            "iat": now - 60,
            "nbf": now - 60,
            "exp": now + 3600,
            "tid": TENANT,
            "oid": USER,
            "appid": asked.get("client_id", CLIENT),
        }
        return {"token_type": "Bearer", "expires_in": 3600, "access_token": unsigned(claims)}

    def _manage(self, request: Request, path: str) -> tuple[int, Any]:
        if request.method in ("PUT", "PATCH"):
            self.resources[path] = self._resource(request, path)
            identity, is_credential, _ = path.partition("/federatedidentitycredentials/")
            if is_credential:
                client = self.resources[identity]["properties"]["clientId"]
                self.credentials[self.resources[path]["properties"]["subject"]] = client
            # 200 is what az takes for every kind but this one.
            return (201 if "/roleassignments/" in path else 200), self.resources[path]
        if request.method == "DELETE":
            self.resources = {
                key: value for key, value in self.resources.items() if not f"{key}/".startswith(f"{path}/")
            }
            return 200, {}
        if request.method == "POST":
            return 200, self._action(path)
        if request.method == "HEAD":
            return (204 if path in self.resources else 404), None
        if path in self.resources:
            return 200, self.resources[path]
        return self._listing(request, path)

    def _action(self, path: str) -> dict[str, Any]:
        if path.endswith("credential"):  # listClusterUserCredential
            encoded = base64.b64encode(self.kubeconfig.encode()).decode()
            return {"kubeconfigs": [{"name": "clusterUser", "value": encoded}]}
        return {"nameAvailable": True}

    def _listing(self, request: Request, path: str) -> tuple[int, Any]:
        if path.endswith("/roledefinitions"):
            asked = request.query.get("$filter", [""])[0]
            found = [name for name in ROLES if f"'{name}'" in asked]
            prefix = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/"
            return 200, {"value": [{"id": prefix + ROLES[name], "properties": {"roleName": name}} for name in found]}
        within, _, kind = path.rpartition("/")
        if kind == "resources":
            asked = request.query.get("$filter", [""])[0].lower()
            wanted = dict(re.findall(r"(\w+) eq '([^']*)'", asked))
            group, kind = wanted.get("resourcegroup", ""), wanted.get("resourcetype", "")
            held = [
                one
                for key, one in self.resources.items()
                if key.startswith(f"{within}/") and key.count("/") == 8  # a resource of a group, not a part of one
                if f"/resourcegroups/{group}" in key and kind in ("", one["type"].lower())
            ]
            return 200, {"value": held}
        if kind in ("agentpools", "registries", "storageaccounts"):
            return 200, {"value": [one for key, one in self.resources.items() if f"/{kind}/" in key]}
        if path.count("/") == 4 and "/providers/" in path:
            return 200, {"namespace": kind, "registrationState": "Registered", "resourceTypes": []}
        return 404, _not_found(request.path)

    def _resource(self, request: Request, path: str) -> dict[str, Any]:
        """Return the requested resource with the fields that Azure adds."""
        body = request.body if isinstance(request.body, dict) else {}
        parts = request.path.strip("/").split("/")
        kinds = parts[parts.index("providers") + 1 :] if "providers" in parts else ["", "resourceGroups", parts[-1]]
        added = self._added("/".join([kinds[0], *kinds[1::2]]).lower(), path)
        properties = {**(body.get("properties") or {}), "provisioningState": "Succeeded", **added}
        identity = {"type": "/".join([kinds[0] or "Microsoft.Resources", *kinds[1::2]]), "name": parts[-1]}
        return {"location": "westeurope", **body, **identity, "id": request.path, "properties": properties}

    def _added(self, kind: str, path: str) -> dict[str, Any]:
        if kind == "microsoft.managedidentity/userassignedidentities":
            return {"principalId": an_id(path, "principal"), "clientId": an_id(path, "client"), "tenantId": TENANT}
        if kind == "microsoft.containerservice/managedclusters":
            return {
                "oidcIssuerProfile": {"enabled": True, "issuerURL": self.issuer},
                "identityProfile": {"kubeletidentity": {"objectId": an_id(path, "kubelet")}},
                "fqdn": "cluster.example.invalid",
            }
        if kind == "microsoft.storage/storageaccounts":
            return {"primaryEndpoints": {"blob": self.blob_url}}
        if kind == "microsoft.containerregistry/registries":
            return {"loginServer": self.address}
        return {}


def an_id(*parts: str) -> str:
    """Return an id that depends only on the parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(parts)))


def unsigned(claims: Mapping[str, Any]) -> str:
    """Return a JSON web token without a signature."""
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def _not_found(path: str) -> dict[str, Any]:
    return {"error": {"code": "ResourceNotFound", "message": f"The resource {path} was not found."}}


class _Handler(RequestHandler):
    azure: Azure

    def handle_request(self) -> None:
        text = self.read_body().decode()
        try:
            body = json.loads(text) if text else None
        except ValueError:
            body = text
        url = urlsplit(self.path)
        request = Request(self.command, unquote(url.path), parse_qs(url.query), body)
        self.azure.requests.append(request)
        if request.path == "/v2/":
            realm = f'Bearer realm="{self.azure.url}/oauth2/token",service="registry"'
            self.respond_json(401, {}, {"Www-Authenticate": realm})
            return
        status, answer = self.azure.answer(request)
        if answer is None:
            self.respond(status, headers={"Content-Type": "application/json"})
        else:
            self.respond_json(status, answer)
