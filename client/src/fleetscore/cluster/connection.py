"""A connection to the cluster with the user's own kubeconfig and rights.

The package kubernetes is imported at the first use: it takes longer than most commands that need no cluster.
"""
# ruff: noqa: PLC0415

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from fleetscore.cluster.causes import WRONG_TYPES, invalid_text, logged_errors, right_check, unreachable_text
from fleetscore.contract.fleets import FleetLayout, SecretReference, parse_fleets
from fleetscore.errors import AccessDenied, ClusterUnavailable, FleetscoreError, NotFound, UsageInvalid

if TYPE_CHECKING:
    from kubernetes import client

GROUP, VERSION, PLURAL, KIND = "fleetscore.dev", "v1alpha1", "scoringruns", "ScoringRun"
RUN_LABEL = "fleetscore.dev/run"
RUN_UID_LABEL = "fleetscore.dev/run-uid"
POSITIONS_ANNOTATION = "fleetscore.dev/positions"
FLEETS_KEY = "fleets.yaml"
KUBECONFIG = "~/.kube/config"
"""The file without KUBECONFIG. The package kubernetes reads the variable only when it is imported."""

TIMEOUT_SECONDS = 30
PAGE_SIZE = 500
MAX_CONNECTIONS = 64
"""Connections that are kept: urllib3 logs a warning for each one above, and `doctor` sends requests in parallel."""

