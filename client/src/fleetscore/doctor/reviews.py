"""Rights by the API server's own authorization, of the user and of service accounts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fleetscore.cluster import release
from fleetscore.cluster.connection import Cluster
from fleetscore.doctor.findings import Right, Unseen
from fleetscore.errors import AccessDenied


def expand(rules: Sequence[tuple[str, str, Sequence[str]]], namespace: str) -> Iterator[Right]:
    """Yield the rights of rules, each a group, a resource and its verbs, in a namespace; empty for all namespaces."""
    for group, resource, verbs in rules:
        yield from (Right(verb, resource, group, namespace) for verb in verbs)


def review(cluster: Cluster, right: Right, user: str = "", name: str = "") -> Callable[[], bool]:
    """Return the task that asks if a user has a right.

    Args:
        cluster: The cluster.
        right: The right.
        user: The name of the user; empty for the user of the connection.
        name: The name of the object; empty for every object.
    """
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "resource": resource,
        "subresource": subresource,
        "group": right.group,
        "namespace": right.namespace,
        "name": name,
    }
    known = {key: value for key, value in attributes.items() if value}
    return lambda: release.is_allowed(cluster, known, user=user)


def reviewed(seen: Mapping[Any, Any], namespace: str) -> Mapping[Right, bool] | Unseen:
    """Return the reviewed rights of an account; Unseen if the user may not review those of others, or a review is late.

    Args:
        seen: The results of the reviews.
        namespace: The namespace of the rights; empty for all namespaces.
    """
    unseen = next((value for value in seen.values() if isinstance(value, Unseen)), None)
    if unseen is None:
        return seen
    if unseen.is_late:
        return unseen
    resource = "localsubjectaccessreviews" if namespace else "subjectaccessreviews"
    return Right("create", resource, "authorization.k8s.io", namespace).unseen()


def account_name(namespace: str, pod: Mapping[str, Any]) -> str:
    """Return the name of the user that a pod is for the API server.

    Args:
        namespace: The namespace of the pod.
        pod: The spec of the pod.
    """
    return f"system:serviceaccount:{namespace}:{pod.get('serviceAccountName') or 'default'}"


def missing_account(cluster: Cluster, namespace: str, pod: Mapping[str, Any]) -> str | Unseen:
    """Return the name of the ServiceAccount of a pod if it does not exist; empty if it does, Unseen without the right.

    Args:
        cluster: The cluster.
        namespace: The namespace of the pod.
        pod: The spec of the pod.
    """
    name = pod.get("serviceAccountName") or "default"
    try:
        found = release.get_object(cluster, release.SERVICE_ACCOUNTS, namespace, name, accept=release.METADATA_ONLY)
    except AccessDenied:
        return Right("get", "serviceaccounts", "", namespace).unseen()
    return "" if found else name
