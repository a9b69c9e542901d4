"""A connection to the cluster with the user's own kubeconfig and rights.

The package kubernetes is imported at the first use: it takes longer than most commands that need no cluster.
"""
# ruff: noqa: PLC0415

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import yaml

from fleetscore.cluster.causes import WRONG_TYPES, invalid_text, logged_errors, unreachable_text
from fleetscore.cluster.kubeconfig_user import Headers, follow_token_file, impersonation_headers, kubeconfig_user
from fleetscore.cluster.lists import read_list, read_page
from fleetscore.cluster.responses import parse_object, parse_resource, response_error
from fleetscore.cluster.run_shape import checked_run
from fleetscore.contract.fleets import FILES_SELECTOR, FleetLayout, SecretReference, read_fleets
from fleetscore.errors import (
    AccessDenied,
    ClusterNotConfigured,
    ClusterUnavailable,
    DataInvalid,
    NotFound,
    TooLarge,
    UsageInvalid,
)

if TYPE_CHECKING:
    from kubernetes import client

GROUP, VERSION, PLURAL, KIND = "fleetscore.dev", "v1alpha1", "scoringruns", "ScoringRun"
RUN_LABEL = "fleetscore.dev/run"
RUN_UID_LABEL = "fleetscore.dev/run-uid"
POSITIONS_ANNOTATION = "fleetscore.dev/positions"
FLEETS_KEY = "fleets.yaml"
KUBECONFIG = "~/.kube/config"
"""The file without KUBECONFIG. The package kubernetes reads the variable only when it is imported."""

TIMEOUT_SECONDS = (5, 30)
"""Seconds for the connection, and for the response."""

RETRIES: Mapping[str, Any] = {"total": 3, "connect": 2, "read": 1, "redirect": 0, "raise_on_redirect": False}
RETRY_AFTER_SECONDS = 5
"""Longest wait that the API server may ask for. A person waits, so a server without an answer costs a minute."""

MERGE_PATCH = "application/merge-patch+json"
MAX_RESPONSE_BYTES = 32 * 2**20
"""Size of a response above which it is not read: a page of a list is read again with fewer objects."""

MAX_CONNECTIONS = 64
"""Connections that are kept: urllib3 logs a warning for each one above, and `doctor` sends requests in parallel."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the API server: its content, and its headers with lower-case names."""

    content: bytes
    headers: Mapping[str, str]


