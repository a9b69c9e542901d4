"""The facts of the CRD: its versions, its release, the fields of its schema, and why it is not served."""

from collections.abc import Mapping
from typing import Any

from fleetscore.cluster import release
from fleetscore.cluster.connection import GROUP, KIND, PLURAL, VERSION, Cluster
from fleetscore.contract.scoringrun_fields import missing_fields
from fleetscore.doctor.facts import Crd
from fleetscore.doctor.findings import Right
from fleetscore.errors import AccessDenied, FleetscoreError, NotFound

_NAME = f"{PLURAL}.{GROUP}"
_RIGHT = Right("get", "customresourcedefinitions", "apiextensions.k8s.io")


def read_crd(cluster: Cluster) -> Crd:
    """Return the facts of the CRD; every user may read the served versions, and few the CRD itself."""
    try:
        group = cluster.object(f"/apis/{GROUP}", f"get the API group {GROUP}")
        served = tuple(str(one["version"]) for one in group["versions"])
    except NotFound:
        served = ()
    try:
        found = release.get_object(cluster, release.CUSTOM_RESOURCES, "", _NAME)
    except AccessDenied:
        return Crd(served, _RIGHT.unseen(), missing_fields=_served_fields(cluster) if VERSION in served else ())
    if found is None:
        return Crd(served)
    labels = found["metadata"].get("labels") or {}
    return Crd(served, labels.get("app.kubernetes.io/version", ""), crd_fault(found), _missing_fields(found))


def crd_fault(crd: Mapping[str, Any]) -> str:
    """Return the reason that a CRD is not served, or soon will not be; empty if it is served."""
    if crd["metadata"].get("deletionTimestamp"):
        return "the CRD is being deleted, with all runs"
    for condition in (crd.get("status") or {}).get("conditions") or []:
        if condition.get("type") in ("NamesAccepted", "Established") and condition.get("status") == "False":
            return f"the CRD is not served: {condition.get('message') or condition.get('reason')}"
    return ""


def _missing_fields(crd: Mapping[str, Any]) -> tuple[str, ...]:
    versions = (crd.get("spec") or {}).get("versions") or []
    schemas = [one.get("schema") or {} for one in versions if one.get("name") == VERSION]
    schema = schemas[0].get("openAPIV3Schema") if schemas else None
    return missing_fields(schema) if schema else ()


def _served_fields(cluster: Cluster) -> tuple[str, ...]:
    """Return the missing fields by the API server's OpenAPI document, which every user may read."""
    path = f"/openapi/v3/apis/{GROUP}/{VERSION}"
    try:
        document = cluster.object(path, f"get the schema of {PLURAL}")
    except FleetscoreError:
        return ()
    for schema in ((document.get("components") or {}).get("schemas") or {}).values():
        kinds = [one.get("kind") for one in schema.get("x-kubernetes-group-version-kind") or []]
        if kinds == [KIND]:
            return missing_fields(schema)
    return ()
