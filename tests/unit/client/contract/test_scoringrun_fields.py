"""The fields of a ScoringRun that the client knows are those of the CRD."""

import yaml

from fleetscore.contract.scoringrun_fields import FIELDS, missing_fields, schema_fields
from tests.testkit.paths import ROOT

(FILE,) = (ROOT / "crds").glob("*.yaml")
SCHEMA = yaml.safe_load(FILE.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def test_fields_are_those_of_the_crd() -> None:
    found = [path for path in schema_fields(SCHEMA) if path.startswith(("spec.", "status."))]
    assert list(FIELDS) == found
    assert missing_fields(SCHEMA) == ()


def test_missing_object_is_named_without_its_fields() -> None:
    spec = {name: found for name, found in SCHEMA["properties"]["spec"]["properties"].items() if name != "canary"}
    properties = {**SCHEMA["properties"], "spec": {"properties": spec}}
    assert missing_fields({"properties": properties}) == ("spec.canary",)
