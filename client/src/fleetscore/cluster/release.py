"""The objects of a release as the API server stores them: JSON, read with the rights of the user.

Each function names the right that it needs, so that the caller can report a missing one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleetscore.cluster.connection import Cluster
from fleetscore.contract import schedules
from fleetscore.contract.fleets import MAX_FILES_CHARS
from fleetscore.contract.schedules import Schedule
from fleetscore.errors import NotFound, TooLarge

METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
DEPLOYMENT_SELECTOR = "app.kubernetes.io/part-of=fleetscore"
CONSOLE_SELECTOR = "app.kubernetes.io/part-of=fleetscore,app.kubernetes.io/component=console"
COMPONENT_LABEL = "app.kubernetes.io/component"
SCHEDULER_SELECTOR = "app.kubernetes.io/part-of=fleetscore,app.kubernetes.io/component=scheduler"
SCHEDULES_KEY = "schedules.yaml"
MAX_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object.

    Attributes:
        group: The API group; empty for the core group.
        version: The version of the API.
        resource: The name of the resource in paths, such as `deployments`.
    """

    group: str
    version: str
    resource: str

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of an object, or of the objects of a namespace or of the cluster."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root, *(["namespaces", namespace] if namespace else []), self.resource, *([name] if name else [])]
        return "/".join(parts)


CONFIG_MAPS = Kind("", "v1", "configmaps")
CRON_JOBS = Kind("batch", "v1", "cronjobs")
CUSTOM_RESOURCES = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions")
DEPLOYMENTS = Kind("apps", "v1", "deployments")
EVENTS = Kind("", "v1", "events")
JOBS = Kind("batch", "v1", "jobs")
LEASES = Kind("coordination.k8s.io", "v1", "leases")
NAMESPACES = Kind("", "v1", "namespaces")
PODS = Kind("", "v1", "pods")
SECRETS = Kind("", "v1", "secrets")
SERVICES = Kind("", "v1", "services")
SERVICE_ACCOUNTS = Kind("", "v1", "serviceaccounts")


def list_objects(
    cluster: Cluster, kind: Kind, namespace: str = "", *, selector: str = "", accept: str = "application/json"
) -> Iterator[dict[str, Any]]:
    """Yield the objects of a namespace, or of the cluster, with the labels of a selector.

    Args:
        cluster: The cluster.
        kind: The kind of the objects.
        namespace: The namespace; empty for all.
        selector: The label selector.
        accept: The media type of the response.
    """
    place = f"in namespace {namespace}" if namespace else "in all namespaces"
    action = f"list {kind.resource} {place}"
    yield from cluster.objects(kind.path(namespace), action, selector=selector, accept=accept)


def get_object(
    cluster: Cluster, kind: Kind, namespace: str, name: str, *, accept: str = "application/json"
) -> dict[str, Any] | None:
    """Return an object, or None if it does not exist."""
    try:
        return cluster.resource(kind.path(namespace, name), f"get {kind.resource} {name}", accept=accept)
    except NotFound:
        return None


def data_changed(found: Mapping[str, Any]) -> str:
    """Return the time of the last change of the data of a ConfigMap or Secret, in RFC 3339; empty if it is unknown."""
    entries = found["metadata"].get("managedFields") or []
    return max((str(one.get("time") or "") for one in entries if "f:data" in (one.get("fieldsV1") or {})), default="")


def list_events(cluster: Cluster, namespace: str, name: str) -> list[dict[str, Any]]:
    """Return the events of the object with a name; at most MAX_EVENTS."""
    query = {"fieldSelector": f"involvedObject.name={name}", "limit": str(MAX_EVENTS)}
    place = f"list events in namespace {namespace}"
    return cluster.page(EVENTS.path(namespace), place, query=query)


def read_schedules(cluster: Cluster) -> dict[str, Schedule]:
    """Return the schedules of the namespace by name, from the ConfigMaps of its releases."""
    return parse_maps(list_objects(cluster, CONFIG_MAPS, cluster.namespace, selector=SCHEDULER_SELECTOR))


def parse_maps(maps: Iterable[Mapping[str, Any]]) -> dict[str, Schedule]:
    """Return the schedules in ConfigMaps by name.

    Raises:
        DataInvalid: A file is not a schedules file.
        TooLarge: The files together have more than MAX_FILES_CHARS characters.
    """
    texts = [text for one in maps if (text := (one.get("data") or {}).get(SCHEDULES_KEY))]
    if sum(map(len, texts)) > MAX_FILES_CHARS:
        text = f"the schedules files of the namespace have more than {MAX_FILES_CHARS:,} characters"
        raise TooLarge(f"{text}; delete the ConfigMaps {SCHEDULER_SELECTOR} that no release has")
    return {name: found for text in texts for name, found in schedules.read_schedules(text).items()}


def is_allowed(cluster: Cluster, attributes: Mapping[str, str], *, user: str = "") -> bool:
    """Return True if a user has a right, by the API server's own authorization.

    Args:
        cluster: The cluster.
        attributes: The resourceAttributes of the review.
        user: The name of the user; empty for the user of the connection.
    """
    api, namespace = "/apis/authorization.k8s.io/v1", attributes.get("namespace", "")
    spec: dict[str, Any] = {"resourceAttributes": dict(attributes)}
    path, kind = f"{api}/selfsubjectaccessreviews", "SelfSubjectAccessReview"
    if user and namespace:
        path, kind = f"{api}/namespaces/{namespace}/localsubjectaccessreviews", "LocalSubjectAccessReview"
    elif user:
        path, kind = f"{api}/subjectaccessreviews", "SubjectAccessReview"
    if user:
        spec |= {"user": user, "groups": _groups(user)}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    if user and namespace:
        body["metadata"] = {"namespace": namespace}
    found = cluster.object(path, f"create {kind.lower()}s", body=body)
    return bool((found.get("status") or {}).get("allowed"))


def _groups(user: str) -> list[str]:
    """Return the groups of a service account: a role may be bound to one of them."""
    account = user.removeprefix("system:serviceaccount:")
    if account == user:
        return ["system:authenticated"]
    namespace = account.partition(":")[0]
    return ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
