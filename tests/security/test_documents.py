"""docs/security.md names tests that exist, and the chart has none of the parts that it says there are none of."""

import re
from pathlib import Path

import pytest

from tests.chart.rendering import each_ci_values, render
from tests.support.marks import ROOT


def test_every_test_that_the_document_names_is_in_the_file_that_it_names() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)", text)
    assert len(named) > 40
    for name, file in named:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file}: {name}"


@pytest.mark.fault("T17")
@pytest.mark.usefixtures("helm")
@each_ci_values
def test_there_is_no_webhook_and_nothing_else_that_the_api_server_calls(values: Path) -> None:
    manifests = render(values)
    called = {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "APIService"}
    assert not called & {manifest["kind"] for manifest in manifests}
    crds = [manifest for manifest in manifests if manifest["kind"] == "CustomResourceDefinition"]
    assert all(crd["spec"].get("conversion", {}).get("strategy", "None") == "None" for crd in crds)


@pytest.mark.fault("T6")
def test_both_programs_sign_in_by_what_their_pod_was_given_and_ask_no_metadata_address() -> None:
    packages = [ROOT / "operator" / "src", ROOT / "scorer" / "src"]
    source = "".join(file.read_text() for package in packages for file in package.rglob("*.py"))
    assert set(re.findall(r"\b\w+Credential\b", source)) == {"WorkloadIdentityCredential"}