_RELEASE_SELECTOR = "app.kubernetes.io/part-of=fleetscore,app.kubernetes.io/component=operator"


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
    """

    def __init__(self, api: "client.ApiClient", namespace: str) -> None:
        from kubernetes import client

        self.namespace = namespace
        self.core = client.CoreV1Api(api)
        self._custom, self._api = client.CustomObjectsApi(api), api

    @classmethod
    def connect(cls, context: str | None = None, namespace: str | None = None) -> "Cluster":
        """Connect with a kubeconfig, or in a pod with its service account.

        Args:
            context: The kubeconfig's context; None for its current one.
            namespace: The namespace of the runs; None for the context's, which is `default` if it names none.

        Raises:
            ClusterUnavailable: No kubeconfig exists, and the process does not run in a pod.
            UsageInvalid: The kubeconfig or the context is invalid.
        """
        import urllib3
        from kubernetes import client, config

        settings = client.Configuration()
        settings.connection_pool_maxsize = MAX_CONNECTIONS
        files = os.environ.get("KUBECONFIG") or KUBECONFIG
        try:
            if context is None and "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
                config.load_incluster_config(settings)
                return cls(client.ApiClient(settings), namespace or _pod_namespace())
            with logged_errors() as logged:
                config.load_kube_config(files, context=context, client_configuration=settings)
            contexts, active = config.list_kube_config_contexts(files)
            api = client.ApiClient(settings)
        except config.ConfigException as error:
            if "No configuration found" in str(error):
                text = "no cluster is configured; set KUBECONFIG or name a folder with --store"
                raise ClusterUnavailable(text) from error
            text = f"the kubeconfig cannot be used: {error}; `kubectl config get-contexts` lists its contexts"
            raise UsageInvalid(text) from error
        except (yaml.YAMLError, urllib3.exceptions.HTTPError, OSError, ValueError, *WRONG_TYPES) as error:
            text = f"the kubeconfig {files} cannot be used: {invalid_text(error)}"
            raise UsageInvalid(f"{text}; correct it, or get it again from the cluster's administrator") from error
        _check_settings(settings, files, logged)
        if context is not None:
            active = next(one for one in contexts if one["name"] == context)
        return cls(api, namespace or active["context"].get("namespace") or "default")

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
        accept: str = "application/json",
    ) -> Response:
        """Send a GET, or a POST of a body, and return the response.

        Args:
            path: The path of the API.
            action: The verb and the object, for messages.
            query: The parameters of the query.
            body: The object of a POST; None for a GET.
            accept: The media type of the response.
        """
        headers = {"Accept": accept} | ({"Content-Type": "application/json"} if body else {})
        verb = "POST" if body else "GET"

        def send(*, _request_timeout: float) -> Response:
            request = self._api.param_serialize(
                verb, path, query_params=list((query or {}).items()), header_params=headers, body=body,
                auth_settings=["BearerToken"],
            )  # fmt: skip
            response = self._api.call_api(*request, _request_timeout=_request_timeout)
            content = response.read() or b""
            if response.status >= 300:
                from kubernetes import client

                raise client.ApiException(response.status, response.reason, body=content.decode(errors="replace"))
            return Response(content, {key.lower(): value for key, value in response.getheaders().items()})

        found: Response = self._call(action, send)
        return found

    def runs(self) -> Iterator[dict[str, Any]]:
        """Yield the runs of the namespace as JSON, in the order of their names."""
        token = ""
        while True:
            page = self._call(
                f"list runs in namespace {self.namespace}",
                self._custom.list_namespaced_custom_object,
                *(GROUP, VERSION, self.namespace, PLURAL),
                limit=PAGE_SIZE,
                _continue=token,
            )
            yield from page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return

    def run(self, name: str) -> dict[str, Any]:
        """Return one run as JSON. Raises NotFound if it does not exist."""
        arguments = (GROUP, VERSION, self.namespace, PLURAL, name)
        found: dict[str, Any] = self._call(f"get run {name}", self._custom.get_namespaced_custom_object, *arguments)
        return found

    def create_run(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create a run and return it. Raises UsageInvalid if the API server rejects it."""
        arguments = (GROUP, VERSION, self.namespace, PLURAL, manifest)
        created: dict[str, Any] = self._call(
            f"create run {manifest['metadata']['name']}", self._custom.create_namespaced_custom_object, *arguments
        )
        return created

    def patch_run(self, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Change fields of a run's spec and return the run."""
        arguments = (GROUP, VERSION, self.namespace, PLURAL, name, {"spec": spec})
        changed: dict[str, Any] = self._call(
            f"change run {name}", self._custom.patch_namespaced_custom_object, *arguments
        )
        return changed

    def fleets(self) -> dict[str, FleetLayout]:
        """Return the fleets of the release by name.

        The fleets file of a release is a ConfigMap with the labels of the operator. It is looked for in the namespace
        of the runs, then in all namespaces.

        Raises:
            NotFound: The cluster has no release, or the user may not read its ConfigMap.
        """
        found = self._fleet_maps(self.core.list_namespaced_config_map, self.namespace)
        if not found:
            try:
                found = self._fleet_maps(self.core.list_config_map_for_all_namespaces)
            except AccessDenied as error:
                raise AccessDenied(f"{error} (the ConfigMap of the release's fleets), or name a --store") from error
        if not found:
            raise NotFound(f"no release of Fleetscore was found in {self.server}; `helm install` it, or use --context")
        return {name: fleet for one in found for name, fleet in parse_fleets(yaml.safe_load(one)).items()}

    def secret_value(self, reference: SecretReference) -> str:
        """Return the text of a Secret's key. Raises NotFound if the Secret or its key does not exist."""
        import base64

        name = f"read Secret {reference.name} in namespace {self.namespace}"
        secret = self._call(name, self.core.read_namespaced_secret, reference.name, self.namespace)
        data: Mapping[str, str] = secret.data or {}
        if reference.key not in data:
            raise NotFound(
                f"Secret {reference.name} has no key {reference.key}; it has {', '.join(sorted(data)) or 'none'}"
            )
        return base64.b64decode(data[reference.key]).decode().strip()

    def _fleet_maps(self, function: Any, *arguments: str) -> list[str]:
        found = self._call("list configmaps", function, *arguments, label_selector=_RELEASE_SELECTOR)
        return [one.data[FLEETS_KEY] for one in found.items if FLEETS_KEY in (one.data or {})]

    def _call(self, action: str, function: Any, *arguments: Any, **options: Any) -> Any:
        """Call the API and turn its errors into the client's.

        Args:
            action: The verb and the object, for messages.
            function: The method of the Kubernetes client.
            arguments: Its arguments.
            options: Its options.
        """
        import urllib3
        from kubernetes import client

        try:
            return function(*arguments, _request_timeout=TIMEOUT_SECONDS, **options)
        except client.ApiException as error:
            raise self._error(error, action) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterUnavailable(f"{self.server} cannot be reached ({unreachable_text(error)}") from error

    def _error(self, error: "client.ApiException", action: str) -> FleetscoreError:
        message = _status_message(error)
        if error.status == 401:
            text = f"{self.server} rejects the credentials of this user (401)"
            return AccessDenied(f"{text}; log in again, or use another --context")
        if error.status == 403:
            text = f"the cluster does not allow this user to {action}; ask for a Role with this right"
            return AccessDenied(text + right_check(message))
        if error.status == 404:
            if "the server could not find the requested resource" in message or "page not found" in message:
                return NotFound("the cluster does not know ScoringRuns; `helm install` Fleetscore, or use --context")
            return NotFound(f"cannot {action}: it does not exist in namespace {self.namespace}")
        if error.status in (400, 409, 422):
            return UsageInvalid(f"cannot {action}: {message}")
        return ClusterUnavailable(f"cannot {action}: {self.server} answered {error.status} {error.reason}; try again")


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


def _status_message(error: "client.ApiException") -> str:
    """Return the message of the API server's Status object, at most 500 characters."""
    try:
        return str(yaml.safe_load(error.body or "{}").get("message", ""))[:500]
    except (yaml.YAMLError, AttributeError):
        return str(error.body)[:500]


def _pod_namespace() -> str:
    """Return the namespace of this pod's service account."""
    with open("/var/run/secrets/kubernetes.io/serviceaccount/namespace") as file:  # noqa: PTH123
        return file.read().strip()