class Cluster:
    """One cluster and one namespace of it.

    Args:
        api: The client of the Kubernetes API.
        namespace: The namespace of the runs.
        timeout_seconds: The seconds for the connection, and for the response.
        headers: Further headers of each request, such as those of an impersonation.
    """

    def __init__(
        self,
        api: "client.ApiClient",
        namespace: str,
        *,
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
        headers: Headers = (),
    ) -> None:
        self.namespace, self._api, self._timeout_seconds, self._headers = namespace, api, timeout_seconds, headers

    @classmethod
    def connect(
        cls,
        context: str | None = None,
        namespace: str | None = None,
        *,
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
    ) -> "Cluster":
        """Connect with KUBECONFIG, else with ~/.kube/config, else in a pod with its service account, as kubectl does.

        Args:
            context: The kubeconfig's context; None for its current one.
            namespace: The namespace of the runs; None for the context's, which is `default` if it names none.
            timeout_seconds: The seconds for the connection, and for the response.

        Raises:
            ClusterNotConfigured: No kubeconfig exists, and the process does not run in a pod.
            UsageInvalid: The kubeconfig or the context is invalid.
        """
        import urllib3
        from kubernetes import client, config

        settings = client.Configuration()
        settings.connection_pool_maxsize = MAX_CONNECTIONS
        settings.retries = urllib3.Retry(**RETRIES, raise_on_status=False, retry_after_max=RETRY_AFTER_SECONDS)
        named = os.environ.get("KUBECONFIG")
        files = named or KUBECONFIG
        has_file = named or os.path.exists(os.path.expanduser(KUBECONFIG))  # noqa: PTH110, PTH111
        try:
            if context is None and not has_file and "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config(settings)
                api = client.ApiClient(settings)
                return cls(api, namespace or _pod_namespace(), timeout_seconds=timeout_seconds)
            with logged_errors() as logged:
                config.load_kube_config(files, context=context, client_configuration=settings)
            contexts, active = config.list_kube_config_contexts(files)
            if context is not None:
                active = next(one for one in contexts if one["name"] == context)
            user = kubeconfig_user(files, active["context"].get("user"))
            headers = impersonation_headers(user, f"the kubeconfig {files}")
            if user.get("tokenFile"):
                follow_token_file(settings, user["tokenFile"])
            api = client.ApiClient(settings)
        except config.ConfigException as error:
            if "No configuration found" in str(error):
                text = "no cluster is configured; set KUBECONFIG or create ~/.kube/config"
                raise ClusterNotConfigured(text) from error
            text = f"the kubeconfig cannot be used: {error}; `kubectl config get-contexts` lists its contexts"
            raise UsageInvalid(text) from error
        except (yaml.YAMLError, urllib3.exceptions.HTTPError, OSError, ValueError, *WRONG_TYPES) as error:
            text = f"the kubeconfig {files} cannot be used: {invalid_text(error)}"
            raise UsageInvalid(f"{text}; correct it, or get it again from the cluster's administrator") from error
        _check_settings(settings, files, logged)
        namespace = namespace or active["context"].get("namespace") or "default"
        return cls(api, namespace, timeout_seconds=timeout_seconds, headers=headers)

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self._api.configuration.host)

    def request(
        self,
        path: str,
        action: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        verb: str = "",
        accept: str = "application/json",
    ) -> Response:
        """Send a request and return the response, which is a success.

        Args:
            path: The path of the API.
            action: The verb and the object, for messages.
            query: The parameters of the query.
            body: The object of a POST, or the merge patch of a PATCH.
            verb: The method; by default POST with a body, and GET without one.
            accept: The media type of the response.

        Raises:
            ClusterUnavailable: The API server cannot be reached, or another server answers in its place.
            AccessDenied: The user lacks a right, or is not logged in.
            NotFound: The object does not exist.
            UsageInvalid: The API server rejects the request.
            TooLarge: The response has more than MAX_RESPONSE_BYTES.
        """
        import urllib3
        from kubernetes import client

        verb = verb or ("POST" if body else "GET")
        headers = {"Accept": accept}
        if body:
            headers["Content-Type"] = MERGE_PATCH if verb == "PATCH" else "application/json"
        target = f"{path}?{urlencode(query)}" if query else path
        method, url, sent, document, _ = self._api.param_serialize(
            verb, target, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        repeatable = urllib3.HTTPHeaderDict(sent)  # a dict would have one group of several
        for name, value in self._headers:
            repeatable.add(name, value)
        try:
            response = self._api.call_api(method, url, repeatable, document, _request_timeout=self._timeout_seconds)
            with closing(response.response) as source:
                content = source.read(MAX_RESPONSE_BYTES + 1)
        except (client.ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterUnavailable(f"{self.server} cannot be reached ({unreachable_text(error)}") from error
        if not 200 <= response.status < 300:
            raise response_error(
                response.status, response.reason or "", content, action=action, path=path, server=self.server
            )
        if len(content) > MAX_RESPONSE_BYTES:
            text = f"cannot {action}: the response has more than {MAX_RESPONSE_BYTES:,} bytes"
            raise TooLarge(f"{text}; delete the large objects, or check the server of the context")
        return Response(content, {key.lower(): value for key, value in response.getheaders().items()})

    def object(self, path: str, action: str, **options: Any) -> dict[str, Any]:
        """Return the JSON object of a response; see `request` for the arguments."""
        return parse_object(self.request(path, action, **options).content, self.server)

    def resource(self, path: str, action: str, **options: Any) -> dict[str, Any]:
        """Return the resource of a response, which has metadata; see `request` for the arguments."""
        return parse_resource(self.request(path, action, **options).content, self.server)

    def page(self, path: str, action: str, *, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the first objects of a list, at most the query's `limit`; see `request` for the arguments."""
        return read_page(lambda found: self.request(path, action, query=found).content, query, self.server).objects

    def objects(
        self, path: str, action: str, *, selector: str = "", accept: str = "application/json"
    ) -> Iterator[dict[str, Any]]:
        """Yield the objects of a list with the labels of a selector; see `request` for the arguments.

        Raises:
            TooLarge: The list has too many objects, or too large ones.
        """

        def read(query: Mapping[str, str]) -> bytes:
            return self.request(path, action, query=query, accept=accept).content

        return read_list(read, {"labelSelector": selector} if selector else {}, self.server, action)

    def runs(self) -> Iterator[dict[str, Any]]:
        """Yield the runs of the namespace as JSON, in the order of their names, without `managedFields`.

        Raises:
            DataInvalid: A run is invalid; see `checked_run`.
        """
        for run in self.objects(self._run_path(), f"list runs in namespace {self.namespace}"):
            run["metadata"].pop("managedFields", None)
            yield checked_run(run)

    def run(self, name: str) -> dict[str, Any]:
        """Return one run as JSON; see `checked_run`. Raises NotFound if it does not exist."""
        return checked_run(self.resource(self._run_path(name), f"get run {name}"))

    def create_run(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create a run and return it. Raises UsageInvalid if the API server rejects it."""
        return self.resource(self._run_path(), f"create run {manifest['metadata']['name']}", body=manifest)

    def patch_run(self, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Change fields of a run's spec and return the run."""
        return self.resource(self._run_path(name), f"change run {name}", body={"spec": spec}, verb="PATCH")

    def fleets(self) -> dict[str, FleetLayout]:
        """Return the fleets of the release by name.

        The fleets file of a release is a ConfigMap with the labels of the operator. It is looked for in the namespace
        of the runs, then in all namespaces.

        Raises:
            NotFound: The cluster has no release, or the user may not read its ConfigMap.
        """
        found = self._fleet_files(f"namespaces/{self.namespace}/", f"in namespace {self.namespace}")
        if not found:
            try:
                found = self._fleet_files("", "in all namespaces")
            except AccessDenied as error:
                raise AccessDenied(f"{error} (the ConfigMap of the release's fleets), or name a --store") from error
        if not found:
            raise NotFound(f"no release of Fleetscore was found in {self.server}; `helm install` it, or use --context")
        return read_fleets(found, self.namespace)

    def secret_value(self, reference: SecretReference) -> str:
        """Return the text of a Secret's key. Raises NotFound if the Secret or its key does not exist."""
        import base64

        path = f"/api/v1/namespaces/{self.namespace}/secrets/{quote(reference.name, safe='')}"
        data = self.resource(path, f"get Secret {reference.name} in namespace {self.namespace}").get("data") or {}
        place = f"Secret {reference.name} in namespace {self.namespace}"
        if reference.key not in data:
            known = ", ".join(sorted(data)) or "none"
            raise NotFound(f"{place} has no key {reference.key}; set it, the Secret has {known}")
        try:
            return base64.b64decode(data[reference.key], validate=True).decode().strip()
        except (ValueError, TypeError) as error:
            text = f"key {reference.key} of {place} is invalid: it is not a text"
            raise DataInvalid(f"{text}; copy the credential into it again") from error

    def _run_path(self, name: str = "") -> str:
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{quote(self.namespace, safe='')}/{PLURAL}"
        return f"{path}/{quote(name, safe='')}" if name else path

    def _fleet_files(self, scope: str, place: str) -> list[str]:
        found = self.objects(f"/api/v1/{scope}configmaps", f"list configmaps {place}", selector=FILES_SELECTOR)
        return [text for one in found if isinstance(text := (one.get("data") or {}).get(FLEETS_KEY), str)]


def _check_settings(settings: "client.Configuration", files: str, logged: Sequence[str]) -> None:
    """Check what the package kubernetes accepts from a kubeconfig, but cannot use.

    Args:
        settings: The settings from the kubeconfig.
        files: The kubeconfig, for messages.
        logged: The errors of the login command.
    """
    if logged:
        text = f"the login command of the kubeconfig failed: {logged[0]}; install it or log in with it"
        raise AccessDenied(f"{text}, and check it with `kubectl auth whoami`")
    if any(not token.isascii() or not token.isprintable() for token in map(str, settings.api_key.values())):
        text = f"the token of the kubeconfig {files} is invalid: it has other than visible characters"
        raise UsageInvalid(f"{text}; log in again")
    if not settings.host:
        raise UsageInvalid(f"the kubeconfig {files} is invalid: its cluster has no server; get the file again")


def _pod_namespace() -> str:
    """Return the namespace of this pod's service account."""
    with open("/var/run/secrets/kubernetes.io/serviceaccount/namespace") as file:  # noqa: PTH123
        return file.read().strip()
