"""docs/operations/security.md cites tests for its statements, and the chart has none of the parts that it excludes."""

import re
from pathlib import Path

import pytest
from hack.hazards import hazards

from tests.testkit.chart import each_ci_values, render
from tests.testkit.paths import ROOT

TABLES = {"T": "threats", "F": "faults", "D": "inputs"}


def test_every_negative_statement_cites_hazards_with_tests() -> None:
    text = (ROOT / "docs" / "operations" / "security.md").read_text()
    statements = re.findall(r"^\| (?:[\w ]+: )?cannot .* \| (.*) \|$", text, re.MULTILINE)
    assert len(statements) >= 15
    assert all(re.fullmatch(r"(\[[TFD]\d+\]\(\S+\)(, )?)+", cited) for cited in statements)


def test_every_cited_hazard_is_in_the_linked_table() -> None:
    text = (ROOT / "docs" / "operations" / "security.md").read_text()
    cited = re.findall(r"\[([TFD]\d+)\]\(\.\./development/traceability\.md#(\w+)\)", text)
    assert len(cited) > 40
    assert {hazard for hazard, _ in cited} <= set(hazards())
    assert [hazard for hazard, table in cited if table != TABLES[hazard[0]]] == []


@pytest.mark.fault("T17")
@pytest.mark.usefixtures("helm")
@each_ci_values
def test_chart_has_no_webhook_api_service_or_conversion(values: Path) -> None:
    manifests = render(values)
    called = {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "APIService"}
    assert not called & {manifest["kind"] for manifest in manifests}
    crds = [manifest for manifest in manifests if manifest["kind"] == "CustomResourceDefinition"]
    assert all(crd["spec"].get("conversion", {}).get("strategy", "None") == "None" for crd in crds)


@pytest.mark.fault("T6")
def test_programs_use_only_the_pods_identity_and_no_metadata_address() -> None:
    packages = [ROOT / "operator" / "src", ROOT / "scorer" / "src"]
    source = "".join(file.read_text() for package in packages for file in package.rglob("*.py"))
    # ExecCredential is the answer of a kubeconfig's program, for `backfill` from a laptop.
    assert set(re.findall(r"\b\w+Credential\b", source)) == {"WorkloadIdentityCredential", "ExecCredential"}
