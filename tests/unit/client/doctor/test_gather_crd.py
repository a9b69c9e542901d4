"""The facts of the CRD: why it is not served, and which fields it lacks."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetscore.cluster.connection import Cluster
from fleetscore.doctor.facts import Crd
from fleetscore.doctor.findings import Unseen
from fleetscore.doctor.gather_crd import crd_fault, read_crd
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease
from tests.testkit.paths import ROOT

FILE = next(Path(ROOT / "crds").glob("*.yaml"))
PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scoringruns.fleetscore.dev"
OPENAPI = "/openapi/v3/apis/fleetscore.dev/v1alpha1"


def a_crd(*without: str) -> Any:
    crd = yaml.safe_load(FILE.read_text())
    for name in without:
        del schema(crd)["properties"]["spec"]["properties"][name]
    return crd


def schema(crd: Any) -> Any:
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def test_crd_of_this_version_lacks_nothing(fake_release: FakeRelease) -> None:
    fake_release.objects[PATH] = a_crd()
    assert read_crd(Cluster.connect()) == Crd(("v1alpha1",), "")


def test_crd_without_a_field_is_known_with_and_without_the_right_to_read_it(fake_release: FakeRelease) -> None:
    fake_release.objects[PATH] = a_crd("canary", "tags")
    assert read_crd(Cluster.connect()).missing_fields == ("spec.tags", "spec.canary")
    kind = {"x-kubernetes-group-version-kind": [{"kind": "ScoringRun"}]}
    document = {"components": {"schemas": {"list": {}, "run": {**schema(a_crd("tags")), **kind}}}}
    fake_release.objects[OPENAPI] = document
    fake_release.forbidden.add(PATH)
    found = read_crd(Cluster.connect())
    assert isinstance(found.release, Unseen)
    assert found.missing_fields == ("spec.tags",)
    del fake_release.objects[OPENAPI]
    assert read_crd(Cluster.connect()).missing_fields == ()


def test_missing_crd_is_served_in_no_version(fake_release: FakeRelease) -> None:
    del fake_release.objects[fake.GROUP], fake_release.objects[PATH]
    assert read_crd(Cluster.connect()) == Crd(())


@pytest.mark.parametrize(
    ("crd", "text"),
    [
        ({"metadata": {}, "status": {"conditions": [{"type": "Established", "status": "True"}]}}, ""),
        ({"metadata": {"deletionTimestamp": "2026-01-05T12:00:00Z"}}, "the CRD is being deleted, with all runs"),
        (
            {
                "metadata": {},
                "status": {"conditions": [{"type": "NamesAccepted", "status": "False", "message": "sr is"}]},
            },
            "the CRD is not served: sr is",
        ),
    ],
    ids=["served", "deleted", "names"],
)
def test_crd_that_is_not_served_has_a_reason(crd: Any, text: str) -> None:
    assert crd_fault(crd) == text
